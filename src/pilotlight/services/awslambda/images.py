"""Functions made of container images: which image is meant, whether it may be had, and its way to this machine.

AWS: the image is checked while the caller waits and pinned by its digest; then the function is `Pending`, or its update
in progress, until all of it is here. A row of the kind `pull` says what is still to be done, and survives a restart.
Lambda itself reads the image, so the repository's policy has to let it; where the policy does not, and the caller may
change it, Lambda adds the permission.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.names import invalid, user_error
from pilotlight.services.awslambda.store import Name, Part, Version
from pilotlight.services.awslambda.surroundings import FoundImage, ImageRefused, Surroundings
from pilotlight.storage import Transaction

WORKING_DIRECTORY_CHARACTERS_MAX = 1000
CONFIG_ENTRIES_MAX = 1500
STATEMENT = "LambdaECRImageRetrievalPolicy"
PULL_ACTIONS = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
REASONS = {
    "InvalidImage": "The image is not valid: {0}",
    "ImageAccessDenied": "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
    "ImageDeleted": "The image was deleted: {0}",
    "InternalError": "The image could not be read: {0}",
}


def is_image(body: Mapping[str, Any]) -> bool:
    return body.get("PackageType") == "Image"


def check_creation(request: Mapping[str, Any]) -> bool:
    """Whether an image is asked for, with nothing beside it that images have not."""
    wanted, source = request.get("PackageType", "Zip"), request["Code"]
    if wanted != "Image":
        if source.get("ImageUri") or request.get("ImageConfig"):
            raise invalid("Please do not provide ImageUri or ImageConfig when PackageType is Zip.")
        return False
    if request.get("Handler") or request.get("Runtime") or request.get("Layers"):
        # AWS: in these words, seen in pulumi-aws#5439.
        raise invalid(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
        )
    if any(source.get(member) for member in ("ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion")):
        raise invalid("Please do not provide other FunctionCode parameters when providing an ImageUri.")
    if not source.get("ImageUri"):
        raise invalid("Please provide ImageUri when creating a function with packageType Image.")
    return True


def check_update(latest: Version, request: Mapping[str, Any]) -> bool:
    """The same for UpdateFunctionCode."""
    if is_image(latest.body):
        if not request.get("ImageUri"):
            # AWS: appleboy/lambda-action#28.
            raise invalid("Please provide ImageUri when updating a function with packageType Image.")
        return True
    if request.get("ImageUri"):
        raise invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
    return False


def check_configuration(latest: Version, request: Mapping[str, Any]) -> None:
    if is_image(latest.body):
        if request.get("Layers"):
            raise invalid("Lambda layers are not supported for functions created with container images.")
        if request.get("Handler") or request.get("Runtime"):
            raise invalid(
                "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
            )
    elif request.get("ImageConfig"):
        raise invalid("ImageConfig is not supported for functions created with Zip packages.")


def config_members(request: Mapping[str, Any]) -> dict[str, Any]:
    """`ImageConfig` as it is kept. An empty one takes the settings away."""
    given = request.get("ImageConfig") or {}
    config = {member: given[member] for member in ("EntryPoint", "Command", "WorkingDirectory") if given.get(member)}
    for member in ("EntryPoint", "Command"):
        if len(config.get(member, ())) > CONFIG_ENTRIES_MAX:
            raise invalid(f"ImageConfig.{member} has more than {CONFIG_ENTRIES_MAX} entries.")
    directory = config.get("WorkingDirectory", "")
    if len(directory) > WORKING_DIRECTORY_CHARACTERS_MAX or (directory and not directory.startswith("/")):
        raise invalid("ImageConfig.WorkingDirectory must be an absolute path of at most 1000 characters.")
    return config


async def find(parts: Surroundings, caller: Caller, function: Name, uri: str) -> FoundImage:
    """The image behind an address, as Lambda reads it. Raises AWS's refusals."""
    service = lambda_for(function)
    try:
        try:
            return await parts.images.find(uri, service)
        except ImageRefused as error:
            if error.code != "ImageAccessDenied" or not error.repository:
                raise
            await _permit(parts, caller, error.repository, error.registry)
            return await parts.images.find(uri, service)
    except ImageRefused as error:
        raise refusal(uri, error) from None


def refusal(uri: str, error: ImageRefused) -> AwsError:
    if error.code == "ImageAccessDenied":
        message = "Lambda does not have permission to access the ECR image. Check the ECR permissions."
        return user_error("AccessDeniedException", message, status=403)
    if error.code == "ImageDeleted":
        return invalid(f"Source image {uri} does not exist. Provide a valid source image.")
    if error.code == "MediaType":
        return invalid(f"The image manifest, config or layer media type for the source image {uri} is not supported.")
    if error.code == "Registry":
        return NotImplementedHere(f"images of the registry {error}: name it in PILOTLIGHT_REGISTRIES")
    return invalid(f"Source image {uri} is not valid. Provide a valid source image.")


def lambda_for(function: Name) -> Caller:
    """Lambda, acting for a function."""
    return Caller.of_service(
        "lambda.amazonaws.com", account=function.account, region=function.region, source_arn=function.arn
    )


async def _permit(parts: Surroundings, caller: Caller, repository: str, registry: str) -> None:
    """AWS: Lambda gives itself the permission where the caller may give it; cross-account it cannot."""
    place = {"registryId": registry, "repositoryName": repository}
    if registry != caller.account:
        raise ImageRefused("ImageAccessDenied", "another account's repository does not let Lambda read it")
    try:
        kept = (await parts.cloud.call("ecr", "GetRepositoryPolicy", place, caller))["policyText"]
    except AwsError as error:
        if error.code == "RepositoryNotFoundException":
            raise ImageRefused("ImageDeleted", error.message) from None
        if error.code != "RepositoryPolicyNotFoundException":
            raise ImageRefused("ImageAccessDenied", error.message) from None
        kept = '{"Version": "2012-10-17", "Statement": []}'
    policy = json.loads(kept)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    ours = {
        "Sid": STATEMENT,
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": PULL_ACTIONS,
        "Condition": {"StringLike": {"aws:sourceArn": f"arn:aws:lambda:{caller.region}:{registry}:function:*"}},
    }
    others = [one for one in statements if one.get("Sid") != STATEMENT]
    text = json.dumps({**policy, "Statement": [*others, ours]})
    try:
        await parts.cloud.call("ecr", "SetRepositoryPolicy", {**place, "policyText": text}, caller)
    except AwsError as error:
        raise ImageRefused("ImageAccessDenied", error.message) from None


def code_members(found: FoundImage) -> dict[str, Any]:
    """AWS: an image's size is shown as nothing, and its hash is the digest in hexadecimal."""
    return {
        "CodeSha256": found.digest.removeprefix("sha256:"),
        "CodeSize": 0,
        "_image": {"uri": found.uri, "resolved": found.resolved, "digest": found.digest},
    }


def pending(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **body,
        "_states": {
            "State": "Pending",
            "StateReason": "The function is being created.",
            "StateReasonCode": "Creating",
            "LastUpdateStatus": "InProgress",
            "LastUpdateStatusReason": "The function is being created.",
            "LastUpdateStatusReasonCode": "Creating",
        },
    }


def updating(body: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The old code runs on until the new one is here."""
    return {
        **body,
        "_update": dict(changes),
        "_states": {
            "LastUpdateStatus": "InProgress",
            "LastUpdateStatusReason": "The function is being updated.",
            "LastUpdateStatusReasonCode": "Updating",
        },
    }


class Pulls:
    """A reconciler's work: what is still to be pulled."""

    def __init__(self, parts: Surroundings, forget: Any) -> None:
        self._parts = parts
        self._forget = forget

    async def work(self) -> int | None:
        for part in await self._parts.database.read(store.every_part, "pull"):
            await self._pull(part)
        return None

    async def _pull(self, part: Part) -> None:
        failure: tuple[str, str] | None = None
        try:
            await self._parts.images.pull(FoundImage(**part.body["image"]), lambda_for(part.function))
        except ImageRefused as error:
            code = error.code if error.code in REASONS else "InvalidImage"
            failure = (code, REASONS[code].format(error))
        revision = self._parts.ids.uuid()
        if await self._parts.database.write(_settle, part, failure, revision):
            self._forget()
            await self._parts.invoker.retire(part.function.arn, await self._published(part.function))

    async def _published(self, function: Name) -> list[str]:
        versions = await self._parts.database.scan(store.list_versions, function, after=0, limit=100_000)
        return [f"{one.function.arn}:{one.version}:{one.revision}" for one in versions]


def _settle(tx: Transaction, part: Part, failure: tuple[str, str] | None, revision: str) -> bool:
    """Write down how a pull ended, unless the function has become another one's meanwhile."""
    kept = store.find_part(tx, part.function, "pull", part.id)
    latest = store.find_version(tx, part.function, 0)
    if kept is None or kept.revision != part.revision:
        return False
    store.delete_part(tx, part.function, "pull", part.id)
    if latest is None:
        return False
    body = dict(latest.body)
    update, states = body.pop("_update", None), body.pop("_states", {})
    if failure is None:
        body |= update or {}
    else:
        code, reason = failure
        told = {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": reason, "LastUpdateStatusReasonCode": code}
        if states.get("State") == "Pending":
            told |= {"State": "Failed", "StateReason": reason, "StateReasonCode": code}
        body["_states"] = told
    store.save_version(tx, Version(part.function, 0, revision, body))
    return True


def used(tx: Transaction) -> set[str]:
    """Digests of images that functions need, now or once a pull is through."""
    found = set()
    for body in store.image_bodies(tx):
        found |= {body["_image"]["digest"]} | ({body["_update"]["_image"]["digest"]} if "_update" in body else set())
    return found
