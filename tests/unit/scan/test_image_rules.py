"""The rules for images: a sound one, broken in one line at a time, out of a real archive."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rebake.errors import ScannerFailed
from rebake.scan.archive import read_archive
from rebake.scan.findings import Finding
from rebake.scan.image_rules import check

KEY = "AKIA" + "QWERTYUIOPASDFGH"
CONFIG: dict[str, Any] = {
    "User": "65532:65532",
    "Entrypoint": ["/bin/service"],
    "Healthcheck": {"Test": ["CMD", "/bin/service", "--healthcheck"]},
    "Env": ["PATH=/bin", "DATABASE_URL=sqlite:///data/app.db", "TOKEN_FILE=/run/secrets/token"],
    "Labels": {"rebake.build-id": "3f9c2b7a1d0e4c55"},
}
HISTORY = ["COPY /out/bin/api /bin/service # buildkit", "USER 65532:65532"]
FILES: dict[str, tuple[bytes, int]] = {"bin/service": (b"\x7fELF", 0o755)}


def layer(files: Mapping[str, tuple[bytes, int]], links: Mapping[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
    return out.getvalue()


def archive(
    file: Path,
    layers: list[bytes],
    config: Mapping[str, Any] = CONFIG,
    history: list[str] = HISTORY,
) -> Path:
    settings = {"config": config, "history": [{"created_by": line} for line in history]}
    names = [f"blobs/sha256/{number}" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": names}]
    parts = {
        "config.json": json.dumps(settings).encode(),
        "manifest.json": json.dumps(manifest).encode(),
        **dict(zip(names, layers, strict=True)),
    }
    with tarfile.open(file, "w") as tar:
        for name, content in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file


def found(file: Path) -> list[Finding]:
    return list(check(read_archive(file, "x:1")))


def broken(folder: Path, *layers: bytes, **more: Any) -> list[tuple[str, str]]:
    file = archive(folder / "image.tar", [layer(FILES), *layers], **more)
    return [(one.id, one.message) for one in found(file)]


def test_a_sound_image_breaks_no_rule(tmp_path: Path) -> None:
    assert broken(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "rule", "message"),
    [
        ({"User": ""}, "image-root", "it runs as root (no user is set)"),
        ({"User": "root"}, "image-root", "it runs as root (user root)"),
        ({"User": "00:65532"}, "image-root", "it runs as root (user 00)"),
        ({"Healthcheck": None}, "image-healthcheck", "it has no health check"),
        ({"Healthcheck": {"Test": ["NONE"]}}, "image-healthcheck", "it has no health check"),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "/bin/service --healthcheck"]}},
         "image-healthcheck", "its health check needs a shell"),
        ({"Healthcheck": {"Test": ["CMD", "/usr/bin/curl", "localhost"]}}, "image-healthcheck",
         "its health check is not a subcommand of its own program: /usr/bin/curl localhost"),
        ({"Healthcheck": {"Test": ["CMD", "/bin/service"]}}, "image-healthcheck",
         "its health check is not a subcommand of its own program: /bin/service"),
        ({"Env": ["DB_PASSWORD=hunter2hunter2"]}, "image-secret", "ENV DB_PASSWORD holds a secret"),
        ({"Env": [f"WHATEVER={KEY}"]}, "image-secret", "ENV WHATEVER holds a secret"),
        ({"Labels": {"deploy.token": "hunter2"}}, "image-secret",
         "LABEL deploy.token holds a secret"),
    ],
)  # fmt: skip
def test_settings(tmp_path: Path, change: dict[str, Any], rule: str, message: str) -> None:
    assert broken(tmp_path, config={**CONFIG, **change}) == [(rule, message)]


@pytest.mark.parametrize(
    "line",
    [
        "RUN |1 NPM_TOKEN=hunter2 /bin/sh -c npm ci # buildkit",
        "ARG API_KEY=hunter2",
        "ENV A=b DB_PASSWORD='hunter2'",
    ],
)
def test_history(tmp_path: Path, line: str) -> None:
    ((rule, message),) = broken(tmp_path, history=[*HISTORY, line])
    assert rule == "image-secret"
    assert message.startswith("line 3 of its history holds a secret: ")
    assert "hunter2" not in message


def test_a_secret_in_history_by_its_form(tmp_path: Path) -> None:
    line = f"RUN /bin/sh -c upload --key {KEY} # buildkit"
    assert broken(tmp_path, history=[line]) == [
        ("image-secret", "line 1 of its history holds an AWS access key")
    ]


@pytest.mark.parametrize(
    "line",
    [
        "RUN --mount=type=secret,id=npm_token TOKEN_FILE=/run/secrets/npm_token npm ci",
        "ENV API_TOKEN=$TOKEN",
        "ARG TOKEN",
    ],
)
def test_history_without_a_secret(tmp_path: Path, line: str) -> None:
    assert broken(tmp_path, history=[line]) == []


@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID])
def test_setuid(tmp_path: Path, bit: int) -> None:
    assert broken(tmp_path, layer({"bin/su": (b"x", 0o755 | bit)})) == [
        ("image-setuid", "files with setuid or setgid: bin/su")
    ]


@pytest.mark.parametrize(
    ("place", "rule", "message"),
    [
        ("bin/sh", "image-shell", "there is a shell in it: /bin/sh"),
        ("usr/local/bin/bash", "image-shell", "there is a shell in it: /usr/local/bin/bash"),
        ("usr/bin/apt-get", "image-package-manager",
         "there is a package manager in it: /usr/bin/apt-get"),
        ("sbin/apk", "image-package-manager", "there is a package manager in it: /sbin/apk"),
    ],
)  # fmt: skip
def test_tools(tmp_path: Path, place: str, rule: str, message: str) -> None:
    assert broken(tmp_path, layer({place: (b"x", 0o755)})) == [(rule, message)]


def test_a_link_to_a_shell_is_one(tmp_path: Path) -> None:
    assert broken(tmp_path, layer({}, {"bin/sh": "../opt/thing"})) == [
        ("image-shell", "there is a shell in it: /bin/sh")
    ]


def test_what_can_not_be_run_is_none(tmp_path: Path) -> None:
    assert broken(tmp_path, layer({"bin/sh": (b"x", 0o644), "srv/www/bash": (b"x", 0o755)})) == []


def test_what_a_later_layer_removes_is_gone(tmp_path: Path) -> None:
    shell = layer({"bin/sh": (b"x", 0o755), "opt/bin/bash": (b"x", 0o4755)})
    gone = layer({"bin/.wh.sh": (b"", 0o644), "opt/.wh..wh..opq": (b"", 0o644)})
    assert broken(tmp_path, shell, gone) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("app/.env", b"A=b\n",
         "layer 2 holds a file whose name says that it holds secrets: /app/.env"),
        ("etc/key.txt", f"one\n{KEY}\n".encode(),
         "layer 2 holds an AWS access key: /etc/key.txt"),
    ],
)  # fmt: skip
def test_a_secret_stays_in_its_layer_though_a_later_one_removes_it(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder, _, base = name.rpartition("/")
    gone = layer({f"{folder}/.wh.{base}": (b"", 0o644)})
    file = archive(tmp_path / "x.tar", [layer(FILES), layer({name: (content, 0o644)}), gone])
    (one,) = found(file)
    assert (one.id, one.severity, one.message) == ("image-secret-file", "critical", message)
    assert KEY not in str(one)


def test_a_packed_layer(tmp_path: Path) -> None:
    packed = gzip.compress(layer({"bin/sh": (b"x", 0o755)}))
    assert [rule for rule, _ in broken(tmp_path, packed)] == ["image-shell"]


@pytest.mark.parametrize("harm", ["cut", "text", "layer", "none"])
def test_an_archive_that_is_not_whole(tmp_path: Path, harm: str) -> None:
    file = archive(tmp_path / "x.tar", [layer(FILES)])
    whole = file.read_bytes()
    if harm == "cut":
        file.write_bytes(whole[: len(whole) // 3])
    elif harm == "text":
        file.write_bytes(b"no archive")
    elif harm == "layer":
        archive(file, [b"\x28\xb5\x2f\xfd and no more of it"])
    else:
        file.unlink()
    with pytest.raises(ScannerFailed, match="x:1 can't be read"):
        found(file)
