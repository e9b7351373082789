"""A project whose cargo and bun are small programs of ours, and whose services are Python."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from rebake.project.project import Project, open_project
from rebake.stack import native
from rebake.stack.native_plan import Tools

# The fakes are started two hundred times: they import only what is built into Python, and
# Python itself starts without its site packages.

# "Compiles" each crate: the binary is the server below with the text of src/main.rs in it.
# `error` in a source is an error of the compiler's; `slow` takes a second.
CARGO = """#!{python} -IS
import os, sys, time
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("cargo 1.99.0 (fake)"); sys.exit(0)
assert arguments[:2] == ["build", "--locked"], arguments
names = [arguments[n + 1] for n, word in enumerate(arguments) if word == "--bin"]
def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()
with open("cargo.calls.tmp", "a") as calls:
    calls.write("build\\n")
sys.stderr.write("   Compiling libc v0.2.0\\n")
for number, name in enumerate(names, 1):
    source = read("crates/" + name + "/src/main.rs")
    sys.stderr.write(f"    Building [=====>     ] {{number}}/{{len(names)}}: {{name}}\\r")
    sys.stderr.flush()
    if "slow" in source:
        time.sleep(60 if "very slow" in source else 1)
    if "error" in source:
        sys.stderr.write("\\r\\x1b[Kerror[E0425]: cannot find value `x`\\n")
        sys.stderr.write(" --> crates/" + name + "/src/main.rs:1:1\\n\\n")
        sys.exit(101)
    program = os.getcwd() + "/target/debug/" + name
    os.makedirs(os.path.dirname(program), exist_ok=True)
    text = read({server!r}).replace("@TEXT@", source.strip())
    if not os.path.exists(program) or read(program) != text:
        with open(program + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(program + ".new", 0o755)
        os.replace(program + ".new", program)
    line = (
        '{{"reason": "compiler-artifact", "executable": "%s", '
        '"target": {{"name": "%s", "kind": ["bin"]}}, "fresh": false}}\\n'
    )
    sys.stdout.buffer.write((line % (program, name)).encode())
sys.stderr.write("    Finished `dev` profile\\n")
"""

# Answers one request after another. An interrupt ends it when the one at hand is answered.
SERVE = """
import _signal, _socket, os, select, sys
def bound(host, port):
    made = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    made.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.listen(64)
    return made
def serve(listener, answer):
    stopped = []
    for number in (_signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, lambda *_: stopped.append(1))
    listener.settimeout(0)
    ready = select.poll()
    ready.register(listener.fileno(), select.POLLIN)
    while not stopped:
        if not ready.poll(20):
            continue
        try:
            client = _socket.socket(fileno=listener._accept()[0])
        except BlockingIOError:  # another process that has the same socket was faster
            continue
        client.settimeout(5)
        try:
            request = b""
            while b"\\r\\n\\r\\n" not in request:
                read = client.recv(65536)
                if not read:
                    break
                request += read
            else:
                body = answer(request.split()[1].decode())
                head = "HTTP/1.1 200 OK\\r\\nconnection: close\\r\\ncontent-length: "
                client.sendall(head.encode() + str(len(body)).encode() + b"\\r\\n\\r\\n" + body)
        except OSError:
            pass
        client.close()
    listener.close()
"""

# Answers /healthz, and its text everywhere else; `crash` in the text ends it at once.
SERVER = (
    "#!{python} -IS"
    + SERVE
    + '''
TEXT = """@TEXT@"""
name = os.path.basename(sys.argv[0])
print(f"{{name}} starts: {{TEXT}}", flush=True)
if "crash" in TEXT:
    sys.exit(3)
raw = os.environb[b"DATABASE_URL"].removeprefix(b"sqlite://").split(b"%")
database = raw[0] + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in raw[1:])
def answer(path):
    if path == "/crash":
        os._exit(4)
    if path == "/healthz":
        return b"ok"
    if path == "/pid":
        return str(os.getpid()).encode()
    if path == "/write":
        with open(database, "w") as file:
            file.write("kept")
    if path == "/read":
        if not os.path.exists(database):
            return b"nothing"
        with open(database, "rb") as file:
            return file.read()
    return TEXT.encode()
if os.environ.get("LISTEN_FDS"):
    listener = _socket.socket(fileno=int(os.environ["LISTEN_FDS_FIRST_FD"]))
else:
    host, _, port = os.environ[name.upper() + "_ADDR"].rpartition(":")
    listener = bound(host.strip("[]"), int(port))
serve(listener, answer)
'''
)

# `bun run dev` starts the server as a child, like the real one.
BUN = (
    "#!{python} -IS"
    + SERVE
    + """
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("1.4.5")
elif arguments[0] == "install":
    assert arguments == ["install", "--frozen-lockfile"], arguments
    with open("bun.lock") as lock:
        broken = "broken" in lock.read()
    if broken:
        print("error: lockfile had changes, but lockfile is frozen", file=sys.stderr); sys.exit(1)
    with open("installs", "a") as calls:
        calls.write("install\\n")
elif arguments == ["run", "dev"]:
    child = os.spawnv(os.P_NOWAIT, __file__, [__file__, "serve"])
    try:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    except KeyboardInterrupt:  # the child had it too
        os.waitpid(child, 0)
elif arguments == ["serve"]:
    listener = bound(os.environ["HOST"], int(os.environ["PORT"]))
    print("UI starts", flush=True)
    serve(listener, lambda path: os.environ["API_URL"].encode())
"""
)

NPM = """#!{python} -IS
import pathlib, sys
assert sys.argv[1:3] == ["install", "--no-save"], sys.argv
assert pathlib.Path("package-lock.json").is_file()
with open("installs", "a") as calls:
    calls.write("npm install\\n")
"""


class Stack:
    """The project, the fakes, and what tests want to know."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.root = root
        self.tools = Tools(programs / "cargo", programs / "bun")
        self.said: list[str] = []
        self.logged: list[tuple[str, str]] = []

    @property
    def project(self) -> Project:
        return open_project(self.root)

    @property
    def home(self) -> native.Home:
        return native.home_of(self.project)

    def up(self, *, detach: bool = True, **options):
        return native.up(
            self.project,
            detach=detach,
            say=self.said.append,
            on_log=lambda service, line: self.logged.append((service, line)),
            find=lambda _project, **_options: self.tools,
            **options,
        )

    def use_npm(self) -> None:
        """Let npm be the UI's package manager."""
        file = self.root / "rebake.toml"
        file.write_text(file.read_text() + '[ui]\nmanager = "npm"\n')
        (self.root / "ui" / "bun.lock").rename(self.root / "ui" / "package-lock.json")
        self.tools = replace(self.tools, npm=self.tools.bun.parent / "npm")

    def down(self) -> bool:
        return native.down(self.project)

    def source(self, name: str) -> Path:
        return self.root / "backend" / "crates" / name / "src" / "main.rs"

    def lock_free(self) -> None:
        """Services that don't take sockets over."""
        (self.root / "backend" / "Cargo.lock").write_text("version = 4\n")

    def log(self, name: str) -> str:
        log = self.home.log(name)
        return log.read_text() if log.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """All that belongs to the stack."""
        from rebake.stack.native_state import marked

        return list(marked(self.home.mark))

    def pid(self, url: str) -> int:
        return int(get(url + "/pid"))


def get(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", parts.path or "/", headers={"connection": "close"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def eventually(condition: Callable[[], object], timeout_s: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.02)
    return False


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(name="free_ports")
def free_ports_fixture() -> Callable[[int], list[int]]:
    return free_ports


@pytest.fixture(name="get")
def get_fixture() -> Callable[[str], str]:
    return get


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., bool]:
    return eventually


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    if sys.platform == "win32":
        pytest.skip("the fakes are scripts with a #! line")
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state ü"))
    programs = tmp_path / "programs"
    programs.mkdir()
    server = programs / "server.py"
    server.write_text(SERVER.format(python=sys.executable))
    for name, text in (("cargo", CARGO), ("bun", BUN), ("npm", NPM)):
        program = programs / name
        program.write_text(text.format(python=sys.executable, server=str(server)))
        program.chmod(0o755)
    root = tmp_path / "a b,ü"
    ui, api, worker = free_ports(3)
    (root / "ui").mkdir(parents=True)
    (root / "rebake.toml").write_text(
        f"[dev]\nstart_timeout_s = 20\n[dev.ports]\nui = {ui}\napi = {api}\nworker = {worker}\n"
    )
    (root / "ui" / "package.json").write_text('{"name": "ui", "scripts": {"dev": "serve"}}')
    (root / "ui" / "bun.lock").write_text("{}")
    backend = root / "backend"
    for name in ("api", "worker"):
        crate = backend / "crates" / name
        (crate / "src").mkdir(parents=True)
        (crate / "Cargo.toml").write_text(f'[package]\nname = "{name}"\nversion = "0.1.0"\n')
        (crate / "src" / "main.rs").write_text(f"{name} one")
    (backend / "Cargo.toml").write_text('[workspace]\nmembers = ["crates/*"]\n')
    (backend / "Cargo.lock").write_text('[[package]]\nname = "listenfd"\n')
    made = Stack(root, programs)
    yield made
    made.down()
    left = made.processes()
    for process in left:
        process.kill()
    shutil.rmtree(root, ignore_errors=True)
    assert not left, f"left running: {left}"
    assert os.environ["REBAKE_STATE_HOME"].endswith("ü")
