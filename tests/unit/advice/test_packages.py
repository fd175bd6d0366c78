"""What a package weighs, by dependency, and what of it need not be there."""

from __future__ import annotations

import io
import zipfile

import pytest

from pilotlight.advice.packages import owners, slimmed, weigh, with_files


def archive(**files: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as package:
        for name, text in files.items():
            package.writestr(name, text)
    return target.getvalue()


def names(data: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return set(package.namelist())


PYTHON = {
    "app.py": "x",
    "helpers/one.py": "xx",
    "PIL/Image.py": "y" * 50,
    "pillow.libs/libjpeg.so.62": "z" * 30,
    "pillow-11.0.dist-info/METADATA": "Name: pillow",
    "boto3/__init__.py": "b" * 20,
    "boto3-1.40.dist-info/RECORD": "",
    "six.py": "s" * 5,
    "six-1.17.dist-info/RECORD": "",
    "helpers/__pycache__/one.cpython-312.pyc": "c" * 9,
}


def test_a_dependency_has_its_package_its_metadata_and_its_libraries() -> None:
    owner = owners(PYTHON)
    assert owner["PIL/Image.py"] == "PIL"
    assert owner["boto3-1.40.dist-info/RECORD"] == owner["boto3/__init__.py"] == "boto3"
    assert owner["six.py"] == "six"
    assert owner["app.py"] == owner["helpers/one.py"] == "your code"


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("node_modules/left-pad/index.js", "left-pad"),
        ("node_modules/@aws-sdk/client-s3/dist/index.js", "@aws-sdk/client-s3"),
        ("node_modules/a/node_modules/b/index.js", "a"),
        ("lib/jackson-core.jar", "jackson-core.jar"),
        ("java/lib/jackson-core.jar", "jackson-core.jar"),
        ("src/node.js", "your code"),
    ],
)
def test_whose_a_file_is(name: str, owner: str) -> None:
    assert owners([name])[name] == owner


def test_the_heaviest_comes_first_and_says_what_the_runtime_brings() -> None:
    weight = weigh(archive(**PYTHON), "python3.12")
    assert weight.parts[0].name == "PIL"
    assert {part.name for part in weight.parts if part.provided} == {"boto3", "six"}
    assert weight.needless == 9
    assert weight.native == ["pillow.libs/libjpeg.so.62"]
    assert weight.size == sum(len(text) for text in PYTHON.values())


def test_another_runtime_does_not_bring_them() -> None:
    assert not [part for part in weigh(archive(**PYTHON), "nodejs20.x").parts if part.provided]


def test_a_slimmer_package_keeps_what_is_needed() -> None:
    left = names(slimmed(archive(**PYTHON), "python3.12"))
    assert {"app.py", "helpers/one.py", "PIL/Image.py", "pillow.libs/libjpeg.so.62"} <= left
    assert not any("boto3" in name or "six" in name or "__pycache__" in name for name in left)


def test_files_of_ours_replace_those_of_the_same_name() -> None:
    data = with_files(archive(**{"app.py": "x", "probe.py": "theirs"}), {"probe.py": "ours"})
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert sorted(package.namelist()) == ["app.py", "probe.py"]
        assert package.read("probe.py") == b"ours"


def test_what_is_no_archive_is_refused() -> None:
    with pytest.raises(zipfile.BadZipFile):
        weigh(b"not a zip", "python3.12")
