"""The private engine and the base images, for real: in a home of their own, beside any other."""

import concurrent.futures
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from rebake import process
from rebake.engine import (
    base_images,
    daemon,
    detect,
    host_settings,
    install,
    private,
    sweep_tool,
)
from rebake.engine.base_images import BaseImage
from rebake.engine.client import EngineClient, containers_light
from rebake.engine.home import Home
from rebake.errors import Busy, CommandFailed, UsageError
from rebake.process import Command

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux", reason="the private engine is for Linux"),
]
IMAGES = [BaseImage("rust", "rust:1.97-slim-trixie"), BaseImage("bun", "oven/bun:1.4.5-slim")]
WEB = "oven/bun:1.4.5-slim"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home that nothing was in; at the end, nothing of it is left."""
    place = Home.at(tmp_path_factory.mktemp("e") / "a b ü" / "engine")
    yield place
    with contextlib.suppress(Exception):
        private.remove(place, say=print)


@pytest.fixture(scope="module")
def engine(home):
    """The engine, installed and started from nothing; how long that took is checked."""
    lines = []
    started = time.monotonic()
    endpoint = private.start(home, say=lines.append)
    seconds = time.monotonic() - started
    assert seconds < 60, lines
    assert any("packages, " in line and "MB" in line for line in lines)
    return endpoint


@pytest.fixture(scope="module")
def made(engine):
    """Both base images, made here."""
    started = time.monotonic()
    results = base_images.ensure(engine, IMAGES, source="make", say=print)
    assert time.monotonic() - started < 180
    return {result.key: result for result in results}


def docker(endpoint, *words, **options):
    return process.run(endpoint.command(*words, timeout_s=120.0, **options))


def build(endpoint, folder: Path, dockerfile: str, *words: str):
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    return docker(endpoint, "buildx", "build", "--progress", "plain", *words, str(folder))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def traces(home: Home) -> list[str]:
    """What of this engine can still be seen: processes, mounts, bridges, firewall rules."""
    found = [
        " ".join(p.info["cmdline"])
        for p in psutil.process_iter(["cmdline"])
        if (p.info["cmdline"] or [""])[0].startswith(str(home.programs))
    ]
    mounts = Path("/proc/self/mountinfo").read_text()
    found += [
        line for line in mounts.splitlines() if str(home.folder).replace(" ", "\\040") in line
    ]
    found += daemon.leftover_bridges(home)
    # The programs may be gone by now: any engine's iptables-save sees the same rules.
    for programs in (home.programs, Home.default({}).programs):
        env = install.program_environment(programs)
        path = process.which("iptables-save", env["PATH"])
        if path is not None:
            rules = process.run(Command.of(path, env=env)).stdout
            found += [line for line in rules.splitlines() if home.bridge in line]
            break
    return found


def test_status_tells_what_runs(home, engine):
    document = json.loads(json.dumps(private.status(home).document()))
    assert document["state"] == "running"
    assert document["kind"] == "private"
    assert document["docker_host"] == engine.docker_host
    assert Path(document["docker"]).is_file()
    assert psutil.Process(document["pid"]).cmdline()[0].endswith("/dockerd")
    assert document["bytes"] > 100_000_000
    for name in ("engine", "client", "buildx", "compose"):
        assert document["versions"][name][0].isdigit()


def test_starting_again_changes_nothing(home, engine):
    pid = private.status(home, count_bytes=False).pid
    started = time.monotonic()
    assert private.start(home, say=pytest.fail).docker_host == engine.docker_host
    assert time.monotonic() - started < 1
    assert private.status(home, count_bytes=False).pid == pid


def test_two_processes_do_not_set_it_up_at_once(home, engine, monkeypatch):
    monkeypatch.setattr(private, "_LOCK_PATIENCE_S", 0.1)
    with private._locked(home), pytest.raises(Busy, match=f"process {os.getpid()}"):
        private.install_engine(home, say=print)


def test_detection_finds_it_and_is_quick_the_second_time(home, engine, tmp_path):
    around = detect.Surroundings(
        {"PATH": os.environ["PATH"], "DOCKER_HOST": home.docker_host},
        *(tmp_path, home, tmp_path / "cache.json"),
    )
    found = detect.detect(around)
    assert found.endpoint.kind == "private"
    assert found.driver == "overlayfs"
    started = time.monotonic()
    assert detect.detect(around).endpoint == found.endpoint
    assert time.monotonic() - started < 0.1


def test_base_images_are_made_and_used_again(engine, made):
    for image in IMAGES:
        assert made[image.key].source == "made"
        assert made[image.key].digest.startswith("sha256:")
    again = base_images.ensure(engine, IMAGES, say=print)
    assert [result.source for result in again] == ["present", "present"]
    assert [result.digest for result in again] == [made[i.key].digest for i in IMAGES]


def test_the_typed_client_reads_them(engine, made):
    client = EngineClient(engine)
    image = client.image("rust:1.97-slim-trixie")
    assert image is not None
    assert image.digest == made["rust"].digest
    assert image.labels["dev.rebake.base-image"] == "made"
    assert image.os == "linux"
    assert client.image("no/such:image") is None
    assert not client.remove_image("no/such:image")
    client.tag(WEB, "e2e/copy:1")
    assert client.remove_image("e2e/copy:1")
    with pytest.raises(CommandFailed):
        client.tag("no/such:image", "x:1")
    assert client.system_info().driver == "overlayfs"


def test_made_images_work_as_a_base_by_build_bake_and_compose(engine, made, tmp_path):
    program = 'fn main() { println!("{}", 6 * 7); }\n'
    dockerfile = (
        "FROM rust:1.97-slim-trixie AS b\nWORKDIR /s\nCOPY main.rs .\n"
        "RUN --network=none rustc -C link-arg=-fuse-ld=mold main.rs && ./main\n"
        "FROM oven/bun:1.4.5-slim\nCOPY --from=b /s/main /main\n"
        "RUN --network=none bun --version && bunx --version && id bun\n"
        "RUN --network=none echo 'console.log(7)' >x.js && node x.js\n"
    )
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "main.rs").write_text(program)
    done = build(engine, folder, dockerfile, "--tag", "e2e/from:1", "--pull=false")
    assert done.ok, done.stderr
    assert " 42" in done.stderr
    (folder / "docker-bake.hcl").write_text('target "default" { tags = ["e2e/bake:1"] }\n')
    (folder / "compose.yml").write_text("services: {x: {build: ., image: 'e2e/compose:1'}}\n")
    for words in (("buildx", "bake"), ("compose", "build")):
        done = docker(engine, *words, cwd=folder)
        assert done.ok, done.stderr


def test_nothing_of_the_hosts_addresses_is_in_a_made_image(engine, made):
    host = urllib.request.urlparse(install.apt_sources.read_sources()[0].uri).hostname
    script = (
        "ls /etc/apt/sources.list.d /etc/apt/sources.list 2>/dev/null; "
        f"grep -rlF '{host}' /etc /var 2>/dev/null; ls /var/lib/apt/lists; true"
    )
    for image in IMAGES:
        words = ("run", "--rm", "--network=none", "--entrypoint=/bin/sh", image.ref, "-c", script)
        done = docker(engine, *words)
        assert done.ok, done.stderr
        # The archive's keyring and packages' own documents may name the distribution's home.
        left = [line for line in done.stdout.split() if "sources" in line or "lists" in line]
        assert left in ([], ["/etc/apt/sources.list.d:"])


def reaches_the_network(endpoint, *words: str) -> None:
    """A container finds a name and gets an answer from outside."""
    source = install.apt_sources.archive_of(
        install.apt_sources.read_sources(), install.apt_sources.read_system()
    )
    url = f"{source.uri.rstrip('/')}/dists/{source.suite}/Release"
    script = f"const r = await fetch({json.dumps(url)}); console.log(r.status)"
    done = docker(endpoint, "run", "--rm", *words, WEB, "bun", "-e", script)
    assert done.ok, done.stderr
    assert done.stdout.strip() == "200"


def test_a_container_reaches_names_and_the_network(engine, made):
    reaches_the_network(engine)


def test_three_engines_keep_their_networks_whichever_starts_or_stops(home, engine, made, tmp_path):
    """The worst case: all of them once chose the same range, and two start at the same moment."""
    image = tmp_path / "image.tar"
    assert docker(engine, "network", "create", "e2e-first").ok
    assert docker(engine, "save", "--output", str(image), WEB).ok
    others = [Home.at(tmp_path / name / "engine") for name in "xy"]
    try:
        for other in others:  # what an install makes; the first one was a real one
            shutil.copytree(home.programs, other.programs, symlinks=True)
            (other.folder / sweep_tool.MARKER).touch()
            shutil.copy(home.network_file, other.network_file)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            endpoints = list(pool.map(lambda other: private.start(other, say=print), others))
        for endpoint in endpoints:
            assert docker(endpoint, "load", "--input", str(image)).ok
            assert docker(endpoint, "network", "create", "e2e-own").ok
        everyone = [(engine, "e2e-first"), *((endpoint, "e2e-own") for endpoint in endpoints)]
        for endpoint, own in everyone:
            reaches_the_network(endpoint)
            reaches_the_network(endpoint, "--network", own)
        private.stop(others[0], say=print)
        # A stopped one that believes it has the range of a running one.
        shutil.copy(home.network_file, others[0].network_file)
        private.stop(others[0], say=print)
        for endpoint, own in (everyone[0], everyone[2]):
            reaches_the_network(endpoint)
            reaches_the_network(endpoint, "--network", own)
        private.start(others[0], say=print)
        for endpoint, _ in everyone:
            reaches_the_network(endpoint)
        reaches_the_network(engine, "--network", "e2e-first")
    finally:
        for other in others:
            private.remove(other, say=print)
        docker(engine, "network", "rm", "e2e-first")
    for other in others:
        assert traces(other) == []


def test_a_published_port_answers_also_on_a_network_of_its_own(engine, made):
    port = free_port()
    serve = 'Bun.serve({port: 80, fetch: () => new Response("hello")})'
    assert docker(engine, "network", "create", "e2e-net").ok
    try:
        words = ("--name", "e2e-web", "--network", "e2e-net", "--init")
        labels = ("--label", "com.docker.compose.project=e2e")
        publish = ("--publish", f"127.0.0.1:{port}:80")
        done = docker(engine, "run", "--detach", *words, *labels, *publish, WEB, "bun", "-e", serve)
        assert done.ok, done.stderr
        assert answer(port) == "hello"
        client = EngineClient(engine)
        (one,) = client.containers("e2e")
        assert (one.state, one.ports[0].host_port) == ("running", port)
        assert containers_light(engine, "e2e") == (one,)
        assert client.container_logs("e2e-web") == []
    finally:
        docker(engine, "rm", "--force", "e2e-web")
        docker(engine, "network", "rm", "e2e-net")


def answer(port: int) -> str:
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as reply:
                return str(reply.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_secrets_reach_a_step_and_leave_no_trace(engine, made, tmp_path):
    canary = f"canary{secrets.token_hex(12)}"
    folder = host_settings.write(tmp_path / "settings")
    (folder / "npmrc").write_text(f"//registry.invalid/:_authToken={canary}\n")
    dockerfile = (
        f"FROM {WEB}\n"
        "RUN --mount=type=secret,id=npmrc grep -q canary /run/secrets/npmrc && echo reached\n"
    )
    target = tmp_path / "image.tar"
    done = build(
        *(engine, tmp_path / "s", dockerfile, "--secret", f"id=npmrc,src={folder / 'npmrc'}"),
        *("--tag", "e2e/secret:1"),
    )
    assert done.ok, done.stderr
    assert "reached" in done.stderr
    assert docker(engine, "save", "--output", str(target), "e2e/secret:1").ok
    history = docker(engine, "history", "--no-trunc", "e2e/secret:1").stdout
    for text in (done.stdout, done.stderr, history):
        assert canary not in text
    with target.open("rb") as stream:
        assert canary.encode() not in stream.read()


@pytest.mark.parametrize("killed", ["daemons", "everything"])
def test_it_comes_up_again_after_a_crash(home, engine, made, killed):
    port = free_port()
    serve = 'Bun.serve({port: 80, fetch: () => new Response("again")})'
    words = ("--name", "e2e-crash", "--restart", "always", "--publish", f"127.0.0.1:{port}:80")
    done = docker(engine, "run", "--detach", *words, WEB, "bun", "-e", serve)
    assert done.ok, done.stderr
    assert answer(port) == "again"
    assert docker(engine, "network", "create", "e2e-crashed").ok

    def alive() -> list[int]:
        """Every process of it: with shims, proxies and what runs in containers."""
        return (
            daemon.daemon_pids(home)
            if killed == "daemons"
            else sweep_tool._processes(str(home.folder))
        )

    assert len(alive()) >= (2 if killed == "daemons" else 5)
    deadline = time.monotonic() + 10
    while pids := alive():
        assert time.monotonic() < deadline, pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    assert home.socket.exists()  # stale
    assert home.pid_file.exists()  # stale
    assert len(daemon.leftover_bridges(home)) == 2
    assert any("MASQUERADE" in line for line in traces(home))
    assert str(home.folder).replace(" ", "\\040") in Path("/proc/self/mountinfo").read_text()
    assert private.status(home, count_bytes=False).state == "stopped"
    private.start(home, say=print)
    assert answer(port) == "again"
    reaches_the_network(engine, "--network", "e2e-crashed")
    docker(engine, "rm", "--force", "e2e-crash")
    assert docker(engine, "network", "rm", "e2e-crashed").ok


def test_a_pid_file_that_names_a_foreign_process_is_not_believed(home, engine):
    before = home.pid_file.read_text()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        home.pid_file.write_text(str(sleeper.pid))
        assert private.status(home, count_bytes=False).pid is None
    finally:
        home.pid_file.write_text(before)
        assert sleeper.poll() is None
        sleeper.kill()
        sleeper.wait()


def test_stopping_leaves_nothing_and_a_half_install_is_redone(home, engine):
    assert private.stop(home, say=print)
    assert traces(home) == []
    assert not home.socket.exists()
    assert private.status(home, count_bytes=False).state == "stopped"
    assert not private.stop(home, say=print)
    (home.programs / "usr/sbin/dockerd").write_bytes(b"half")
    assert private.status(home, count_bytes=False).state == "absent"
    started = time.monotonic()
    private.start(home, say=print)
    assert time.monotonic() - started < 60
    assert docker(private.endpoint(home), "image", "inspect", WEB).ok  # data is kept


def test_a_folder_that_the_kernel_cannot_mount_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds a comma or a colon"):
        private.start(Home.at(tmp_path / "a,b"), say=pytest.fail)
    assert not (tmp_path / "a,b").exists()


def test_removing_leaves_nothing_at_all(home, engine):
    assert private.remove(home, say=print)
    assert not home.folder.exists()
    assert not home.runtime.exists()
    assert traces(home) == []
    assert not private.remove(home, say=print)
