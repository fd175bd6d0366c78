"""What a request's `Host` says: a service, a bucket, an API, or just this machine.

Names of AWS and of LocalStack are both understood, so that clients which build host names themselves
(virtual-host buckets, `execute-api`) reach the cloud by either.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

LOCAL_SUFFIXES = (".localhost.localstack.cloud", ".localhost")
AWS_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".on.aws", ".api.aws")
HOSTS_CACHED_MAX = 512
PLAIN = {"localhost", "localhost.localstack.cloud", "amazonaws.com", "host.docker.internal", ""}


@dataclass(frozen=True, slots=True)
class HostRoute:
    """`service` as the host name has it (`s3`, `execute-api`, `lambda` …), or nothing."""

    service: str = ""
    resource: str = ""
    """A bucket's name, an API's id, a registry's account and region: `000000000000/us-east-1`."""
    known: bool = True


def split_port(host: str) -> str:
    """The name without its port; IPv6 addresses without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") <= 1 else host


@lru_cache(HOSTS_CACHED_MAX)
def read_host(host: str, further: frozenset[str] = frozenset()) -> HostRoute:
    """`further` are names that the operator added; each may also carry service prefixes."""
    name = split_port(host.lower()).rstrip(".")
    if name in PLAIN or name in further or _is_address(name):
        return HostRoute()
    suffixes = (*LOCAL_SUFFIXES, *AWS_SUFFIXES, *("." + other for other in further))
    for suffix in suffixes:
        if name.endswith(suffix):
            return _read_labels(name.removesuffix(suffix))
    return HostRoute(known=False)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _read_labels(prefix: str) -> HostRoute:
    """`bucket.s3.us-east-1`, `abc123.execute-api.eu-west-1`, `dynamodb.us-east-1`, `s3-website.…`."""
    labels = prefix.split(".")
    if labels[1:3] == ["dkr", "ecr"]:
        return HostRoute("ecr-registry", "/".join((labels[0], *labels[3:4])))
    for index, label in enumerate(labels):
        if label in ("s3", "execute-api", "lambda-url", "s3-website") or label.startswith(("s3-", "s3express-")):
            service = "s3" if label.startswith("s3-") and label != "s3-website" else label
            if label.startswith("s3-website"):
                service = "s3-website"
            return HostRoute(service, ".".join(labels[:index]))
    return HostRoute(labels[0])
