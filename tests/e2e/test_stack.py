"""The first command and what follows, as a user runs it, on the real engine.

In order: each test goes on from the state that the one before it left.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from e2e.chromium import Page, chromium
from e2e.support import PROD_PORTS, Clone, Docker, clean_environment
from rebake.project.project import open_project
from rebake.results import Mode

pytestmark = pytest.mark.engine

MB = 1_000_000


def get(url: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read(), {k.lower(): v for k, v in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, error.read(), {}


def running_with(text: str) -> list[str]:
    """The command lines of all processes that hold a text."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if text in line and process.pid != os.getpid():
                found.append(line)
    return found


def containers_of(docker: Docker, name: str, *, every: bool = False) -> list[str]:
    words = ["ps", "--quiet", "--filter", f"label=com.docker.compose.project={name}"]
    return docker(*words, *(["--all"] if every else [])).split()


@pytest.fixture(scope="module")
def urls(ready_clone: Clone) -> dict[str, str]:
    """The development stack, up."""
    document = ready_clone.bootstrap("dev", "--detach", "--json").ok().document
    return document["urls"]


def interrupted(clone: Clone, *words: str, at: str = "Compiling ", **env: str) -> str:
    """Start a task, interrupt it once it tells `at`, and return what it told."""
    child = subprocess.Popen(
        [sys.executable, "scripts/bootstrap.py", *words, "--progress", "plain"],
        cwd=clone.root,
        env=clean_environment() | env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    told = []
    for line in child.stderr:
        told.append(line)
        if at in line:
            break
    assert child.poll() is None, "".join(told)
    started = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, rest = child.communicate(timeout=30)
    assert child.returncode == 130, "".join(told) + rest
    assert time.monotonic() - started < 10
    return "".join(told)


def test_an_interrupt_during_the_first_build_leaves_nothing(
    ready_clone: Clone, docker: Docker
) -> None:
    # Under a name of its own: all is cold there, and what the clone has compiled stays.
    cold = {"REBAKE_PROJECT_NAME": "rebake-e2e-cold"}
    interrupted(ready_clone, "rebuild", "--no-cache", **cold)
    time.sleep(1)
    assert not running_with(str(ready_clone.root / "docker" / "docker-bake.hcl"))
    data = docker("info", "--format", "{{.DockerRootDir}}").strip()
    # The steps of this very engine; its own processes take a moment to be gone.
    limit = time.monotonic() + 10
    while (left := running_with(f"{data}/buildkit/executor")) and time.monotonic() < limit:
        time.sleep(0.5)
    assert not left
    name = ready_clone.invoke("config", "--json", **cold).ok().document["name"]
    assert not [n for n in docker("ps", "--all", "--format", "{{.Names}}").split() if name in n]
    # The next one goes on: nothing is locked, and nothing that is half there is in its way.
    assert "Compiling " in interrupted(ready_clone, "build", **cold)


def test_the_first_command_ends_in_a_running_application(
    ready_clone: Clone, urls: dict[str, str]
) -> None:
    assert set(urls) == {"api", "worker", "ui"}
    for url in urls.values():
        assert get(f"{url}/healthz")[0] == 200
    assert b"<div" in get(urls["ui"])[1]


def test_run_again_while_all_is_up(ready_clone: Clone, urls: dict[str, str]) -> None:
    again = ready_clone.bootstrap("dev", "--detach", "--json").ok()
    assert again.document["urls"] == urls
    assert again.seconds <= 3


def test_the_page_keeps_an_item(
    ready_clone: Clone, docker: Docker, urls: dict[str, str], tmp_path: Path
) -> None:
    title = f"Written by a browser {time.time_ns()}"
    with chromium(ready_clone, docker) as page:
        page.open(urls["ui"])
        page.one("new-title").send_keys(title)
        page.one("add").click()
        page.until(lambda: title in page.titles(), "the new item")
        page.screenshot(tmp_path / "page.png")
        page.open(urls["ui"])
        page.until(lambda: title in page.titles(), "the item after a reload")
        ready_clone.invoke("down").ok()
        ready_clone.invoke("up").ok()
        page.open(urls["ui"])
        page.until(lambda: title in page.titles(), "the item after down and up")
        edit_and_delete(page, title)


def edit_and_delete(page: Page, title: str) -> None:
    item = next(i for i in page.all("item") if title in i.text)
    button = item.find_element("css selector", "[data-testid='edit']")
    button.click()
    field = page.one("edit-title")
    field.clear()
    field.send_keys("Edited")
    page.one("save").click()
    page.until(lambda: "Edited" in page.titles(), "the edited title")
    item = next(i for i in page.all("item") if "Edited" in i.text)
    item.find_element("css selector", "[data-testid='delete']").click()
    page.until(lambda: "Edited" not in page.titles(), "the deleted item to go")


def test_hot_reload_of_the_backend_refuses_no_request(
    ready_clone: Clone, urls: dict[str, str]
) -> None:
    source = ready_clone.root / "backend" / "crates" / "api" / "src" / "lib.rs"
    text = source.read_text()
    marker = "const ABOUT: &'static str = \""
    assert marker in text
    # A change that shows: the process is another one, so its own start time is.
    before = process_start(urls["api"])
    source.write_text(text.replace(marker, marker + "Edited. "))
    try:
        deadline = time.monotonic() + 120
        while process_start(urls["api"]) == before:
            assert time.monotonic() < deadline, "the edited api did not start"
            assert get(f"{urls['api']}/healthz")[0] == 200
            time.sleep(0.02)
    finally:
        source.write_text(text)


def process_start(url: str) -> str:
    lines = get(f"{url}/metrics")[1].decode().splitlines()
    return next(line for line in lines if line.startswith("process_start_time_seconds"))


def test_down_and_dev_again_is_quick(ready_clone: Clone, docker: Docker) -> None:
    ready_clone.invoke("down").ok()
    # Not even an interrupted start leaves anything in its way.
    interrupted(ready_clone, "dev", "--detach", at="starting api")
    name = f"{ready_clone.invoke('config', '--json').ok().document['name']}-dev"
    assert containers_of(docker, name, every=True) == []
    again = ready_clone.bootstrap("dev", "--detach", "--json").ok()
    assert again.seconds <= 15
    assert ready_clone.invoke("ps", "--json").ok().document["stacks"]["dev"]["urls"]


def test_files_of_the_host_belong_to_the_user(ready_clone: Clone) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no owners of this kind")
    for half in ("backend", "ui"):
        for path in (ready_clone.root / half).rglob("*"):
            assert path.lstat().st_uid == os.getuid(), path


@pytest.fixture(scope="module")
def prod(ready_clone: Clone, urls: dict[str, str]) -> dict[str, object]:
    """The production stack, up."""
    return ready_clone.invoke("prod", "--json").ok().document


def test_prod_answers_and_is_what_the_sources_are(
    ready_clone: Clone, prod: dict, docker: Docker
) -> None:
    for service, image in prod["images"].items():
        status, body, _ = get(f"{prod['urls'][service]}/version")
        assert status == 200
        answer = json.loads(body)
        assert answer["ui_build_id" if service == "ui" else "build_id"] == image["build_id"]
        assert get(f"{prod['urls'][service]}/healthz")[0] == 200
        assert image["digest"].startswith("sha256:")


def test_prod_images_are_small(prod: dict, docker: Docker, tmp_path: Path) -> None:
    for service, image in prod["images"].items():
        assert 0 < unpacked_bytes(docker, image["ref"]) <= 25 * MB, service


def unpacked_bytes(docker: Docker, ref: str) -> int:
    container = docker("create", ref).strip()
    try:
        done = subprocess.run(
            [docker.program, "export", container],
            env=clean_environment() | docker.env,
            capture_output=True,
            check=True,
        )
        return len(done.stdout)
    finally:
        docker("rm", container)


def test_prod_containers_are_hardened(ready_clone: Clone, prod: dict, docker: Docker) -> None:
    name = prod["images"]["api"]["ref"].removesuffix("-api:prod")
    found = containers_of(docker, name)
    assert len(found) == 3
    for container in docker.json("inspect", *found):
        host, config = container["HostConfig"], container["Config"]
        assert config["User"] == "65532:65532"
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["Memory"] > 0
        assert host["NanoCpus"] > 0
        assert host["PidsLimit"] > 0
        assert config["Healthcheck"]["Test"] == ["CMD", "/bin/service", "--healthcheck"]
        for bindings in host["PortBindings"].values():
            assert all(binding["HostIp"] == "127.0.0.1" for binding in bindings)
    for image in prod["images"].values():
        listing = docker(
            "run", "--rm", "--entrypoint", "/bin/sh", image["ref"], "-c", "true", check=False
        )
        assert listing == ""


def test_prod_ui_serves_compressed_immutable_files(prod: dict) -> None:
    url = prod["urls"]["ui"]
    status, page, headers = get(url)
    assert status == 200
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-cache"
    asset = next(
        part for part in page.decode().split('"') if "assets/" in part and part.endswith(".js")
    )
    asset = asset.lstrip(".").lstrip("/")
    for encoding in ("gzip", "br", "zstd"):
        request = urllib.request.Request(f"{url}/{asset}", headers={"Accept-Encoding": encoding})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["content-encoding"] == encoding
            assert "immutable" in answer.headers["cache-control"]
    assert json.loads(get(f"{url}/api/items")[1])["items"] is not None


def test_secrets_of_the_host_leave_no_trace(prod: dict, docker: Docker) -> None:
    settings = Path(docker.env["REBAKE_HOST_SETTINGS"])
    bundle = (settings / "ca.pem").read_text()
    needle = next((line for line in bundle.splitlines() if len(line) == 64), None)
    for image in prod["images"].values():
        history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image["ref"])
        assert str(settings) not in history
        saved = subprocess.run(
            [docker.program, "image", "save", image["ref"]],
            env=clean_environment() | docker.env,
            capture_output=True,
            check=True,
        ).stdout
        assert str(settings).encode() not in saved
        assert needle is None or needle.encode() not in saved


def test_a_port_in_use_in_prod_starts_nothing(
    ready_clone: Clone, docker: Docker, prod: dict
) -> None:
    ready_clone.invoke("down").ok()
    port = int(prod["urls"]["api"].rpartition(":")[2])
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        refused = ready_clone.invoke("prod")
    assert refused.returncode == 1
    assert f"port {port} of api is in use by" in refused.stderr
    assert "prod.ports.api" in refused.stderr
    name = prod["images"]["api"]["ref"].removesuffix("-api:prod")
    assert containers_of(docker, name, every=True) == []


def test_a_disk_without_room_builds_nothing(ready_clone: Clone) -> None:
    refused = ready_clone.invoke("build", REBAKE_BUILD_MIN_FREE_BYTES=str(10**15))
    assert refused.returncode == 1
    assert "GB free, at least 1000000.0 GB needed" in refused.stderr
    assert "build-workspace" not in refused.stderr


def test_a_build_with_nothing_to_do_says_so(ready_clone: Clone, prod: dict) -> None:
    again = ready_clone.invoke("build", "--json").ok().document
    assert {image["built"] for image in again["images"].values()} == {False}
    assert {name: image["digest"] for name, image in again["images"].items()} == {
        name: image["digest"] for name, image in prod["images"].items()
    }


def test_new_content_with_an_older_time_is_built(ready_clone: Clone, docker: Docker) -> None:
    source = ready_clone.root / "backend" / "crates" / "api" / "src" / "lib.rs"
    text = source.read_text()
    marker = "const ABOUT: &'static str = \""
    refs = []
    try:
        for content in (text.replace(marker, marker + "B. "), text):
            source.write_text(content)
            os.utime(source, (1_600_000_000, 1_600_000_000))
            image = ready_clone.invoke("build", "api", "--json").ok().document["images"]["api"]
            shown = docker("run", "--rm", image["ref"], "--help").splitlines()[0]
            assert shown.startswith("B. ") == (content != text)
            assert image["build_id"] in docker("run", "--rm", image["ref"], "--version")
            refs.append(image["build_id"])
    finally:
        source.write_text(text)
    assert refs[0] != refs[1]


def test_by_hand_without_rebake(ready_clone: Clone, docker: Docker) -> None:
    """With the caches and volumes that the clone has, or each file would compile all once more."""
    project = open_project(ready_clone.root)
    ready_clone.invoke("down").ok()
    cache = {"CACHE_ID": project.cache_id}
    docker(
        "buildx", "bake", "-f", "docker/docker-bake.hcl",
        timeout=900, cwd=ready_clone.root, PROJECT="rebake-by-hand", **cache,
    )  # fmt: skip
    ports = {f"{name}_PORT": port for name, port in PROD_PORTS.items()}
    modes: tuple[tuple[Mode, str], ...] = (
        ("prod", "docker/docker-compose.yml"), ("dev", "docker/docker-compose.dev.yml"),
    )  # fmt: skip
    for mode, file in modes:
        compose = ("compose", "-f", file)
        env = {**ports, **cache, "COMPOSE_PROJECT_NAME": project.compose_name(mode)}
        up = (*compose, "up", "--build", "--detach", "--wait")
        try:
            docker(*up, timeout=900, cwd=ready_clone.root, **env)
            assert get(f"http://127.0.0.1:{PROD_PORTS['UI']}/healthz")[0] == 200
        finally:
            docker(*compose, "down", cwd=ready_clone.root, **env)


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
def test_plain_docker_commands_use_the_engine(ready_clone: Clone, docker: Docker) -> None:
    script = (
        'eval "$(.venv/bin/invoke engine env)" && docker version --format "{{.Server.Version}}"'
    )
    told = ready_clone.run("sh", "-c", script, timeout=60).ok().stdout.strip()
    assert told == docker("version", "--format", "{{.Server.Version}}").strip()
