"""A service's way into a cloud: stack, packages, stack again; and out of it. Works with any AWS endpoint.

The calls are those that the Serverless Framework makes: a stack with the deployment bucket, the packages
in it, and the whole template by a change set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.deploy.serverless import naming, package
from pilotlight.deploy.serverless.service import Function, ServiceDefinition, ServiceError, find_document
from pilotlight.deploy.serverless.sharing import share_layers
from pilotlight.deploy.serverless.template import first_template, full_template

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
POLL_SECONDS = 0.1
FAILED_STATES = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_COMPLETE")

Progress = Callable[[str], None]
Sleep = Callable[[float], None]


class DeploymentFailed(Exception):
    """The stack did not reach the wished state; the message has the first reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    stack: str
    functions: Mapping[str, str]
    """Key in the service → function name."""
    endpoints: tuple[tuple[str, str], ...] = ()
    """Route key and URL, in a form that needs no name resolution."""
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """boto3 clients of the service's region."""

    cloudformation: Any
    s3: Any
    apigatewayv2: Any


class Deployment:
    def __init__(
        self, service: ServiceDefinition, clients: Clients, *, now_ms: int, progress: Progress, sleep: Sleep
    ) -> None:
        self._service = service
        self._clients = clients
        self._now_ms = now_ms
        self._progress = progress
        self._sleep = sleep
        self._seen: set[str] = set()

    # Deploying.

    def deploy(self, endpoint: str) -> Summary:
        self._service, told = share_layers(self._service)
        for sentence in told:
            self._progress(sentence)
        packages = {function.key: self._package(function) for function in self._service.functions}
        stack = self._service.stack_name
        if not self._exists():
            self._progress(f"creating stack {stack}")
            self._clients.cloudformation.create_stack(
                StackName=stack,
                TemplateBody=json.dumps(first_template()),
                Capabilities=CAPABILITIES,
                Tags=self._tags(),
            )
            self._wait()
        bucket = self._clients.cloudformation.describe_stack_resource(
            StackName=stack, LogicalResourceId=naming.DEPLOYMENT_BUCKET
        )["StackResourceDetail"]["PhysicalResourceId"]
        keys = self._upload(bucket, packages)
        digests = {key: package.sha256_base64(data) for key, data in packages.items()}
        self._update(full_template(self._service, keys, digests))
        return self._summary(endpoint)

    def _package(self, function: Function) -> bytes:
        settings = {**self._service.package, **function.settings.get("package", {})}
        unknown = sorted(set(settings) - {"individually", "patterns", "artifact", "excludeDevDependencies"})
        if unknown:
            raise ServiceError(f"package: {', '.join(unknown)} is not supported; use patterns")
        if "artifact" in settings:
            artifact = self._service.folder / settings["artifact"]
            if not artifact.is_file():
                raise package.PackageError(f"package.artifact {settings['artifact']} is not there; build it first")
            content: bytes = artifact.read_bytes()
            return content
        own = function.settings.get("package", {}).get("patterns", [])
        document = find_document(self._service.folder).name
        patterns = [f"!{document}", *self._service.package.get("patterns", []), *own]
        names = package.selected(package.files_of(self._service.folder), patterns)
        data = package.make_zip(self._service.folder, names)
        self._progress(f"packaged {function.key}: {len(names)} files, {len(data) / 1024:,.1f} KiB")
        return data

    def _upload(self, bucket: str, packages: Mapping[str, bytes]) -> dict[str, str]:
        """One object for each different package, named by its content, so that an unchanged one is the same."""
        keys: dict[str, str] = {}
        done: set[str] = set()
        for function, data in packages.items():
            digest = package.sha256_base64(data).replace("/", "_").replace("+", "-").rstrip("=")
            keys[function] = f"serverless/{self._service.name}/{self._service.stage}/{digest}.zip"
            if keys[function] not in done:
                self._clients.s3.put_object(Bucket=bucket, Key=keys[function], Body=data)
                done.add(keys[function])
        self._progress(f"uploaded {len(done)} packages")
        return keys

    def _update(self, template: Mapping[str, Any]) -> None:
        cloudformation, stack = self._clients.cloudformation, self._service.stack_name
        name = f"deploy-{self._now_ms}"
        cloudformation.create_change_set(
            StackName=stack,
            ChangeSetName=name,
            ChangeSetType="UPDATE",
            TemplateBody=json.dumps(template),
            Capabilities=CAPABILITIES,
            Tags=self._tags(),
        )
        while True:
            described = cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)
            if described["Status"] == "CREATE_COMPLETE":
                break
            if described["Status"] == "FAILED":
                cloudformation.delete_change_set(StackName=stack, ChangeSetName=name)
                reason = described.get("StatusReason", "")
                if "didn't contain changes" in reason or "No updates" in reason:
                    self._progress("nothing has changed")
                    return
                raise DeploymentFailed(reason)
            self._sleep(POLL_SECONDS)
        self._progress(f"updating stack {stack}")
        cloudformation.execute_change_set(StackName=stack, ChangeSetName=name)
        self._wait()

    def _summary(self, endpoint: str) -> Summary:
        service = self._service
        stack = self._clients.cloudformation.describe_stacks(StackName=service.stack_name)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        endpoints: list[tuple[str, str]] = []
        api = outputs.get("HttpApiId")
        if api:
            for route in self._clients.apigatewayv2.get_routes(ApiId=api)["Items"]:
                path = route["RouteKey"].partition(" ")[2] or "/"
                endpoints.append((route["RouteKey"], f"{endpoint}/_aws/execute-api/{api}{path}"))
        for function in service.functions:
            url = outputs.get(naming.function_url(function.key), "")
            if url:
                identity = url.partition("://")[2].partition(".")[0]
                endpoints.append((f"url {function.key}", f"{endpoint}/_aws/lambda-url/{identity}/"))
        return Summary(
            stack=service.stack_name,
            functions={function.key: function.name for function in service.functions},
            endpoints=tuple(sorted(endpoints)),
            outputs=outputs,
        )

    # Removing.

    def remove(self, *, empty_buckets: bool) -> None:
        cloudformation, stack = self._clients.cloudformation, self._service.stack_name
        if not self._exists():
            raise DeploymentFailed(f"there is no stack {stack}")
        resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
        for resource in resources:
            if resource["ResourceType"] != "AWS::S3::Bucket" or not resource.get("PhysicalResourceId"):
                continue
            # The framework's own bucket is emptied, as the framework does; the user's only when asked to.
            if empty_buckets or resource["LogicalResourceId"] == naming.DEPLOYMENT_BUCKET:
                self._empty(resource["PhysicalResourceId"])
        self._progress(f"deleting stack {stack}")
        stack_id = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
        self._seen = {event["EventId"] for event in self._events(stack_id)}
        cloudformation.delete_stack(StackName=stack)
        self._wait(stack_id, gone=True)

    def _empty(self, bucket: str) -> None:
        count = 0
        for page in self._clients.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if entries:
                objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
                self._clients.s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
                count += len(objects)
        self._progress(f"emptied bucket {bucket}: {count} objects")

    # Both.

    def _tags(self) -> list[dict[str, str]]:
        tags = {"STAGE": self._service.stage, **(self._service.provider.get("stackTags") or {})}
        return [{"Key": key, "Value": str(value)} for key, value in tags.items()]

    def _exists(self) -> bool:
        from botocore.exceptions import ClientError

        try:
            stack = self._clients.cloudformation.describe_stacks(StackName=self._service.stack_name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return False
            raise
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
            return False
        self._seen = {event["EventId"] for event in self._events(stack["StackId"])}
        if stack["StackStatus"] == "ROLLBACK_COMPLETE":
            raise DeploymentFailed(f"{stack['StackName']} is in ROLLBACK_COMPLETE; run `pilotlight remove` first")
        return True

    def _events(self, stack: str) -> Iterator[dict[str, Any]]:
        for page in self._clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
            yield from page["StackEvents"]

    def _wait(self, stack: str = "", *, gone: bool = False) -> None:
        """Show events as they come until the stack stands still."""
        name = stack or self._service.stack_name
        reasons: list[str] = []
        while True:
            fresh = [event for event in self._events(name) if event["EventId"] not in self._seen]
            for event in reversed(fresh):
                self._seen.add(event["EventId"])
                status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
                if status.endswith("FAILED"):
                    reasons.append(f"{event['LogicalResourceId']}: {reason}")
                if status.endswith(("COMPLETE", "FAILED")):
                    self._progress(f"  {status:<20} {event['ResourceType']:<32} {event['LogicalResourceId']}")
            state = self._clients.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
            if not state.endswith("IN_PROGRESS"):
                break
            self._sleep(POLL_SECONDS)
        if state in FAILED_STATES or state.endswith("FAILED") or (gone and state != "DELETE_COMPLETE"):
            raise DeploymentFailed(f"{self._service.stack_name} is in {state}. " + "; ".join(reasons[:3]))
