"""The scan with a real engine, the real Trivy and the real Grype, offline and with a registry.

Each line of what an image or a stack must keep is broken alone, in one image or service of its own;
all of them are looked at by one run.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from advisories import ADVISORY, write_advisories, write_workspace
from bbolt import CRATE, DEBIAN, PACKAGE, SIZE, write_database
from e2e.support import REPOSITORY, Clone, Docker, Ran, clean_environment
from grype_database import write_archive
from rebake.engine import loopback_registry
from rebake.scan import tools
from unit.scan.test_image_rules import CONFIG, FILES, layer

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake"))
NAME = "rebake-e2e-scan"
KEY = "AKIA" + "QWERTYUIOPASDFGH"
_DB_LAYER = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"


# --- images: archives written here, loaded by the engine ---


def auditable(**crates: str) -> bytes:
    """A program of 64-bit ELF with the list of its crates, as cargo-auditable leaves it.

    https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md
    """
    packages = [{"name": "app", "version": "0.1.0", "source": "local", "root": True,
                 "dependencies": list(range(1, len(crates) + 1))}]  # fmt: skip
    packages += [{"name": n, "version": v, "source": "crates.io"} for n, v in crates.items()]
    data = zlib.compress(json.dumps({"packages": packages}).encode())
    names = b"\0.dep-v0\0.shstrtab\0"
    start = 64
    table = start + len(data) + len(names)
    header = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, table, 0, 64, 56, 0, 64, 3, 2)
    section = struct.Struct("<IIQQQQIIQQ")
    rows = [
        bytes(section.size),
        section.pack(1, 1, 0, 0, start, len(data), 0, 0, 1, 0),
        section.pack(9, 3, 0, 0, start + len(data), len(names), 0, 0, 1, 0),
    ]
    return header + data + names + b"".join(rows)


STATUS = """\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b2
Source: bash (5.2.15-2)
"""
OS = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
HOLED: dict[str, tuple[bytes, int]] = {
    "bin/service": (auditable(ammonia="1.9.0"), 0o755),
    "etc/os-release": (OS.encode(), 0o644),
    "etc/debian_version": (b"12.5\n", 0o644),
    "var/lib/dpkg/status": (STATUS.encode(), 0o644),
    "srv/node_modules/lodash/package.json": (
        b'{"name": "lodash", "version": "4.17.0", "license": "MIT"}', 0o644),
}  # fmt: skip
GONE = layer({"app/.wh..env": (b"", 0o644)})


@dataclass(frozen=True)
class Image:
    """An image that is loaded: its layers, and what differs in its settings."""

    layers: tuple[bytes, ...]
    config: Mapping[str, Any]
    history: tuple[str, ...] = ()


def one(*layers: bytes, history: tuple[str, ...] = (), **config: Any) -> Image:
    return Image((layer(FILES), *layers), {**CONFIG, **config}, history)


SHELL_CHECK = {"Test": ["CMD-SHELL", "/bin/service --healthcheck"]}
CURL_CHECK = {"Test": ["CMD", "/bin/curl", "http://localhost/"]}
# An image for each line, by the rule that it breaks.
BROKEN: dict[str, tuple[str, Image]] = {
    "root": ("image-root", one(User="")),
    "no-check": ("image-healthcheck", one(Healthcheck={})),
    "shell-check": ("image-healthcheck", one(Healthcheck=SHELL_CHECK)),
    "other-check": ("image-healthcheck", one(Healthcheck=CURL_CHECK)),
    "setuid": ("image-setuid", one(layer({"bin/x": (b"x", 0o755 | stat.S_ISUID)}))),
    "shell": ("image-shell", one(layer({"bin/busybox": (b"x", 0o755)}))),
    "manager": ("image-package-manager", one(layer({"usr/bin/dpkg": (b"x", 0o755)}))),
    "env": ("image-secret", one(Env=["DB_PASSWORD=hunter2hunter2"])),
    "argument": ("image-secret", one(history=("RUN |1 NPM_TOKEN=hunter2 /bin/sh -c npm ci",))),
    "label": ("image-secret", one(Labels={"deploy.token": "hunter2hunter2"})),
    "layer": ("image-secret-file", one(layer({"app/.env": (b"A=b\n", 0o644)}), GONE)),
}
SOUND = one()
HOLES = Image((layer(HOLED),), CONFIG)
LEAKY = one(layer({"srv/app.conf": (f"aws_access_key_id = {KEY}\n".encode(), 0o644)}))


def ref(name: str) -> str:
    return f"{NAME}-{name}:1"


def load(docker: Docker, images: Mapping[str, Image], folder: Path) -> None:
    """Load images by one archive of the form that `docker save` writes."""
    file = folder / "images.tar"
    manifest = []
    with tarfile.open(file, "w") as tar:

        def add(name: str, content: bytes) -> str:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
            return name

        for name, image in images.items():
            digests = [hashlib.sha256(part).hexdigest() for part in image.layers]
            history = [{"created_by": f"COPY {n}"} for n in range(len(digests))]
            history += [{"created_by": line, "empty_layer": True} for line in image.history]
            settings = {
                "architecture": "amd64", "os": "linux", "config": image.config,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{d}" for d in digests]},
                "history": history,
            }  # fmt: skip
            entry = {
                "Config": add(f"{name}.json", json.dumps(settings).encode()),
                "RepoTags": [ref(name)],
                "Layers": [
                    add(f"{name}-{digest}/layer.tar", part)
                    for digest, part in zip(digests, image.layers, strict=True)
                ],
            }
            manifest.append(entry)
        add("manifest.json", json.dumps(manifest).encode())
    docker("load", "--quiet", "--input", str(file))
    file.unlink()


# --- the project ---


@dataclass(frozen=True)
class Bench:
    """A project without sources, and the images."""

    root: Path
    docker: Docker
    cache: Path

    def scan(self, *words: str, **env: str) -> Ran:
        return nox(self.root, sys.executable, self.cache, *words, **env)


def nox(root: Path, python: str, cache: Path, *words: str, **env: str) -> Ran:
    """`nox -s scan -- --json WORDS`, without a network."""
    done = subprocess.run(
        [python, "-m", "nox", "-s", "scan", "--", "--json", *words],
        cwd=root,
        env=clean_environment()
        | {"REBAKE_SCAN_OFFLINE": "true", "REBAKE_SCAN_DB_FOLDER": str(cache), "CI": "", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr, 0.0)


@pytest.fixture(scope="module")
def missing() -> str:
    """Why the real Trivy is not here; empty where it is: on PATH, or built from source before.

    To build it takes twenty minutes of a processor, once for each user: too much for a test that
    comes by, so that is asked for.
    """
    build = bool(os.environ.get("REBAKE_E2E_TRIVY"))
    found = tools.find(tools.TRIVY, say=lambda line: sys.stderr.write(f"{line}\n"), fetch=build)
    return found if isinstance(found, str) else ""


@pytest.fixture(scope="module")
def trivy(missing: str) -> None:
    """What is looked for needs the real Trivy. What does not is tested without it."""
    if missing:
        pytest.skip(f"missing: {missing}; REBAKE_E2E_TRIVY=1 builds it")


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    folder = FOLDER / "e2e-scan"
    (folder / "docker").mkdir(parents=True, exist_ok=True)
    for name in ("noxfile.py", "tasks.py"):
        (folder / name).write_text((REPOSITORY / name).read_text())
    (folder / "rebake.toml").write_text('[project]\nname = "scan"\n')
    told = subprocess.run(
        [sys.executable, "-m", "invoke", "engine", "status", "--json"],
        cwd=folder, env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    status = json.loads(told.stdout)
    docker = Docker(status["docker"], {**status["env"]})
    images = {"sound": SOUND, "holes": HOLES, "leaky": LEAKY}
    images |= {name: image for name, (_, image) in BROKEN.items()}
    load(docker, images, folder)
    cache = folder / "cache"
    write_database(cache)
    yield Bench(folder, docker, cache)
    docker("image", "rm", "--force", *map(ref, images), check=False)


def failing(document: Any) -> list[tuple[str, str]]:
    return [(f["target"], f["id"]) for f in document["findings"] if f["standing"] == "fails"]


@pytest.mark.usefixtures("trivy")
def test_the_holes_of_an_images_packages_and_a_secret(bench: Bench) -> None:
    done = bench.scan(ref("holes"), ref("leaky"))
    document = done.document
    assert document["faults"] == [], done.stderr
    assert done.returncode == document["exit_code"] == 14
    found = failing(document)
    assert {rule for target, rule in found if target == ref("holes")} == {CRATE, PACKAGE, DEBIAN}
    leaks = {(f["kind"], f["scanner"]) for f in document["findings"] if f["target"] == ref("leaky")}
    assert {("secret", "trivy"), ("image", "rebake")} <= leaks
    reports = [file.read_text() for file in (bench.root / ".rebake" / "scan").iterdir()]
    assert not any(KEY in text for text in (done.stdout, done.stderr, *reports))
    holes = {f["id"]: f for f in document["findings"]}
    assert holes[CRATE]["package"] == "ammonia"
    assert holes[PACKAGE]["fixed"] == "4.17.12"
    assert holes[DEBIAN]["severity"] == "high"


@pytest.mark.usefixtures("trivy")
def test_the_scanner_out_of_an_image(bench: Bench, tmp_path: Path) -> None:
    """Where there is neither a program on PATH nor one of ours."""
    found = tools.find(tools.TRIVY, say=sys.stderr.write, fetch=False)
    if not isinstance(found, tools.LocalScanner) or found.origin == "PATH":
        pytest.skip("missing: a trivy of ours; REBAKE_E2E_TRIVY=1 builds it")
    image = f"{tools.TRIVY.image}:{tools.TRIVY.version}"
    if bench.docker("images", "--quiet", image):
        pytest.skip(f"{image} is here already, and somebody else's")
    # As the real one has it: the program, and a place for what is temporary.
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add(found.path, "usr/bin/trivy")
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    start = 'ENTRYPOINT ["/usr/bin/trivy"]'
    bench.docker("import", "--change", start, str(tmp_path / "root.tar"), image)
    try:
        done = bench.scan(ref("holes"), XDG_CACHE_HOME=str(tmp_path / "cache"))
    finally:
        bench.docker("image", "rm", "--force", image)
    assert f"(image {image})" in done.stderr
    assert done.document["faults"] == [], done.stderr
    assert {rule for _, rule in failing(done.document)} == {CRATE, PACKAGE, DEBIAN}


def test_each_line_of_an_image(bench: Bench) -> None:
    # Our own rules alone: Trivy has a word for some of them as well, and takes its time.
    names = ["sound", *BROKEN]
    done = bench.scan(*map(ref, names), REBAKE_SCAN_SCANNER="snyk", SNYK_TOKEN="")
    document = done.document
    assert document["faults"] == [], done.stderr
    assert done.returncode == document["exit_code"] == 14
    found = failing(document)
    broken = {name: {rule for target, rule in found if target == ref(name)} for name in names}
    assert broken == {"sound": set()} | {name: {rule} for name, (rule, _) in BROKEN.items()}
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.usefixtures("trivy")
def test_a_sound_image_alone_passes(bench: Bench) -> None:
    done = bench.scan(ref("sound"), "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.document["passed"] is True
    assert done.document["parts"]["database"]["state"] == "ok"


@pytest.mark.usefixtures("trivy")
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("removed", "is not there"),
        ("cut", "is cut off"),
        ("schema", "is of schema 1"),
    ],
)
def test_a_database_that_can_not_be_used_is_never_clean(
    bench: Bench, tmp_path: Path, harm: str, message: str
) -> None:
    file = write_database(tmp_path, schema=1 if harm == "schema" else 2)
    if harm == "removed":
        file.unlink()
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-SIZE])
    done = replace(bench, cache=tmp_path).scan(ref("sound"))
    assert done.returncode == 1
    (fault,) = done.document["faults"]
    assert fault.startswith("database: ")
    assert message in fault
    assert done.document["passed"] is False


# --- a registry ---


def push(address: str, folder: Path, *, tag: str) -> None:
    """Put a database into a registry, as Trivy's makers do: one layer with both files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("trivy.db", "metadata.json"):
            tar.add(folder / name, name)
    layer_ = gzip.compress(packed.getvalue())
    connection = http.client.HTTPConnection(address, timeout=10)

    def blob(content: bytes) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        connection.request("POST", "/v2/trivy-db/blobs/uploads/")
        answer = connection.getresponse()
        answer.read()
        place = str(answer.headers["Location"])
        path = place.partition(address)[2] or place
        mark = "&" if "?" in path else "?"
        connection.request(
            "PUT", f"{path}{mark}digest={digest}", content,
            {"Content-Type": "application/octet-stream"},
        )  # fmt: skip
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201
        return {"digest": digest, "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.aquasec.trivy.config.v1+json", **blob(b"{}")},
        "layers": [
            {"mediaType": _DB_LAYER, **blob(layer_),
             "annotations": {"org.opencontainers.image.title": "db.tar.gz"}},
        ],
    }  # fmt: skip
    connection.request(
        "PUT", f"/v2/trivy-db/manifests/{tag}", json.dumps(manifest),
        {"Content-Type": str(manifest["mediaType"])},
    )  # fmt: skip
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 201
    connection.close()


@pytest.mark.usefixtures("trivy")
def test_a_database_from_a_registry_on_loopback(bench: Bench, tmp_path: Path) -> None:
    write_database(tmp_path / "served")
    write_database(tmp_path / "old", schema=1)
    with loopback_registry.running(tmp_path / "registry", lambda _line: None) as address:
        push(address, tmp_path / "served" / "db", tag="2")
        push(address, tmp_path / "old" / "db", tag="1")
        online = {"REBAKE_SCAN_OFFLINE": "false"}
        repository = {"REBAKE_SCAN_DB_REPOSITORY": f"{address}/trivy-db:2"}
        one = replace(bench, cache=tmp_path / "cache")
        done = one.scan(ref("holes"), **online, **repository)
        assert done.document["faults"] == [], done.stderr
        assert {rule for _, rule in failing(done.document)} == {CRATE, PACKAGE, DEBIAN}
        # One of another schema is no database.
        repository = {"REBAKE_SCAN_DB_REPOSITORY": f"{address}/trivy-db:1"}
        other = replace(bench, cache=tmp_path / "other")
        done = other.scan(ref("holes"), **online, **repository)
        assert done.returncode == 1
        assert any(fault.startswith("database: ") for fault in done.document["faults"])


# --- the other scanner ---


@pytest.fixture(scope="module")
def grype() -> Path:
    """The real one, by the same way as Trivy."""
    build = bool(os.environ.get("REBAKE_E2E_GRYPE"))
    found = tools.find(tools.GRYPE, say=lambda line: sys.stderr.write(f"{line}\n"), fetch=build)
    if isinstance(found, str):
        pytest.skip(f"missing: {found}; REBAKE_E2E_GRYPE=1 builds it")
    assert isinstance(found, tools.LocalScanner)
    return found.path


def bring(grype: Path, cache: Path, archive: Path) -> subprocess.CompletedProcess[str]:
    """Bring a database into a cache folder, as somebody without a network does."""
    return subprocess.run(
        [grype, "db", "import", archive],
        env=os.environ
        | {"GRYPE_DB_CACHE_DIR": str(cache / "grype"), "GRYPE_DB_VALIDATE_AGE": "false"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


GRYPE = {"REBAKE_SCAN_SCANNER": "grype"}


def test_the_holes_that_grype_finds(
    bench: Bench, grype: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = bring(grype, tmp_path, write_archive(tmp_path / "db.tar.gz"))
    assert done.returncode == 0, done.stderr
    # Neither a setting of the user's nor one of the environment hides a hole.
    home = tmp_path / "home"
    (home / "grype").mkdir(parents=True)
    (home / "grype" / "config.yaml").write_text(f"ignore:\n  - vulnerability: {CRATE}\n")
    monkeypatch.setenv("GRYPE_ONLY_NOTFIXED", "true")
    settings = {"XDG_CONFIG_HOME": str(home), **GRYPE}
    done_ = replace(bench, cache=tmp_path).scan(ref("holes"), **settings)
    document = done_.document
    assert document["faults"] == [], done_.stderr
    assert document["parts"]["database"]["state"] == "ok"
    assert {rule for _, rule in failing(document)} == {CRATE, PACKAGE, DEBIAN}
    holes = {f["id"]: f for f in document["findings"]}
    assert (holes[CRATE]["package"], holes[CRATE]["version"]) == ("ammonia", "1.9.0")
    assert (holes[PACKAGE]["severity"], holes[PACKAGE]["fixed"]) == ("critical", "4.17.12")
    assert holes[DEBIAN]["place"] == "var/lib/dpkg/status"
    assert done_.returncode == 14
    sound = replace(bench, cache=tmp_path).scan(ref("sound"), "--strict", **GRYPE)
    assert (sound.returncode, sound.document["passed"]) == (0, True), sound.stderr


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("removed", "does not exist"),
        ("cut", "is malformed"),
        ("changed", "bad db checksum"),
        ("schema", "not a v6 database"),
        ("old", "older than scan.db_max_age allows"),
    ],
)
def test_a_database_that_grype_can_not_use_is_never_clean(
    bench: Bench, grype: Path, tmp_path: Path, harm: str, message: str
) -> None:
    age = timedelta(days=15 if harm == "old" else 0)
    done = bring(grype, tmp_path, write_archive(tmp_path / "db.tar.gz", age=age))
    assert done.returncode == 0, done.stderr
    file = tmp_path / "grype" / "6" / "vulnerability.db"
    if harm == "removed":
        file.unlink()
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-4096])
    if harm == "changed":  # as a file that somebody put in its place
        with file.open("r+b") as opened:
            opened.seek(-20, os.SEEK_END)
            opened.write(b"x")
    if harm == "schema":
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE db_metadata SET model = 5")
    done_ = replace(bench, cache=tmp_path).scan(ref("sound"), **GRYPE)
    assert done_.returncode == 1
    faults = done_.document["faults"]
    assert faults[0].startswith("database: ")
    assert message in faults[0]
    assert done_.document["passed"] is False


# --- the stack ---

_HARDENED = """\
x-sound: &sound
  image: app:1@sha256:{digest}
  user: "65532:65532"
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  pids_limit: 128
  mem_limit: 256m
  cpus: 1
  tmpfs: [/tmp]
  healthcheck: {{ test: [CMD, /bin/service, --healthcheck] }}
  ports: ["127.0.0.1:{{port}}:8080"]
services:
"""
# A service for each line, with what differs from a sound one, by the rule that it breaks.
SERVICES = {
    "capabilities": ("compose-cap-drop", "cap_drop: []"),
    "privileged": ("compose-privileged", "privileged: true"),
    "gains": ("compose-no-new-privileges", "security_opt: []"),
    "writable": ("compose-read-only", "read_only: false"),
    "no-tmpfs": ("compose-tmpfs", "tmpfs: []"),
    "memory": ("compose-limits", "mem_limit: 0"),
    "processor": ("compose-limits", "cpus: 0"),
    "processes": ("compose-limits", "pids_limit: 0"),
    "seccomp": ("compose-seccomp",
                'security_opt: ["no-new-privileges:true", "seccomp:unconfined"]'),
    "socket": ("compose-docker-sock", "volumes: [/var/run/docker.sock:/var/run/docker.sock]"),
    "network": ("compose-host-namespace", "network_mode: host"),
    "pid": ("compose-host-namespace", "pid: host"),
    "ipc": ("compose-host-namespace", "ipc: host"),
    "address": ("compose-port-address", 'ports: ["9999:8080"]'),
    "secret": ("compose-secrets", "environment: { DB_PASSWORD: hunter2hunter2 }"),
    "anonymous": ("compose-named-volume", "volumes: [/data]"),
    "database": ("compose-named-volume",
                 "image: postgres:17@sha256:" + "0" * 64),
    "named": ("compose-container-name", "container_name: mine"),
    "unpinned": ("compose-image-pinned", "image: app:1"),
    "root": ("compose-root", 'user: "0"'),
}  # fmt: skip
DOCKERFILE = """\
FROM debian:12 AS unpinned
ADD https://example.org/x /x
ARG NPM_TOKEN
FROM scratch
USER 65532:65532
"""


def test_each_line_of_a_stack_and_of_a_dockerfile(bench: Bench, missing: str) -> None:
    text = _HARDENED.format(digest="0" * 64).replace('  ports: ["127.0.0.1:{port}:8080"]\n', "")
    text += "  sound:\n    <<: *sound\n    ports: ['127.0.0.1:9998:8080']\n"
    for name, (_, change) in SERVICES.items():
        text += f"  {name}:\n    <<: *sound\n    {change}\n"
    (bench.root / "docker" / "docker-compose.yml").write_text(text)
    (bench.root / "backend").mkdir(exist_ok=True)
    (bench.root / "backend" / "Dockerfile").write_text(DOCKERFILE)
    document = bench.scan().document
    found = [f for f in document["findings"] if f["kind"] == "compose"]
    assert {f["standing"] for f in found} == {"fails"}
    broken = {name: {f["id"] for f in found if f["place"] == name} for name in SERVICES}
    assert broken == {name: {rule} for name, (rule, _) in SERVICES.items()}
    assert [f for f in found if f["place"] == "sound"] == []
    lines = {f["message"] for f in found if f["id"] == "compose-limits"}
    assert lines == {"no memory limit", "no CPU limit", "no process limit"}
    rules = {(f["id"], f["line"]) for f in document["findings"] if f["kind"] == "dockerfile"}
    assert rules == {
        ("dockerfile-unpinned", 1), ("dockerfile-add", 2), ("dockerfile-secret", 3),
    }  # fmt: skip
    if not missing:  # Trivy has words of its own for the same file
        kinds = {(f["target"], f["kind"]) for f in document["findings"]}
        assert ("backend/Dockerfile", "misconfiguration") in kinds
    # And the images of this project were never built: that is no success either.
    assert any("invoke build makes the images" in fault for fault in document["faults"])
    assert document["exit_code"] == 1


# --- lock-files and advisories ---

# Where cargo-deny keeps RustSec's advisories: the name is made from their address.
DATABASE = "advisory-db-3157b0e258782691"
# What lies beside the workspace; its packages have a hole.
UI = {
    "ui/package.json": '{"name": "ui", "dependencies": {"lodash": "4.17.0"}}\n',
    "ui/bun.lock": '{\n  "lockfileVersion": 1,\n  "workspaces": {"": {"name": "ui", '
    '"dependencies": {"lodash": "4.17.0"}}},\n  "packages": {\n'
    '    "lodash": ["lodash@4.17.0", "", {}, "sha512-x"],\n  }\n}\n',
}


@pytest.mark.skipif(
    shutil.which("cargo") is None or shutil.which("git") is None, reason="missing: cargo, git"
)
def test_lock_files_and_advisories(bench: Bench, tmp_path: Path, missing: str) -> None:
    root = tmp_path / "project"
    write_workspace(root)
    for name, text in UI.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("noxfile.py", "rebake.toml"):
        (root / name).write_text((bench.root / name).read_text())
    write_advisories(root / "advisories" / DATABASE)
    document = replace(bench, root=root).scan().document
    found = {(f["target"], f["id"]) for f in document["findings"] if f["standing"] == "fails"}
    assert found == {
        ("backend/Cargo.lock", ADVISORY),
        ("backend/Cargo.lock", "cargo-deny-rejected"),  # its licence
        *([] if missing else [("backend/Cargo.lock", CRATE), ("ui/bun.lock", PACKAGE)]),
    }
    assert document["parts"]["lock-files"]["state"] == ("missing" if missing else "failed")


def test_our_own_images_and_stack_pass(
    ready_clone: Clone, bench: Bench, tmp_path: Path, missing: str
) -> None:
    ready_clone.invoke("build").ok()
    write_advisories(tmp_path / DATABASE)
    rules = ready_clone.root / "backend" / "deny.toml"
    text = rules.read_text()
    rules.write_text(text.replace("[advisories]\n", f'[advisories]\ndb-path = "{tmp_path}"\n'))
    try:
        done = nox(ready_clone.root, str(ready_clone.program("python")), bench.cache)
    finally:
        rules.write_text(text)
    document = done.document
    assert failing(document) == [], done.stdout
    assert document["faults"] == []
    assert len(document["images"]) == 3
    trivys = ("database", "lock-files", "dockerfiles", "image ")
    for name, part in document["parts"].items():
        without = missing and name.startswith(trivys)
        assert part["state"] == ("missing" if without else "ok"), (name, part)
    expected = {"advisories", "cargo deny", "contexts", "dockerfile rules", "compose"}
    assert expected | {f"rules {name}:prod" for name in ("api", "worker", "ui")} <= set(
        document["parts"]
    )
