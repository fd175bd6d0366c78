"""One small function in each language, built as its users build it. Whoever lacks a toolchain is told so."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import RuntimeUnavailable
from pilotlight.engine.runtimes.jvms import Jvms
from pilotlight.engine.runtimes.nodes import Nodes
from pilotlight.engine.runtimes.rubies import Rubies
from pilotlight.engine.runtimes.shared import BOOTSTRAPS

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pilotlight-benchmarks"
BUILD_SECONDS = 1200
BOTH_MB = (1769, 128)
NODE = "exports.handler = async (event) => event\n"
NODE_SDK = """\
const { S3Client } = require('@aws-sdk/client-s3')
const s3 = new S3Client({})
exports.handler = async (event) => ({ ...event, client: typeof s3.send })
"""
RUBY = "def handler(event:, context:) = event\n"
GO = """\
package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(ctx context.Context, event json.RawMessage) (json.RawMessage, error) { return event, nil })
}
"""
GO_MODULE = "module bench\n\ngo 1.21\n\nrequire github.com/aws/aws-lambda-go v1.49.0\n"
WASM = 'package main\n\nimport (\n\t"io"\n\t"os"\n)\n\nfunc main() {\n\tio.Copy(os.Stdout, os.Stdin)\n}\n'
RUST = """\
use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde_json::Value;

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> { Ok(event.payload) }

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> { run(service_fn(handle)).await }
"""
RUST_PACKAGE = """\
[package]
name = "bootstrap"
version = "0.1.0"
edition = "2021"
[dependencies]
lambda_runtime = "0.13"
serde_json = "1"
tokio = { version = "1", features = ["macros", "rt"] }
"""
JAVA = """\
import com.amazonaws.services.lambda.runtime.*;
import java.util.Map;

public class Hello implements RequestHandler<Map<String, Object>, Map<String, Object>> {
  public Map<String, Object> handleRequest(Map<String, Object> event, Context context) { return event; }
}
"""
JAVA_SDK = """\
import com.amazonaws.services.lambda.runtime.*;
import java.util.Map;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.s3.S3Client;

public class Hello implements RequestHandler<Map<String, Object>, Map<String, Object>> {
  static final S3Client S3 = S3Client.builder().httpClient(UrlConnectionHttpClient.create()).build();
  static final DynamoDbClient DB = DynamoDbClient.builder().httpClient(UrlConnectionHttpClient.create()).build();
  public Map<String, Object> handleRequest(Map<String, Object> event, Context context) { return event; }
}
"""
JAVA_SDK_VERSION = "2.31.9"
JAVA_PROJECT = """\
<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>bench</artifactId><version>1</version>
<dependencies>{dependencies}</dependencies></project>
"""
JAVA_DEPENDENCY = (
    "<dependency><groupId>software.amazon.awssdk</groupId><artifactId>{name}</artifactId><version>{version}</version>"
    "<exclusions><exclusion><groupId>software.amazon.awssdk</groupId><artifactId>netty-nio-client</artifactId></exclusion>"
    "<exclusion><groupId>software.amazon.awssdk</groupId><artifactId>apache-client</artifactId></exclusion></exclusions>"
    "</dependency>"
)


class Missing(Exception):
    """It cannot be built here; the message says what is lacking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A function, ready to be created."""

    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """For CreateFunction."""
    package: bytes = b""
    image: bytes = b""
    """Instead of a package: a static program, to be put into an image alone."""
    prepares: bool = False
    """Whether something is made of it when it is published, which an early start does not wait for."""
    memories_mb: tuple[int, ...] = BOTH_MB


Build = Callable[[], Program]


def zipped(files: Mapping[str, bytes | Path]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.external_attr = 0o755 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content if isinstance(content, bytes) else content.read_bytes())
    return data.getvalue()


def run(*command: str, folder: Path, **variables: str) -> None:
    """Raises Missing."""
    if shutil.which(command[0]) is None:
        raise Missing(f"there is no {command[0]} on this host")
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Missing(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")


def built(name: str, sources: Mapping[str, str], *commands: tuple[str, ...], **variables: str) -> Path:
    """A directory with these files, in which these commands have run; kept for the next time."""
    digest = hashlib.sha256(repr((sorted(sources.items()), commands, sorted(variables.items()))).encode()).hexdigest()
    target = CACHE / f"{name}-{digest[:16]}"
    if not (target / ".done").exists():
        shutil.rmtree(target, ignore_errors=True)
        for path, text in sources.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text)
        for command in commands:
            run(*command, folder=target, **variables)
        (target / ".done").touch()
    return target


def node() -> Program:
    runtime = _node()
    package = zipped({"app.js": NODE.encode()})
    return Program(label=f"{runtime}", settings={"Runtime": runtime, "Handler": "app.handler"}, package=package)


def node_sdk() -> Program:
    runtime = _node()
    install = ("npm", "install", "--no-audit", "--no-fund", "--silent", "@aws-sdk/client-s3")
    folder = built("node-sdk", {"app.js": NODE_SDK, "package.json": "{}"}, install)
    files = {str(path.relative_to(folder)): path for path in _scripts(folder)}
    return Program(
        label=f"{runtime}, AWS SDK v3's client for S3",
        settings={"Runtime": runtime, "Handler": "app.handler"},
        package=zipped(files),
        prepares=True,
    )


def _node() -> str:
    try:
        found = Nodes(strict=False).found()
    except RuntimeUnavailable as error:
        raise Missing(str(error)) from None
    if not found:
        raise Missing("there is no Node.js on this host")
    return f"nodejs{min(24, max(found))}.x"


def _scripts(folder: Path) -> Iterator[Path]:
    """What a bundler would not leave out: no second copy as ES modules, no types."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".js", ".cjs", ".json") and path.is_file() and "dist-es" not in path.parts:
            yield path


def go() -> Program:
    settings = {"Runtime": "provided.al2023", "Handler": "bootstrap"}
    return Program(label="Go, provided.al2023", settings=settings, package=zipped({"bootstrap": _go()}))


def _go() -> Path:
    build = ("go", "build", "-mod=mod", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", "bootstrap", ".")
    sources = {"main.go": GO, "go.mod": GO_MODULE}
    return built("go", sources, build, CGO_ENABLED="0", GOTOOLCHAIN="local") / "bootstrap"


def image() -> Program:
    if os.geteuid() != 0:
        raise Missing("container images need a sandbox, and that root")
    return Program(label="container image, Go", settings={"PackageType": "Image"}, image=_go().read_bytes())


def wasm() -> Program:
    build = ("go", "build", "-ldflags", "-s -w", "-o", "main.wasm", ".")
    sources = {"main.go": WASM, "go.mod": "module bench\n\ngo 1.21\n"}
    module = built("wasm", sources, build, GOOS="wasip1", GOARCH="wasm", GOTOOLCHAIN="local") / "main.wasm"
    return Program(
        label="Go, wasip1",
        settings={"Runtime": "wasip1", "Handler": "main"},
        package=zipped({"main.wasm": module}),
    )


def rust() -> Program:
    folder = built(
        "rust",
        {"src/main.rs": RUST, "Cargo.toml": RUST_PACKAGE},
        ("cargo", "build", "--release", "--quiet"),
        CARGO_TARGET_DIR="target",
    )
    settings = {"Runtime": "provided.al2023", "Handler": "bootstrap"}
    package = zipped({"bootstrap": folder / "target" / "release" / "bootstrap"})
    return Program(label="Rust, provided.al2023", settings=settings, package=package)


def ruby() -> Program:
    found = Rubies(strict=False).found()
    if not found:
        raise Missing("there is no Ruby on this host")
    settings = {"Runtime": "ruby3.3", "Handler": "app.handler"}
    newest = ".".join(str(part) for part in max(found))
    return Program(label=f"Ruby {newest}", settings=settings, package=zipped({"app.rb": RUBY.encode()}))


def java(major: int) -> Program:
    folder = _java(major, "java", JAVA)
    package = zipped({"Hello.class": folder / "Hello.class"})
    return _of_java(major, f"Java {major}", package, BOTH_MB)


def java_sdk(major: int) -> Program:
    names = ("s3", "dynamodb", "url-connection-client")
    dependencies = "".join(JAVA_DEPENDENCY.format(name=name, version=JAVA_SDK_VERSION) for name in names)
    fetch = ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime")
    jars = built("java-sdk", {"pom.xml": JAVA_PROJECT.format(dependencies=dependencies)}, fetch) / "lib"
    folder = _java(major, "java-with-sdk", JAVA_SDK, jars)
    files: dict[str, bytes | Path] = {"Hello.class": folder / "Hello.class"}
    files |= {f"lib/{jar.name}": jar for jar in sorted(jars.glob("*.jar"))}
    return _of_java(major, f"Java {major}, AWS SDK v2's clients for S3 and DynamoDB", zipped(files), (1769,))


def _java(major: int, name: str, source: str, jars: Path | None = None) -> Path:
    if major not in Jvms(strict=False).found():
        raise Missing(f"there is no Java {major} on this host")
    path = str(BOOTSTRAPS / "java" / "bootstrap.jar") + (f":{jars}/*" if jars else "")
    return built(name, {"Hello.java": source}, ("javac", "--release", "17", "-cp", path, "Hello.java"))


def _of_java(major: int, label: str, package: bytes, memories_mb: tuple[int, ...]) -> Program:
    settings = {"Runtime": f"java{major}", "Handler": "Hello"}
    return Program(label=label, settings=settings, package=package, prepares=True, memories_mb=memories_mb)


PROGRAMS: dict[str, list[Build]] = {
    "node": [node, node_sdk],
    "go": [go],
    "rust": [rust],
    "ruby": [ruby],
    "wasm": [wasm],
    "images": [image],
    "java": [
        lambda: java(17),
        lambda: java(21),
        lambda: java(25),
        lambda: java_sdk(17),
        lambda: java_sdk(21),
        lambda: java_sdk(25),
    ],
}
