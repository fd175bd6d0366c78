"""ECR's names and refusals, in AWS's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.ecr.store import Repository

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{_PART}(?:/{_PART})*")
NAME_LENGTHS = range(2, 257)
DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
ANY_DIGEST = re.compile(r"[a-zA-Z0-9\-_+.]+:[a-fA-F0-9]+")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
ACCOUNT = re.compile(r"[0-9]{12}")


def registry_of(caller: Caller, request: Mapping[str, Any]) -> str:
    """The account whose registry is meant: the caller's own where none is named."""
    return str(request.get("registryId") or caller.account)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def unsatisfied(member: str, what: str) -> AwsError:
    return invalid(f"Invalid parameter at '{member}' failed to satisfy constraint: '{what}'")


def check_name(name: str) -> None:
    if len(name) not in NAME_LENGTHS or not NAME.fullmatch(name):
        pattern = r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"
        raise unsatisfied("repositoryName", f"must satisfy regular expression '{pattern}'")


def no_repository(name: str, account: str) -> AwsError:
    return AwsError(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{account}'",
    )


def no_image(repository: Repository, *, digest: str = "", tag: str = "") -> AwsError:
    named = ", ".join([f"imageDigest:'{digest or 'null'}'", f"imageTag:'{tag or 'null'}'"])
    return AwsError(
        "ImageNotFoundException",
        f"The image with imageId {{{named}}} does not exist within the repository with name '{repository.name}' "
        f"in the registry with id '{repository.account}'",
    )


def no_upload(repository: Repository, upload: str) -> AwsError:
    return AwsError(
        "UploadNotFoundException",
        f"The upload with ID '{upload}' does not exist in the repository with name '{repository.name}' in the "
        f"registry with id '{repository.account}'",
    )


def host_of(repository_account: str, region: str, port: int) -> str:
    """Where a registry is reached. AWS's own host names are understood, too, by whoever can point them here."""
    return f"{repository_account}.dkr.ecr.{region}.localhost.localstack.cloud:{port}"
