"""nginx in front of the UI's server (`ui.runtime`), beside the same UI without it.

Both images are built for real, of this repository's UI and server, and asked the same things. The
API is a script that tells what it was asked.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.support import Clone, Docker
from rebake.engine.image_size import unpacked_bytes
from rebake.project.project import open_project
from rebake.scan import image_rules
from rebake.scan.archive import read_archive

pytestmark = pytest.mark.engine

NAME = "e2e-nginx"
LARGEST = 25_000_000
SLOW_S = 1.5
API = """
Bun.serve({port: 8080, idleTimeout: 30, async fetch(request) {
  const {pathname, search} = new URL(request.url);
  if (pathname === "/readyz") return Response.json({status: "ready"});
  const body = await request.text();
  if (pathname === "/api/slow") await Bun.sleep(SLOW);
  const headers = Object.fromEntries([...request.headers].sort());
  return Response.json({method: request.method, path: pathname + search, headers, body});
}});
""".replace("SLOW", str(SLOW_S * 1000))
# As docker/docker-compose.yml hardens every container.
HARDENED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
    *("--pids-limit", "128", "--memory", "256m", "--cpus", "1", "--user", "65532:65532"),
    *("--tmpfs", "/tmp:size=16m,mode=1777,noexec,nosuid,nodev"),
)
# Both are reached by addresses of their own.
SAME = {"Host": "shop.example", "X-Request-Id": "one"}
# What two servers may say in words of their own.
THEIR_OWN = {
    *("date", "server", "connection", "keep-alive", "transfer-encoding"),
    *("etag", "last-modified", "accept-ranges", "vary"),
}


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def alike(self) -> tuple[int, dict[str, str], bytes]:
        """What has to be the same with either server."""
        kept = {name: value for name, value in self.headers.items() if name not in THEIR_OWN}
        return self.status, kept, self.body


@dataclass(frozen=True)
class Served:
    """A container of the UI."""

    name: str
    image: str
    address: str

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.address, 8080, timeout=20)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, SAME | names)
            response = connection.getresponse()
            pairs = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, pairs, response.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class Site:
    """The project, with a container of each kind."""

    clone: Clone
    docker: Docker
    network: str
    web: Served
    nginx: Served

    @property
    def script(self) -> str:
        """The path of a script with a digest in its name."""
        page = self.web.ask("GET", "/").body.decode()
        found = re.search(r'src="(/assets/[^"]+\.js)"', page)
        assert found is not None, page
        return found[1]


def run(docker: Docker, network: str, name: str, image: str, *words: str) -> Served:
    docker("rm", "--force", name, check=False)
    environment = ("--env", "API_URL=http://api:8080")
    docker("run", "--detach", "--network", network, "--name", name, *environment, *words, image)
    networks = docker.json("inspect", "--format", "{{json .NetworkSettings.Networks}}", name)
    deadline = time.monotonic() + 30
    while docker("inspect", "--format", "{{.State.Health.Status}}", name).strip() != "healthy":
        assert time.monotonic() < deadline, docker("logs", name)
        time.sleep(0.1)
    return Served(name, image, networks[network]["IPAddress"])


@pytest.fixture(scope="module")
def site(ready_clone: Clone, docker: Docker) -> Iterator[Site]:
    """Both images, and a hardened container of each beside the API."""
    project = open_project(ready_clone.root)
    api = f"{NAME}-api"
    names = {runtime: f"{NAME}-{runtime}" for runtime in ("web", "nginx")}
    containers = (api, *names.values(), f"{NAME}-stopping")
    images = {}
    for runtime in names:
        done = ready_clone.invoke("build", "ui", "--json", REBAKE_UI_RUNTIME=runtime).ok()
        images[runtime] = f"{NAME}:{runtime}"
        docker("tag", done.document["images"]["ui"]["ref"], images[runtime])
    docker("rm", "--force", *containers, check=False)
    docker("network", "rm", NAME, check=False)
    docker("network", "create", NAME)
    try:
        docker(
            *("run", "--detach", "--init", "--network", NAME, "--network-alias", "api"),
            *("--name", api, project.config.base_images.bun, "bun", "-e", API),
        )
        served = {
            runtime: run(docker, NAME, name, images[runtime], *HARDENED)
            for runtime, name in names.items()
        }
        yield Site(ready_clone, docker, NAME, served["web"], served["nginx"])
    finally:
        docker("rm", "--force", *containers, check=False)
        docker("network", "rm", NAME, check=False)
        docker("image", "rm", "--force", *images.values(), check=False)


def test_with_nothing_to_do_nothing_is_done(site: Site) -> None:
    done = site.clone.invoke("build", "ui", "--json", REBAKE_UI_RUNTIME="nginx").ok()
    assert done.document["skipped"].startswith("nothing changed")


def test_everything_is_answered_as_without_nginx(site: Site) -> None:
    page, script = {"Accept": "text/html"}, site.script
    etag = site.web.ask("GET", "/").headers["etag"]
    requests: list[tuple[str, str, str, dict[str, str]]] = [
        ("GET", "/", "", {}),
        ("GET", "/", "", {"Accept_Encoding": "gzip, br"}),
        ("GET", "/", "", {"If_None_Match": etag}),
        ("GET", "/items/42", "", page),
        ("GET", "/items/42", "", {"Accept": "application/json"}),
        ("GET", "/build.json", "", {}),
        ("GET", script, "", {}),
        ("GET", script, "", {"Accept_Encoding": "gzip"}),
        ("GET", script, "", {"Accept_Encoding": "deflate, gzip, br"}),
        ("HEAD", script, "", {"Accept_Encoding": "br"}),
        ("POST", script, "text", {}),
        ("GET", "/assets/nothing-k3v9x2m1.js", "", page),
        ("GET", "/.env", "", page),
        ("GET", "/healthz", "", {}),
        ("POST", "/healthz", "", {}),
        ("GET", "/readyz", "", {}),
        ("GET", "/version", "", {}),
        ("GET", "/api", "", {}),
        ("GET", "/api/items?limit=1&x=%2F..", "", {"Accept": "application/json"}),
        ("PATCH", "/api/items/1", '{"done": true}', {"Content_Type": "application/json"}),
        ("GET", "/api/x", "", {"X_Forwarded_For": "192.0.2.1", "X_Forwarded_Proto": "https"}),
    ]
    for method, path, body, headers in requests:
        with_nginx = site.nginx.ask(method, path, body, **headers)
        assert with_nginx.headers["server"] == "nginx"
        assert with_nginx.alike == site.web.ask(method, path, body, **headers).alike, (method, path)


def test_scripts_are_sent_packed_and_kept_for_good(site: Site) -> None:
    plain = site.nginx.ask("GET", site.script)
    assert "content-encoding" not in plain.headers
    packed = site.nginx.ask("GET", site.script, Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    smallest = site.nginx.ask("GET", site.script, Accept_Encoding="gzip, deflate, br, zstd")
    assert smallest.headers["content-encoding"] == "br"
    assert 0 < len(smallest.body) < len(packed.body)
    for answer in (plain, packed, smallest):
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/javascript"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert packed.headers["vary"].lower() == smallest.headers["vary"].lower() == "accept-encoding"


def test_logs_are_one_json_document_a_line(site: Site) -> None:
    asked = {site.script: "static", "/api/logged": "/api/{*path}", "/": "static"}
    for number, path in enumerate(asked):
        site.nginx.ask("GET", f"{path}?secret=1", X_Request_Id=f"log-{number}")
    lines = [json.loads(line) for line in site.docker("logs", site.nginx.name).splitlines()]
    found = {line["request_id"]: line for line in lines if "log-" in line.get("request_id", "")}
    for number, (path, route) in enumerate(asked.items()):
        line = found[f"log-{number}"]
        assert (line["path"], line["route"], line["status"]) == (path, route, 200)
        assert line["duration_ms"] >= 0


def test_a_mistake_in_the_configuration_ends_the_build(site: Site) -> None:
    file = site.clone.root / "ui/nginx.conf"
    good = file.read_text(encoding="utf-8")
    line = 1 + good[: good.index("sendfile on;")].count("\n")
    file.write_text(good.replace("sendfile on;", "sendfile perhaps;"), encoding="utf-8")
    try:
        done = site.clone.invoke("build", "ui", REBAKE_UI_RUNTIME="nginx")
        assert done.returncode == 1
        assert 'invalid value "perhaps" in "sendfile" directive' in done.stderr
        assert f"/ui/nginx.conf:{line}" in done.stderr
    finally:
        file.write_text(good, encoding="utf-8")


def test_an_api_that_is_gone_is_one_clear_error(site: Site) -> None:
    api = f"{site.network}-api"
    site.docker("stop", "--time", "1", api)
    try:
        for served in (site.nginx, site.web):
            answer = served.ask("GET", "/api/items")
            assert (answer.status, answer.headers["cache-control"]) == (502, "no-store"), answer
            assert answer.headers["content-type"] == "application/problem+json"
            assert json.loads(answer.body) == {
                "type": "about:blank",
                "title": "Bad Gateway",
                "status": 502,
                "detail": "the API does not answer",
                "request_id": "one",
            }
            assert served.ask("GET", "/readyz").status == 503
            assert served.ask("GET", "/healthz").status == 200
    finally:
        site.docker("start", api)
    deadline = time.monotonic() + 20
    # It may have another address now.
    while site.nginx.ask("GET", "/api/items").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_image_is_small_and_has_nothing_else_in_it(site: Site, tmp_path: Path) -> None:
    size = unpacked_bytes(site.docker.env["DOCKER_HOST"], site.nginx.image)
    assert size is not None
    assert size <= LARGEST
    archive = tmp_path / "image.tar"
    site.docker("save", "--output", str(archive), site.nginx.image)
    content = read_archive(archive, site.nginx.image)
    assert list(image_rules.check(content)) == []
    # A scanner knows the packages.
    assert {"var/lib/dpkg/status.d/nginx", "etc/debian_version"} <= content.files.keys()
    label = content.config["Labels"]["rebake.build-id"]
    assert json.loads(site.nginx.ask("GET", "/version").body)["ui_build_id"] == label
    told = site.docker("run", "--rm", "--network", "none", *HARDENED, site.nginx.image, "--version")
    assert f"ui (build {label})" in told


def test_without_nginx_the_image_is_what_it_was(site: Site) -> None:
    environment = site.docker.json(
        "image", "inspect", "--format", "{{json .Config.Env}}", site.web.image
    )
    assert not [entry for entry in environment if "NGINX" in entry]
    layers = {
        image: site.docker.json("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
        for image in (site.web.image, site.nginx.image)
    }
    # The one with nginx lies between those of the server and the one with the files.
    without, with_nginx = layers[site.web.image], layers[site.nginx.image]
    assert with_nginx[: len(without) - 1] == without[:-1]
    assert len(with_nginx) == len(without) + 1


def test_a_stop_loses_no_request(site: Site) -> None:
    # This one without any flags: it may write to its own /tmp.
    served = run(site.docker, site.network, f"{site.network}-stopping", site.nginx.image)
    script, results = site.script, list[tuple[str, int]]()
    problems = list[str]()

    def ask(method: str, path: str, body: str = "") -> None:
        try:
            results.append((path, served.ask(method, path, body).status))
        except ConnectionRefusedError:
            pass  # it was told so, and did not wait
        except Exception as error:  # noqa: BLE001 - any other one is a lost request
            problems.append(f"{method} {path}: {error!r}")

    slow = [threading.Thread(target=ask, args=("POST", "/api/slow", "x" * 100_000))]
    slow += [threading.Thread(target=ask, args=("GET", "/api/slow")) for _ in range(4)]
    for thread in slow:
        thread.start()
    time.sleep(0.3)
    paths = (script, "/", "/healthz", "/api/quick")
    quick = [threading.Thread(target=ask, args=("GET", paths[n % 4])) for n in range(40)]
    started = time.monotonic()
    for number, thread in enumerate(quick):
        if number == len(quick) // 2:
            site.docker("kill", "--signal", "TERM", served.name)
        thread.start()
        time.sleep(0.003)
    code = site.docker("wait", served.name).strip()
    took = time.monotonic() - started
    for thread in (*slow, *quick):
        thread.join()
    assert problems == []
    assert {status for _, status in results} == {200}
    assert [path for path, _ in results].count("/api/slow") == len(slow)
    assert len(results) > len(slow) + len(quick) // 2
    assert code == "0", site.docker("logs", served.name)
    assert took < SLOW_S + 5
