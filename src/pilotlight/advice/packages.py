"""What a package weighs, by dependency, and what of it need not be there. Pure."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

OWN = "your code"
PYTHON_PROVIDED = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3", "python_dateutil")
"""AWS: Python's runtimes have the SDK and what it needs."""
NODE_PROVIDED = ("@aws-sdk", "@smithy", "aws-sdk")
"""AWS: nodejs18.x and later have version 3 of the SDK, earlier ones version 2."""
NEEDLESS = re.compile(
    r"(^|/)(__pycache__|tests?|\.git|\.github|docs?|examples?|benchmarks?|\.pytest_cache|\.mypy_cache|\.serverless)/"
    r"|\.(pyc|pyo|md|rst|map|ts\.map|d\.ts|c|cpp|h|pyx|orig|log)$|(^|/)(\.DS_Store|Thumbs\.db|npm-debug\.log)$"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A dependency, or the function's own code. Bytes unpacked and packed."""

    name: str
    size: int
    packed: int
    files: int
    provided: bool
    """Whether the runtime brings it anyway."""


@dataclass(frozen=True, slots=True)
class Weight:
    parts: list[Part]
    needless: int
    """Unpacked bytes of tests, caches, documentation and source maps."""
    native: list[str]
    """Compiled modules."""

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def packed(self) -> int:
        return sum(part.packed for part in self.parts)


def weigh(archive: bytes, runtime: str) -> Weight:
    """Largest part first. Raises zipfile.BadZipFile."""
    sizes: dict[str, list[int]] = {}
    needless, native = 0, []
    with zipfile.ZipFile(io.BytesIO(archive)) as package:
        files = [info for info in package.infolist() if not info.is_dir()]
        owner = owners(info.filename for info in files)
        for info in files:
            entry = sizes.setdefault(owner[info.filename], [0, 0, 0])
            for index, amount in enumerate((info.file_size, info.compress_size, 1)):
                entry[index] += amount
            if is_needless(info.filename):
                needless += info.file_size
            if re.search(r"\.(so|node|dylib|pyd)(\.\d+)*$", info.filename):
                native.append(info.filename)
    parts = [
        Part(name, size, packed, count, is_provided(name, runtime)) for name, (size, packed, count) in sizes.items()
    ]
    return Weight(sorted(parts, key=lambda part: -part.size), needless, native)


def owners(names: Iterable[str]) -> dict[str, str]:
    """Whose each file is: a Python package's with metadata, a folder's of node_modules, a jar's, or your own."""
    names = list(names)
    distributions = {match[1].lower() for name in names if (match := re.match(r"([^/]+?)-[^/]+\.dist-info/", name))}
    tops = {name.split("/")[0] for name in names if "/" in name}
    installed = {top for top in tops if top.lower().replace("-", "_") in _named(distributions)}
    return {name: _owner(name, installed, distributions) for name in names}


def _named(distributions: Iterable[str]) -> set[str]:
    names = {one.replace("-", "_") for one in distributions}
    aliases = {"pillow": "pil", "pyyaml": "yaml", "python_dateutil": "dateutil", "beautifulsoup4": "bs4"}
    return names | {aliases[one] for one in names if one in aliases}


def _owner(name: str, installed: set[str], distributions: set[str]) -> str:
    if match := re.search(r"(?:^|/)node_modules/((?:@[^/]+/)?[^/]+)/", name):
        return match[1]
    if match := re.match(r"(?:java/)?lib/([^/]+\.jar)$", name):
        return match[1]
    if match := re.match(r"([^/]+?)-[^/]+\.dist-info/", name):
        return next((top for top in installed if top.lower() == match[1].lower()), match[1])
    if match := re.match(r"([^/]+)\.libs/", name):
        return next((top for top in installed if top.lower() == match[1].lower()), match[1])
    top = name.split("/")[0]
    if top in installed:
        return top
    bare = top.removesuffix(".py").lower()
    return bare if "/" not in name and bare in distributions else OWN


def is_provided(name: str, runtime: str) -> bool:
    if runtime.startswith("python"):
        return name.lower().replace("-", "_") in PYTHON_PROVIDED
    if runtime.startswith("nodejs"):
        return name.split("/")[0] in NODE_PROVIDED
    return False


def is_needless(name: str) -> bool:
    return bool(NEEDLESS.search(name))


def slimmed(archive: bytes, runtime: str) -> bytes:
    """The same package without what is needless or provided."""
    with zipfile.ZipFile(io.BytesIO(archive)) as package:
        owner = owners(info.filename for info in package.infolist())
        kept = [
            info
            for info in package.infolist()
            if not is_needless(info.filename) and not is_provided(owner[info.filename], runtime)
        ]
        return _written((info, package.read(info)) for info in kept)


def with_files(archive: bytes, files: Mapping[str, str]) -> bytes:
    """The same package with files of ours beside its own."""
    with zipfile.ZipFile(io.BytesIO(archive)) as package:
        ours = [(_readable(name), text.encode()) for name, text in files.items()]
        kept = [(info, package.read(info)) for info in package.infolist() if info.filename not in files]
        return _written(iter([*kept, *ours]))


def _readable(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o100644 << 16
    return info


def _written(entries: Iterator[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for info, data in entries:
            info.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(info, data)
    return target.getvalue()
