"""A warm interpreter that forks into sandboxes. Standard library only, Python 3.8 and newer; never threaded.

Started by exec with its control socket's number and a plan. Each order comes as one message of JSON with descriptors:
the bootstrap's socket, its output, then the sandbox's own. The answer names the pid; when a child ends, another message
says how.

The plan, as JSON:
  joins      user namespace and pid namespace to live in, or nothing
  enter      path of `enter.py`
  mounts     place → directory: what is bound over an empty /var of our own, so that modules have the paths that they
             have in a sandbox
  bootstrap  directory of the bootstrap
  boto3      directory to preload boto3 from, or nothing
"""

import array
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import sys

CLONE_NEWNS = 0x00020000
MADV_COLLAPSE = 25
HUGE_PAGE = 2 << 20
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MESSAGE_MAX = 256 * 1024
DESCRIPTORS_MAX = 32
SERVICES = ("s3", "dynamodb", "lambda", "sqs", "sns", "sts", "events", "stepfunctions", "logs", "ssm", "secretsmanager")
STANDARD = [
    "base64",
    "binascii",
    "collections",
    "concurrent.futures",
    "contextlib",
    "copy",
    "datetime",
    "decimal",
    "email.message",
    "enum",
    "functools",
    "gzip",
    "hashlib",
    "hmac",
    "html",
    "http.client",
    "io",
    "itertools",
    "json",
    "logging",
    "math",
    "operator",
    "pathlib",
    "platform",
    "queue",
    "random",
    "re",
    "shutil",
    "socket",
    "ssl",
    "string",
    "struct",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "xml.etree.ElementTree",
    "zlib",
]

DESCRIPTORS_MAX_OPEN = 1 << 20


def main():
    control = socket.socket(fileno=int(sys.argv[1]))
    os.closerange(control.fileno() + 1, DESCRIPTORS_MAX_OPEN)  # whatever else the platform had open
    plan = json.loads(sys.argv[2])
    enter = load_enter(plan["enter"])
    join(control, plan["joins"])
    mount(plan["mounts"])
    bootstrap = load_bootstrap(plan["bootstrap"])
    preload(plan["boto3"])
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    gc.collect()
    gc.freeze()
    gather_pages()
    control.send(json.dumps({"ready": os.getpid(), "shared_kb": anonymous_kb()}).encode())
    plain = set()
    while True:
        readable, _, _ = select.select([control, woken], [], [])
        try:
            if woken in readable:
                drain(woken)
                report_ended(control, plain)
            message, descriptors = receive(control) if control in readable else (None, ())
        except OSError:
            message = b""
        if message == b"":
            abandon(plain)
        if message:
            obey(control, (enter, bootstrap), json.loads(message), descriptors, (woken, waker), plain)


def drain(descriptor):
    try:
        os.read(descriptor, 4096)
    except BlockingIOError:
        pass


def abandon(plain):
    """The platform is gone, and did not say good-bye: children without a sandbox would live on for ever."""
    for pid in plain:
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            continue
    os._exit(0)


def gather_pages():
    """Make huge pages of the heap: a fork copies the page tables, and that is most of what it costs."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    try:
        with open("/proc/self/maps") as file:
            maps = [line.split() for line in file]
    except OSError:
        return
    for fields in maps:
        if "w" not in fields[1] or (len(fields) > 5 and fields[5] != "[heap]"):
            continue
        start, end = (int(text, 16) for text in fields[0].split("-"))
        start = -(-start // HUGE_PAGE) * HUGE_PAGE
        end = end // HUGE_PAGE * HUGE_PAGE
        if start < end:
            libc.madvise(start, end - start, MADV_COLLAPSE)  # Linux 6.1; elsewhere it does nothing


def anonymous_kb():
    """Memory that every child shares with us, and that its own cgroup does not count."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def load_enter(path):
    spec = importlib.util.spec_from_file_location("enter", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def join(control, namespaces):
    """Where the sandboxes of an ordinary user are: in there we may fork into them. Pids take a fork."""
    if not namespaces:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    opened = [os.open(path, os.O_RDONLY) for path in namespaces]
    for descriptor in opened:
        check(libc.setns(descriptor, 0), "setns")
        os.close(descriptor)
    pid = os.fork()
    if pid:
        control.close()
        os._exit(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))


def mount(places):
    """In a mount namespace of our own, a /var with nothing in it but these."""
    if not places:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.unshare(CLONE_NEWNS), "unshare")
    sources = {place: os.open(source, os.O_PATH) for place, source in places.items()}
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
    check(libc.mount(b"none", b"/var", b"tmpfs", 0, b"mode=755,size=64k"), "mount /var")
    for place, descriptor in sources.items():
        os.makedirs(place, exist_ok=True)
        # By descriptor, since the source itself may be below /var.
        source = f"/proc/self/fd/{descriptor}".encode()
        check(libc.mount(source, place.encode(), None, MS_BIND | MS_REC, None), "mount " + place)
        os.close(descriptor)


def check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def load_bootstrap(directory):
    """The bootstrap's modules. A function may have modules of the same names, so they are not left to be found."""
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    sys.path.insert(0, directory)
    module = importlib.import_module("bootstrap")
    del sys.modules["bootstrap"]
    return module


def preload(boto3_directory):
    """The standard library's usual modules, and boto3 with the parsed models of the usual services."""
    for name in STANDARD:
        importlib.import_module(name)
    if not boto3_directory:
        return
    sys.path.append(boto3_directory)
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    import boto3
    import botocore.loaders
    import botocore.session

    make = botocore.loaders.create_loader
    shared = make(None)
    for service in SERVICES:
        try:
            shared.load_service_model(service, "service-2")
            shared.load_service_model(service, "endpoint-rule-set-1")
        except Exception:
            continue
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        try:
            shared.load_data(name)
        except Exception:
            continue
    shared.list_available_services("service-2")

    def create_loader(search_path_string=None):
        return shared if search_path_string is None else make(search_path_string)

    botocore.loaders.create_loader = botocore.session.create_loader = create_loader
    # Making clients once imports what making them imports, and fills the caches of parsed endpoint rules.
    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    for service in ("s3", "dynamodb"):
        session.client(service)
    session.resource("dynamodb")


def receive(control):
    message, ancillary, _, _ = control.recvmsg(MESSAGE_MAX, socket.CMSG_SPACE(DESCRIPTORS_MAX * 4))
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return message, list(descriptors)


def report_ended(control, plain):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        plain.discard(pid)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        control.send(json.dumps({"ended": pid, "status": code}).encode())


def obey(control, modules, order, descriptors, own, plain):
    enter, bootstrap = modules
    channel, output, inside = descriptors[0], descriptors[1], descriptors[2:]
    try:
        pid = os.fork() if order["plan"].get("plain") else enter.fork_into(order["plan"], inside)
    except OSError as error:
        control.send(json.dumps({"order": order["order"], "failed": str(error)}).encode())
        pid = -1
    if pid == 0:
        become(control, bootstrap, channel, output, own, order["plan"])
        return
    for descriptor in descriptors:
        os.close(descriptor)
    if pid > 0 and order["plan"].get("plain"):
        plain.add(pid)
    if pid > 0:
        control.send(json.dumps({"order": order["order"], "pid": pid}).encode())


def become(control, bootstrap, channel, output, own, plan):
    """In the child, inside the sandbox: nothing of the zygote's stays open, and the bootstrap takes over."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if plan.get("plain"):
        os.setsid()
    control.close()
    for descriptor in own:
        os.close(descriptor)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for descriptor in (null, output):
        if descriptor > 2:
            os.close(descriptor)
    forget_the_zygote()
    # From here on this is a process like any other: what ends it ends it as it would end a fresh interpreter.
    bootstrap.main(bootstrap.Channel(channel), forked=True)


def forget_the_zygote():
    """Forks share what was random; from here on nobody may."""
    import random

    random.seed()


if __name__ == "__main__":
    main()
