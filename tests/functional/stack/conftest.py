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
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from rebake.project.project import Project, open_project
from rebake.stack import native
from rebake.stack.native_plan import Tools

# "Compiles" each crate: the binary is the server below with the text of src/main.rs in it.
# `error` in a source is an error of the compiler's; `slow` takes a second.
CARGO = """#!{python}
import json, os, pathlib, sys, time
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("cargo 1.99.0 (fake)"); sys.exit(0)
assert arguments[:2] == ["build", "--locked"], arguments
names = [arguments[n + 1] for n, word in enumerate(arguments) if word == "--bin"]
with open("cargo.calls.tmp", "a") as calls:
    calls.write("build\\n")
sys.stderr.write("   Compiling libc v0.2.0\\n")
for number, name in enumerate(names, 1):
    source = pathlib.Path("crates", name, "src", "main.rs").read_text()
    sys.stderr.write(f"    Building [=====>     ] {{number}}/{{len(names)}}: {{name}}\\r")
    sys.stderr.flush()
    if "slow" in source:
        time.sleep(60 if "very slow" in source else 1)
    if "error" in source:
        sys.stderr.write("\\r\\x1b[Kerror[E0425]: cannot find value `x`\\n")
        sys.stderr.write(" --> crates/" + name + "/src/main.rs:1:1\\n\\n")
        sys.exit(101)
    program = pathlib.Path("target", "debug", name).absolute()
    program.parent.mkdir(parents=True, exist_ok=True)
    text = pathlib.Path({server!r}).read_text().replace("@TEXT@", source.strip())
    if not program.exists() or program.read_text() != text:
        program.with_suffix(".new").write_text(text)
        program.with_suffix(".new").chmod(0o755)
        program.with_suffix(".new").replace(program)
    print(json.dumps({{"reason": "compiler-artifact", "executable": str(program),
                       "target": {{"name": name, "kind": ["bin"]}}, "fresh": False}}))
sys.stderr.write("    Finished `dev` profile\\n")
"""

# Answers /healthz, and its text everywhere else; `crash` in the text ends it at once.
SERVER = '''#!{python}
import http.server, os, pathlib, signal, socket, sys, threading, time, urllib.parse
TEXT = """@TEXT@"""
name = pathlib.Path(sys.argv[0]).name
print(f"{{name}} starts: {{TEXT}}", flush=True)
if "crash" in TEXT:
    sys.exit(3)
database = pathlib.Path(
    urllib.parse.unquote(os.environ["DATABASE_URL"].removeprefix("sqlite://")))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(4)
        body = b"ok" if self.path == "/healthz" else TEXT.encode()
        if self.path == "/pid":
            body = str(os.getpid()).encode()
        if self.path == "/write":
            database.write_text("kept")
        if self.path == "/read":
            body = database.read_text().encode() if database.exists() else b"nothing"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    allow_reuse_address = True

if os.environ.get("LISTEN_FDS"):
    server = Server(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(os.environ["LISTEN_FDS_FIRST_FD"]))
    server.socket.setblocking(False)
else:
    host, _, port = os.environ[name.upper() + "_ADDR"].rpartition(":")
    server = Server((host.strip("[]"), int(port)), Handler)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.02)
server.server_close()
'''

# `bun run dev` starts the server as a child, like the real one.
BUN = """#!{python}
import http.server, os, pathlib, subprocess, sys
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("1.4.5")
elif arguments[0] == "install":
    assert arguments == ["install", "--frozen-lockfile"], arguments
    lock = pathlib.Path("bun.lock").read_text()
    if "broken" in lock:
        print("error: lockfile had changes, but lockfile is frozen", file=sys.stderr); sys.exit(1)
    with open("installs", "a") as calls:
        calls.write("install\\n")
elif arguments == ["run", "dev"]:
    sys.exit(subprocess.run([sys.executable, __file__, "serve"]).returncode)
elif arguments == ["serve"]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = os.environ["API_URL"].encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *_):
            pass
    print("UI starts", flush=True)
    try:
        http.server.ThreadingHTTPServer(
            (os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
    except KeyboardInterrupt:
        pass
"""

NPM = """#!{python}
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
