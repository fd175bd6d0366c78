"""A function tries to become another: by its keys, its memory, its listeners, its code. On a real cloud, over the wire.

The attacker is one function, which runs whatever Python it is sent and answers with `result`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
import textwrap
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud, start

pytestmark = [
    pytest.mark.linux,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]

ROOTLESS = os.geteuid() != 0
RUNTIME = f"python3.{sys.version_info.minor}"
OTHER = "111122223333"
MARK = "SECRETMARK-" + hashlib.sha256(b"of the victim").hexdigest()
ATTACKER = """
def handler(event, context):
    scope = dict(event)
    exec(event["code"], scope)
    return scope["result"]
"""
VICTIM = """
import os, boto3
KEPT = os.environ["MARK"] * 3
PLACES = ("access_key", "secret_key", "token")
def handler(event, context):
    found = boto3.Session().get_credentials()
    s3 = boto3.client("s3")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "victims", "Key": "secret"})
    open("/tmp/secret", "w").write(KEPT)
    lines = open("/proc/net/fib_trie").read().split()
    addresses = sorted({line for line in lines if line.count(".") == 3})
    return {"keys": [getattr(found, name) for name in PLACES], "url": url, "addresses": addresses,
            "read": s3.get_object(Bucket="victims", Key="secret")["Body"].read().decode()}
"""
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def allowing(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def zipped(source: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", source)
    return data.getvalue()


class Scene:
    """An attacker and a victim of one account, and a second victim of another."""

    accounts: ClassVar = {"": "000000000000", OTHER: OTHER}

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.lambdas = {name: self.client("lambda", name) for name in self.accounts}
        s3 = self.client("s3", "")
        s3.create_bucket(Bucket="victims")
        s3.put_object(Bucket="victims", Key="secret", Body=MARK)
        self._function("", "attacker", ATTACKER, allowing("s3:ListAllMyBuckets", "*"))
        self._function("", "reader", ATTACKER, "")
        self._function("", "victim", VICTIM, allowing("s3:GetObject", "arn:aws:s3:::victims/*"))
        self._function(OTHER, "foreigner", "import os\nKEPT = os.environ['MARK'] * 3\ndef handler(e, c): return 1", "")
        self.stolen = self._invoke("", "victim", {})
        self._invoke(OTHER, "foreigner", {})

    def client(self, service: str, account: str) -> Any:
        keys = {"aws_access_key_id": account, "aws_secret_access_key": "x"} if account else {}
        return self.cloud.client(service, **keys)

    def attack(self, code: str, by: str = "attacker", **given: Any) -> Any:
        return self._invoke("", by, {"code": textwrap.dedent(code), **given})

    def _function(self, account: str, name: str, source: str, policy: str) -> None:
        iam, functions = self.client("iam", account), self.lambdas[account]
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        if policy:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        functions.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Handler="app.handler",
            Role=f"arn:aws:iam::{self.accounts[account]}:role/{name}",
            Code={"ZipFile": zipped(source)},
            Environment={"Variables": {"MARK": MARK} if source != ATTACKER else {}},
            Timeout=30,
            MemorySize=512,
        )
        functions.get_waiter("function_active_v2").wait(FunctionName=name)

    def _invoke(self, account: str, name: str, event: Any) -> Any:
        answer = self.lambdas[account].invoke(FunctionName=name, Payload=json.dumps(event))
        told = json.load(answer["Payload"])
        assert "FunctionError" not in answer, told
        return told


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with start() as cloud:
        yield Scene(cloud)


def test_the_victim_itself_may(scene: Scene) -> None:
    """Else the tests below could not fail."""
    assert scene.stolen["read"] == MARK
    assert scene.attack("import boto3; result = len(boto3.client('s3').list_buckets()['Buckets'])") == 1


# Keys.

ASK = """
import boto3, botocore.exceptions
def ask(service, operation, keys, **parameters):
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    config = botocore.config.Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"})
    client = boto3.client(service, config=config, **dict(zip(names, keys)))
    try:
        getattr(client, operation)(**parameters)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "got through"
result = [
    ask("sts", "get_caller_identity", keys),
    ask("s3", "get_object", keys, Bucket="victims", Key="secret"),
    ask("lambda", "get_function", keys, FunctionName="victim"),
    ask("dynamodb", "list_tables", keys),
]
"""
REFUSED = {
    *("InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException", "SignatureDoesNotMatch"),
    *("InvalidSignatureException", "InvalidToken", "AccessDenied", "AccessDeniedException", "ExpiredToken"),
    *("MissingAuthenticationToken", "MissingAuthenticationTokenException", "Forbidden"),
}


@pytest.mark.parametrize("kind", ["test", "account", "root", "victim", "mixed", "user", "token of mine"])
def test_keys_of_others_open_nothing(scene: Scene, kind: str) -> None:
    own = scene.attack("import os; result = [os.environ['AWS_' + n] for n in names]", names=NAMES)
    theirs = scene.stolen["keys"]
    keys = {
        "user": _user_keys(scene) if kind == "user" else [],
        "test": ["test", "test"],
        "account": ["0" * 12, "test"],
        "root": [OTHER, "test"],
        "victim": theirs,
        "mixed": [own[0], *theirs[1:]],
        "token of mine": [theirs[0], theirs[1], own[2]],
    }[kind]
    answers = scene.attack(ASK, keys=keys)
    assert set(answers) <= REFUSED, answers


NAMES = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")


def _user_keys(scene: Scene, account: str = "") -> list[str]:
    """A person's own, who may do everything."""
    iam = scene.client("iam", account)
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName="ada")
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=allowing("*", "*"))
    made = iam.create_access_key(UserName="ada")["AccessKey"]
    return [made["AccessKeyId"], made["SecretAccessKey"]]


def test_its_own_role_is_all_it_has(scene: Scene) -> None:
    answers = scene.attack(ASK, keys=[])
    assert answers[0] == "got through"
    assert set(answers[1:]) <= REFUSED


def test_a_signed_address_of_another_role_opens_nothing(scene: Scene) -> None:
    code = """
    import urllib.request, urllib.error
    result = []
    for url in urls:
        try:
            result.append(urllib.request.urlopen(url, timeout=5).read().decode())
        except urllib.error.HTTPError as error:
            result.append(error.code)
    """
    outside = _presigned(scene)
    assert urllib.request.urlopen(outside).read().decode() == MARK
    parts = urlsplit(outside)
    inside = f"http://127.0.0.1:4566{parts.path}?{parts.query}"
    assert scene.attack(code, urls=[scene.stolen["url"], inside]) == [403, 403]


def _presigned(scene: Scene) -> str:
    keys = dict(zip(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), scene.stolen["keys"],
                    strict=True))  # fmt: skip
    s3 = boto3.client(
        "s3", endpoint_url=scene.cloud.endpoint, region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}), **keys,
    )  # fmt: skip
    return str(s3.generate_presigned_url("get_object", Params={"Bucket": "victims", "Key": "secret"}))


# What the endpoint inside believes.

RAW = """
import socket
def say(data, port=4566, host="127.0.0.1"):
    with socket.create_connection((host, port), 5) as line:
        line.sendall(data.encode("latin-1"))
        line.shutdown(socket.SHUT_WR)
        heard = b""
        while piece := line.recv(65536):
            heard += piece
        return heard.decode("latin-1")
result = [say(one) for one in sent]
"""
PORT = "localhost:4566"


def raw(method: str, path: str, *headers: str, body: str = "{}") -> str:
    lines = [f"{method} {path} HTTP/1.1", f"Content-Length: {len(body)}", "Connection: close", *headers]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.insert(1, f"Host: {PORT}")
    return "\r\n".join([*lines, "", body])


TRICKS = [
    raw("POST", "/_pilotlight/reset"),
    raw("POST", "/_pilotlight/reset", "X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1"),
    raw("POST", "/_localstack/state/reset"),
    raw("POST", "http://localhost:4566/_pilotlight/reset"),
    raw("POST", "//_pilotlight/reset"),
    raw("POST", "/_pilotlight/../_pilotlight/reset"),
    raw("POST", "/%5fpilotlight/reset"),
    raw("GET", "/_pilotlight/status"),
    raw("GET", "/victims/secret"),
    raw("GET", "/secret", "Host: victims.s3.localhost.localstack.cloud:4566"),
    raw("GET", "/victims/secret", "Authorization: AWS test:test"),
    raw("GET", "/victims/secret?AWSAccessKeyId=test&Signature=x&Expires=9999999999"),
    raw("GET", "/victims/secret", "X-Amz-Security-Token: x", "x-amz-date: 20260101T000000Z"),
    raw("GET", "/victims/secret", "X-Pilotlight-Instance: ", "instance: "),
    raw("GET", "/victims/secret", "Transfer-Encoding: chunked"),
    raw("POST", "/2015-03-31/functions/victim/invocations"),
    raw("GET", "/v2/_catalog"),
    raw("GET", "/v2/", "Authorization: Basic QVdTOnRlc3Q="),
    raw("POST", "/", "X-Amz-Target: DynamoDB_20120810.ListTables", "Content-Type: application/x-amz-json-1.0"),
]


def test_no_header_and_no_path_makes_it_somebody_else(scene: Scene) -> None:
    for sent, heard in zip(TRICKS, scene.attack(RAW, sent=TRICKS), strict=True):
        assert MARK not in heard, sent
        assert int(heard.split()[1]) in (400, 401, 403, 404, 405, 411, 501), (sent, heard)
    assert scene.lambdas[""].get_function(FunctionName="victim"), "nothing was reset"


def test_requests_hidden_in_requests_are_signed_by_nobody_either(scene: Scene) -> None:
    hidden = raw("POST", "/_pilotlight/reset")
    sent = [
        raw("GET", "/victims/a", f"Transfer-Encoding: chunked\r\nX: {len(hidden)}", body="0\r\n\r\n" + hidden),
        f"GET /victims/a HTTP/1.1\r\nHost: {PORT}\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n{hidden}",
        f"GET /victims/a HTTP/1.1\r\nHost: {PORT}\r\n\r\n{hidden}{hidden}",
        f"GET /victims/a HTTP/1.1\r\nHost: {PORT}\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n{hidden}",
    ]
    for heard in scene.attack(RAW, sent=sent):
        assert "HTTP/1.1 200" not in heard, heard
    assert scene.lambdas[""].get_function(FunctionName="victim"), "nothing was reset"


# Ways to the others' listeners, processes and files.


def test_listeners_of_others_are_not_reached(scene: Scene) -> None:
    """The victim's own addresses, the host's, and those between them, at each port that somebody of ours listens on."""
    code = """
    import socket
    from concurrent.futures import ThreadPoolExecutor
    def heard(place):
        line = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET)
        line.settimeout(0.3)
        try:
            line.connect(place)
            line.sendall(b"GET /2018-06-01/ping HTTP/1.0\\r\\n\\r\\n")
            return line.recv(9).decode()
        except OSError:
            return ""
        finally:
            line.close()
    mine = open("/proc/net/fib_trie").read().split()
    hosts = {*addresses, "169.254.169.254", "169.254.170.2", "169.254.100.1", "::ffff:127.0.0.2"} - {"127.0.0.1"}
    places = [(host, port) for host in hosts if host.startswith("127.") or host not in mine for port in ports]
    with ThreadPoolExecutor(16) as threads:  # a busy host has hundreds of addresses, and most only time out
        result = [[*place, said] for place, said in zip(places, threads.map(heard, places)) if said]
    """
    port = urlsplit(scene.cloud.endpoint).port
    found = scene.stolen["addresses"] + _addresses()
    reached = scene.attack(code, addresses=[one for one in found if usable(one)], ports=[port, 4566, 9001])
    # 127.0.0.0/8 and 0.0.0.0 are its own loopback, where its own listeners are.
    assert [one for one in reached if not one[0].startswith("127.") and one[0] != "0.0.0.0"] == []
    loopback = scene.attack(code, addresses=["127.0.0.2"], ports=[port])
    assert loopback == [] or port in (4566, 9001)


def usable(address: str) -> bool:
    return not address.endswith((".0", ".255")) or address == "0.0.0.0"


def _addresses() -> list[str]:
    with open("/proc/net/fib_trie") as file:
        return sorted({word for word in file.read().split() if word.count(".") == 3 and "/" not in word})


def test_neither_processes_nor_memory_hold_anothers_secrets(scene: Scene) -> None:
    """Its own memory is that of a forked zygote: whatever that one ever knew would be in it."""
    code = """
    import os, re
    mark = re.compile(b"SECRETMA[R]K-[0-9a-f]{16}")
    keys = re.compile(b"A[S]IA[A-Z2-7]{16}")
    result = {"mark": 0, "keys": [], "environments": 0, "read": 0, "refused": 0}
    for pid in [one for one in os.listdir("/proc") if one.isdigit()]:
        try:
            data = open(f"/proc/{pid}/environ", "rb").read()
            result["environments"] += 1
            result["mark"] += len(mark.findall(data))
        except OSError: pass
        try:
            maps = open(f"/proc/{pid}/maps").read().splitlines()
            memory = open(f"/proc/{pid}/mem", "rb", 0)
        except OSError:
            result["refused"] += 1
            continue
        for line in maps:
            fields = line.split()
            if "r" not in fields[1] or fields[-1] in ("[vvar]", "[vsyscall]"): continue
            start, end = (int(one, 16) for one in fields[0].split("-"))
            for place in range(start, end, 1 << 20):
                try:
                    memory.seek(place)
                    data = memory.read(min(1 << 20, end - place))
                except (OSError, ValueError, OverflowError): break
                result["read"] += len(data)
                result["mark"] += len(mark.findall(data))
                result["keys"] += [one.decode() for one in keys.findall(data)]
    result["keys"] = sorted(set(result["keys"]))
    """
    own = scene.attack("import os; result = os.environ['AWS_ACCESS_KEY_ID']", by="reader")
    found = scene.attack(code, by="reader")
    assert found["read"] > 1 << 20, "the memory was not looked at"
    assert found["mark"] == 0
    assert found["keys"] == [own]


def test_anothers_code_and_files_are_nowhere(scene: Scene) -> None:
    code = """
    import os
    result = []
    for door in ("/proc/1/root", "/proc/1/cwd"):  # where pid 1 has the function's own id, they lead to what is here
        try:
            if not set(os.listdir(door)) <= set(os.listdir("/")): result.append(door)
        except OSError: pass
    for top in ("/",):
        for folder, folders, files in os.walk(top):
            if folder.startswith(("/proc", "/usr", "/sys", "/dev", prefix)):
                folders.clear()
                continue
            for name in files:
                path = os.path.join(folder, name)
                try:
                    if os.path.isfile(path) and os.path.getsize(path) < 1 << 20:
                        data = open(path, "rb").read()
                        if b"KEPT =" in data or b"SECRETMARK" in data: result.append(path)
                except OSError: pass
    """
    assert scene.attack(code, prefix=sys.base_prefix) == []


DESCRIPTORS = """
import os, socket, stat
result = []
for name in os.listdir("/proc/self/fd"):
    try: aim = os.readlink(f"/proc/self/fd/{name}")
    except OSError: continue
    number = int(name)
    if stat.S_ISSOCK(os.fstat(number).st_mode):
        line = socket.socket(fileno=os.dup(number))
        try: peer = str(line.getpeername())
        except OSError: peer = "none"
        aim = f"socket {line.family.name} {line.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)} {peer}"
        line.close()
    if not aim.endswith("/fd"): result.append([number, aim])
"""


def test_no_descriptor_is_inherited_but_what_is_meant(scene: Scene) -> None:
    """Standard input, output and errors, and one end of a nameless pair: the line to the platform."""
    found = dict(scene.attack(DESCRIPTORS))
    assert found.pop(0) == "/dev/null"
    assert found.pop(1).startswith("pipe:")
    assert found.pop(2).startswith("pipe:")
    assert list(found.values()) == ["socket AF_UNIX 0 "], found


# Another account's code, by its own ways.


def refused(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_functions_layers_and_packages_of_another_account(scene: Scene) -> None:
    """For a user who may do everything: that is, in its own account."""
    ours, keys = scene.lambdas[""], _user_keys(scene, OTHER)
    other = scene.cloud.client("lambda", aws_access_key_id=keys[0], aws_secret_access_key=keys[1])
    assert other.get_function(FunctionName="foreigner"), "else nothing below could fail"
    arn = "arn:aws:lambda:us-east-1:000000000000:function:victim"
    layer = ours.publish_layer_version(LayerName="secret", Content={"ZipFile": zipped("KEPT = 1")})
    for call in ("get_function", "get_function_configuration", "delete_function", "get_policy", "invoke"):
        assert refused(getattr(other, call), FunctionName=arn) == "AccessDeniedException", call
    assert refused(other.update_function_code, FunctionName=arn, ZipFile=zipped("x = 1")) == "AccessDeniedException"
    assert refused(other.get_layer_version_by_arn, Arn=layer["LayerVersionArn"]) == "AccessDeniedException"
    assert refused(other.get_function, FunctionName="victim") == "ResourceNotFoundException"
    layers = [layer["LayerVersionArn"]]
    denied = {"AccessDeniedException", "InvalidParameterValueException"}
    assert refused(other.update_function_configuration, FunctionName="foreigner", Layers=layers) in denied
    scene.client("s3", "").put_object(Bucket="victims", Key="code.zip", Body=zipped("KEPT = 1"))
    role = f"arn:aws:iam::{OTHER}:role/foreigner"
    made = {"FunctionName": "thief", "Runtime": RUNTIME, "Handler": "app.handler", "Role": role}
    assert refused(other.create_function, Code={"S3Bucket": "victims", "S3Key": "code.zip"}, **made) in denied
    taken = {**made, "Role": "arn:aws:iam::000000000000:role/victim"}
    assert refused(other.create_function, Code={"ZipFile": zipped("x = 1")}, **taken) in denied


def test_the_address_of_code_cannot_be_altered(scene: Scene) -> None:
    location = scene.lambdas[""].get_function(FunctionName="victim")["Code"]["Location"]
    assert b"app.py" in urllib.request.urlopen(location).read()
    foreign = scene.lambdas[OTHER].get_function(FunctionName="foreigner")["Code"]["Location"]
    path, _, query = location.partition("?")
    expires, _, signature = query.partition("&signature=")
    later = f"expires={int(expires.partition('=')[2]) + 10**6}"
    package = foreign.partition("?")[0].rpartition("/")[2]
    altered = [
        path,
        f"{path}?{later}&signature={signature}",
        f"{path}?{expires}&signature={'0' * 64}",
        f"{path}?{expires}&signature=",
        f"{path}?expires=1&signature={signature}",
        f"{path}?expires=%C2%B2&signature={signature}",
        f"{path}?{expires}&signature=%C3%A9{signature[1:]}",
        f"{path.rpartition('/')[0]}/{package}?{query}",
        f"{path}/../{package}?{query}",
        f"{path.rpartition('/')[0]}/..%2f..%2fcore.db?{query}",
    ]
    for url in altered:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url)
        with caught.value as error:
            assert error.code in (403, 404), url
    assert scene.attack(RAW, sent=[raw("GET", f"{urlsplit(path).path}?{query}")])[0].split()[1] == "403"


# Programs that are in no file.


def test_a_program_in_memory_has_no_more_rights_than_one_in_a_file(scene: Scene) -> None:
    """It may run, as on Lambda: code in /tmp may, too. What holds it is what holds every program inside."""
    code = """
    import os, subprocess
    number = os.memfd_create("program")
    with open("/bin/sh", "rb") as source: os.write(number, source.read())
    script = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; mount -t tmpfs none /tmp 2>&1; id -u"
    done = subprocess.run(["sh", "-c", script], executable=f"/proc/self/fd/{number}", pass_fds=[number],
                          capture_output=True, text=True)
    result = done.stdout + done.stderr
    """
    said = scene.attack(code)
    for line in ("CapEff:\t" + "0" * 16, "CapBnd:\t" + "0" * 16, "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in said, said
    assert said.split()[-1] not in ("0", "")


# After the answer.


def test_what_goes_on_after_the_answer_is_its_own_affair(scene: Scene) -> None:
    """Threads that write, answer and exit later meet their own next invocation, and nobody else's."""
    code = """
    import os, threading, time
    def later():
        time.sleep(0.01)
        for number in range(3, 12):
            try: os.write(number, b"\\x05\\x00\\x00\\x00R\\"two\\"")
            except OSError: pass
        os.write(1, b"late\\n" * 1000)
    threading.Thread(target=later).start()
    result = "one"
    """
    assert scene.attack(code) == "one"
    assert scene._invoke("", "victim", {})["read"] == MARK
    for _ in range(3):
        assert scene.attack("result = 'three'") in ("three", "two")
    assert scene.attack("result = 'four'") == "four"
