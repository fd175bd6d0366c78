"""Creating, reading, changing and deleting functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import code, code_signing, configuration, destinations, images, publishing, store
from pilotlight.services.awslambda.layers import layer_members
from pilotlight.services.awslambda.names import (
    NAME_CHARACTERS_MAX,
    Reference,
    check_tags,
    conflict,
    invalid,
    number_of,
    raise_no_function,
    refer,
    refer_whole,
    user_error,
)
from pilotlight.services.awslambda.paging import limit_of, marker_of, read_marker
from pilotlight.services.awslambda.resolver import Resolver, find_qualified, get_ready
from pilotlight.services.awslambda.store import Function, Part, Version
from pilotlight.services.awslambda.surroundings import FoundImage, ImageRefused, Surroundings, timestamp
from pilotlight.storage import Transaction

VERSIONS_MAX = 100_000
STALE = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)


class Functions:
    """Operations on functions themselves."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def create_function(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        if len(reference.function.name) > NAME_CHARACTERS_MAX:
            # AWS: of a plain name the service itself judges the length; the model's limit is that of an ARN.
            raise invalid(
                f"1 validation error detected: Value '{request['FunctionName']}' at 'functionName' failed to satisfy "
                f"constraint: Member must have length less than or equal to {NAME_CHARACTERS_MAX}"
            )
        configuration.check("CreateFunction", request)
        image = images.check_creation(request)
        if not image and (not request.get("Handler") or not request.get("Runtime")):
            raise invalid(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
            )
        tags = check_tags(dict(request.get("Tags") or {}))
        if await self._parts.database.read(store.find_function, reference.function):
            raise conflict(f"Function already exist: {reference.function.name}")
        await self._check_role(request["Role"])
        body = configuration.created(reference.function, request)
        await destinations.check_dead_letter(self._parts, caller, "CreateFunction", reference.function, body)
        if request.get("Layers"):
            layers = await layer_members(self._parts, caller, request["Layers"], runtime=request["Runtime"])
            body.update(layers)
        signing = request.get("CodeSigningConfigArn")
        if signing:
            await code_signing.check_deployment(self._parts, reference.function, signing)
        pull: Part | None = None
        if image:
            body, pull = await self._with_image(caller, reference, body, request)
        else:
            data = await code.fetch(self._parts, caller, "CreateFunction", request["Code"])
            package = await code.keep(self._parts, data, others_bytes=body.get("_layers_unzipped", 0))
            body.update(code.code_members(package))
        now_ms = self._parts.clock.now_ms()
        body.update(LastModified=timestamp(now_ms))
        function = Function(reference.function, self._parts.ids.uuid(), now_ms, 1, None, tags)
        version = await self._parts.database.write(
            insert_function, function, body, self._parts.ids.uuid(), self._publish_as(request), signing, pull
        )
        self._resolver.forget()
        if pull is not None:
            self._parts.wake_pulls()
        await get_ready(self._parts, version)
        return await self._shown(version)

    async def get_function(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        version = await self._parts.database.read(find_qualified, reference)
        function = await self._parts.database.read(store.find_function, reference.function)
        if version is None or function is None:
            raise_no_function(reference)
        answer: dict[str, Any] = {
            "Configuration": await self._shown(version, reference.qualifier),
            "Code": self._code(version),
        }
        if function.tags:
            answer["Tags"] = function.tags
        if function.reserved is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
        return answer

    async def get_function_configuration(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        version = await self._parts.database.read(find_qualified, reference)
        if version is None:
            raise_no_function(reference)
        return await self._shown(version, reference.qualifier)

    async def update_function_code(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        configuration.check("UpdateFunctionCode", {"PublishTo": request.get("PublishTo")})
        latest = await self._latest(reference, request)
        await code_signing.check_deployment(self._parts, reference.function, None)
        if images.check_update(latest, request):
            return await self._update_image(caller, reference, latest, request)
        data = await code.fetch(self._parts, caller, "UpdateFunctionCode", request)
        package = await code.keep(self._parts, data, others_bytes=latest.body.get("_layers_unzipped", 0))
        changes: dict[str, Any] = code.code_members(package)
        if request.get("Architectures"):
            changes["Architectures"] = list(request["Architectures"])
        if request.get("DryRun"):
            preview = {**latest.body, **changes}
            return await self._shown(Version(latest.function, 0, latest.revision, preview))
        return await self._change(reference, latest, changes, self._publish_as(request))

    async def update_function_configuration(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        configuration.check("UpdateFunctionConfiguration", request)
        latest = await self._latest(reference, request)
        if request.get("DurableConfig") and "DurableConfig" not in latest.body:
            # AWS: durability is a property of creation; the words are ours.
            raise invalid("You cannot enable durable execution on an existing function.")
        images.check_configuration(latest, request)
        if "Role" in request and request["Role"] != latest.body["Role"]:
            await self._check_role(request["Role"])
        body = configuration.changed(latest.body, request)
        if "Role" in request or "DeadLetterConfig" in request:
            operation = "UpdateFunctionConfiguration"
            await destinations.check_dead_letter(self._parts, caller, operation, reference.function, body)
        if "State" not in body.get("_states", {}):
            body.pop("_states", None)  # of an update that failed
        if "Layers" in request:
            for member in ("Layers", "_layers", "_layers_unzipped"):
                body.pop(member, None)
            if request["Layers"]:
                body.update(await layer_members(self._parts, caller, request["Layers"], runtime=body["Runtime"]))
            if "_unzipped" in body:
                code.check_unzipped(body["_unzipped"] + body.get("_layers_unzipped", 0), layers="Layers" in body)
        return await self._change(reference, latest, body, None, whole=True)

    async def delete_function(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        await self._parts.database.write(delete_qualified, reference)
        self._resolver.forget()
        self._parts.wake_provisioning()
        kept = await self._kept_keys(reference, first=0) if reference.qualifier else []
        await self._parts.invoker.retire(reference.function.arn, kept)
        return {"StatusCode": 204}

    async def list_functions(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        limit, after = limit_of(request), read_marker(request)
        if request.get("MasterRegion", "ALL") not in ("ALL", caller.region):
            # AWS: these are Lambda@Edge's replicas of another region's functions, and there are none.
            return {"Functions": []}
        if request.get("FunctionVersion") == "ALL":
            name, _, number = after.partition(":")
            versions = await self._parts.database.scan(
                store.list_all,
                caller.account,
                caller.region,
                after=(name, int(number or -1)),
                limit=limit + 1,
            )
        else:
            versions = await self._parts.database.scan(
                store.list_latest, caller.account, caller.region, after=after, limit=limit + 1
            )
        shown = [configuration.listed(version, qualified="FunctionVersion" in request) for version in versions[:limit]]
        answer: dict[str, Any] = {"Functions": shown}
        if len(versions) > limit:
            last = versions[limit - 1]
            key = f"{last.function.name}:{last.number}" if "FunctionVersion" in request else last.function.name
            answer["NextMarker"] = marker_of(key)
        return answer

    async def _shown(self, version: Version, qualifier: str = "") -> dict[str, Any]:
        """With a warning where this machine has not the function's very runtime."""
        runtime = version.body.get("Runtime", "")
        await self._parts.runtimes.look_for(runtime)
        return configuration.shown(version, qualifier=qualifier, warning=self._parts.runtimes.warning(runtime))

    def _publish_as(self, request: Mapping[str, Any]) -> publishing.Publish | None:
        if not request.get("Publish"):
            return None
        return publishing.Publish(revision=self._parts.ids.uuid(), now_ms=self._parts.clock.now_ms())

    async def _check_role(self, role: str) -> None:
        if not await self._parts.roles.may_assume(role, "lambda.amazonaws.com"):
            raise invalid("The role defined for the function cannot be assumed by Lambda.")

    async def _latest(self, reference: Reference, request: Mapping[str, Any]) -> Version:
        latest = await self._parts.database.read(store.find_version, reference.function, 0)
        if latest is None:
            raise_no_function(reference)
        if request.get("RevisionId") not in (None, latest.revision):
            raise user_error("PreconditionFailedException", STALE, status=412)
        if latest.body.get("_states", {}).get("LastUpdateStatus") == "InProgress":
            raise in_progress(reference)
        return latest

    def _code(self, version: Version) -> dict[str, Any]:
        image = version.body.get("_image")
        if image is None:
            return {"RepositoryType": "S3", "Location": self._parts.links.link(version.body["_package"])}
        return {"RepositoryType": "ECR", "ImageUri": image["uri"], "ResolvedImageUri": image["resolved"]}

    async def _with_image(
        self, caller: Caller, reference: Reference, body: dict[str, Any], request: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Part | None]:
        """A new function's body, and what is to be pulled for it. What is published at once is pulled at once."""
        found = await images.find(self._parts, caller, reference.function, request["Code"]["ImageUri"])
        body = {**body, **images.code_members(found)}
        if request.get("Publish"):
            await self._pull_now(caller, reference, found)
            return body, None
        return images.pending(body), self._pull_of(reference, body["_image"])

    async def _pull_now(self, caller: Caller, reference: Reference, found: FoundImage) -> None:
        try:
            await self._parts.images.pull(found, images.lambda_for(reference.function))
        except ImageRefused as error:
            raise images.refusal(found.uri, error) from None

    def _pull_of(self, reference: Reference, image: Mapping[str, str]) -> Part:
        return Part(reference.function, "pull", "", self._parts.ids.uuid(), {"image": dict(image)})

    async def _update_image(
        self, caller: Caller, reference: Reference, latest: Version, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        found = await images.find(self._parts, caller, reference.function, request["ImageUri"])
        changes: dict[str, Any] = images.code_members(found)
        if request.get("Architectures"):
            changes["Architectures"] = list(request["Architectures"])
        body = {name: value for name, value in latest.body.items() if name != "_states"}
        if request.get("DryRun"):
            return await self._shown(Version(latest.function, 0, latest.revision, {**body, **changes}))
        if request.get("Publish"):
            await self._pull_now(caller, reference, found)
            return await self._change(reference, latest, {**body, **changes}, self._publish_as(request), whole=True)
        if latest.body.get("_states", {}).get("State") == "Failed":
            # It never ran: it is as if it were made anew.
            body, changes = images.pending({**body, **changes}), {}
        else:
            body = images.updating(body, changes)
        pull = self._pull_of(reference, found_image(found))
        return await self._change(reference, latest, body, None, whole=True, pull=pull)

    async def _change(
        self,
        reference: Reference,
        latest: Version,
        changes: Mapping[str, Any],
        publish: publishing.Publish | None,
        *,
        whole: bool = False,
        pull: Part | None = None,
    ) -> dict[str, Any]:
        body = {**({} if whole else latest.body), **changes}
        body["LastModified"] = timestamp(self._parts.clock.now_ms())
        version = await self._parts.database.write(
            replace_latest, latest, Version(latest.function, 0, self._parts.ids.uuid(), body), publish, pull
        )
        self._resolver.forget()
        if pull is not None:
            self._parts.wake_pulls()
        await self._parts.invoker.retire(reference.function.arn, await self._kept_keys(reference))
        await get_ready(self._parts, version)
        return await self._shown(version)

    async def _kept_keys(self, reference: Reference, *, first: int = 1) -> list[str]:
        """What the engine may keep: published versions go on as they are when only `$LATEST` has changed."""
        versions = await self._parts.database.scan(
            store.list_versions, reference.function, after=first - 1, limit=VERSIONS_MAX
        )
        return [engine_key(version) for version in versions]


def engine_key(version: Version) -> str:
    return f"{version.function.arn}:{version.version}:{version.revision}"


def found_image(found: FoundImage) -> dict[str, str]:
    return {"uri": found.uri, "resolved": found.resolved, "digest": found.digest}


def in_progress(reference: Reference) -> AwsError:
    return conflict(
        "The operation cannot be performed at this time. "
        f"An update is in progress for resource: {reference.function.arn}"
    )


def insert_function(
    tx: Transaction,
    function: Function,
    body: dict[str, Any],
    revision: str,
    publish: publishing.Publish | None,
    signing: str | None = None,
    pull: Part | None = None,
) -> Version:
    if not store.add_function(tx, function):
        raise conflict(f"Function already exist: {function.name.name}")
    code.check_storage(tx, function.name.account, function.name.region, body["CodeSize"])
    version = Version(function.name, 0, revision, body)
    store.save_version(tx, version)
    if signing:
        code_signing.attach(tx, Reference(function.name, ""), signing, revision)
    if pull is not None:
        store.save_part(tx, pull)
    return publishing.publish(tx, version, publish) if publish else version


def replace_latest(
    tx: Transaction,
    seen: Version,
    changed: Version,
    publish: publishing.Publish | None,
    pull: Part | None = None,
) -> Version:
    """Compare and set: two changes at once do not lose one."""
    latest = store.find_version(tx, seen.function, 0)
    if latest is None:
        raise_no_function(Reference(seen.function, ""))
    if latest.revision != seen.revision:
        raise in_progress(Reference(seen.function, ""))
    more = changed.body["CodeSize"] - latest.body["CodeSize"]
    if more > 0:
        code.check_storage(tx, seen.function.account, seen.function.region, more)
    store.save_version(tx, changed)
    if pull is not None:
        store.save_part(tx, pull)
    return publishing.publish(tx, changed, publish) if publish else changed


def delete_qualified(tx: Transaction, reference: Reference) -> None:
    function = store.find_function(tx, reference.function)
    if function is None:
        raise_no_function(reference)
    if not reference.qualifier:
        store.delete_function(tx, reference.function)
        return
    number = number_of(reference.qualifier)
    if number == 0:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    if number is None:
        raise invalid("Deletion of aliases is not currently supported.")
    pointing = [
        part.id
        for part in store.list_parts(tx, reference.function, "alias")
        if reference.qualifier in (part.body["FunctionVersion"], *part.body.get("Weights", {}))
    ]
    if pointing:
        raise conflict(
            f"Version {reference.qualifier} of function {reference.function.name} cannot be deleted because aliases "
            f"point to it: {', '.join(pointing)}"
        )
    store.delete_version(tx, reference.function, number)
    store.delete_parts_of(tx, reference.function, reference.qualifier)
