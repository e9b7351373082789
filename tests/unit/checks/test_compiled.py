"""What cargo has compiled of the registry's crates, from clone to clone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rebake.checks import compiled

OLD = 1_600_000_000 * 10**9
REGISTRY = {
    "deps/libserde-0a.rlib": "serde",
    "deps/libserde-0a.rmeta": "its metadata",
    "deps/serde-0a.d": "serde-0a.d:",
    "build/libc-0b/out/flags": "its flags",
    ".fingerprint/serde-0a/lib-serde": "a digest",
    ".fingerprint/libc-0b/run-build-script": "a digest",
}
OWN = {
    "deps/libapp_core-0c.rlib": "our crate",
    "deps/api-0d": "a program",
    "deps/http-0e": "a test",
    "build/api-0f/out/x": "our build script's",
    ".fingerprint/app-core-0c/lib-app_core": "a digest",
    "incremental/api-0d/x": "query results",
}


def say(_line: str) -> None:
    return


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A workspace that is compiled."""
    return compiled_workspace(tmp_path / "one")


def workspace(backend: Path, lock: str = "lock") -> Path:
    for name, crate in (("api", "api"), ("core", "app-core")):
        folder = backend / "crates" / name
        folder.mkdir(parents=True)
        (folder / "Cargo.toml").write_text(f'[package]\nname = "{crate}"\n')
    (backend / "Cargo.toml").write_text('[workspace]\nmembers = ["crates/*"]\n')
    (backend / "Cargo.lock").write_text(lock)
    return backend


def compiled_workspace(backend: Path, lock: str = "lock") -> Path:
    workspace(backend, lock)
    for number, (name, text) in enumerate((REGISTRY | OWN).items()):
        file = backend / "target" / "debug" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, ns=(OLD, OLD + number))
    return backend


def found(backend: Path) -> dict[str, tuple[str, int]]:
    target = backend / "target" / "debug"
    return {
        file.relative_to(target).as_posix(): (file.read_text(), file.stat().st_mtime_ns)
        for file in target.rglob("*")
        if file.is_file()
    }


def test_another_clone_gets_the_registrys_crates_with_their_times(
    clone: Path, tmp_path: Path
) -> None:
    assert compiled.keep(tmp_path / "home", clone)
    other = workspace(tmp_path / "two")
    said: list[str] = []
    assert compiled.take(tmp_path / "home", other, said.append)
    wanted = {name: value for name, value in found(clone).items() if name in REGISTRY}
    assert found(other) == wanted
    assert said == ["taking over what another clone has compiled of the dependencies"]
    assert [path.name for path in (other / "target").iterdir()] == ["debug"]


def test_a_clone_that_has_compiled_keeps_its_own(clone: Path, tmp_path: Path) -> None:
    compiled.keep(tmp_path / "home", clone)
    other = compiled_workspace(tmp_path / "two")
    before = found(other)
    assert not compiled.take(tmp_path / "home", other, say)
    assert found(other) == before


def test_another_lock_file_gets_nothing(clone: Path, tmp_path: Path) -> None:
    compiled.keep(tmp_path / "home", clone)
    other = workspace(tmp_path / "two", "another")
    assert not compiled.take(tmp_path / "home", other, say)
    assert not (other / "target" / "debug").exists()


def test_the_same_is_not_kept_twice_and_more_of_it_is(clone: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert compiled.keep(home, clone)
    assert not compiled.keep(home, clone)
    unit = clone / "target" / "debug" / ".fingerprint" / "time-1a"
    unit.mkdir()
    (unit / "lib-time").write_text("a digest")
    assert compiled.keep(home, clone)
    (kept,) = home.iterdir()
    assert (kept / ".fingerprint" / "time-1a" / "lib-time").is_file()


def test_only_the_newest_lock_files_are_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for number in range(4):
        assert compiled.keep(home, compiled_workspace(tmp_path / f"{number}", f"lock {number}"))
        os.utime(compiled.place(home, tmp_path / f"{number}"), ns=(OLD, OLD + number))
    kept = {path.name for path in home.iterdir()}
    assert kept == {compiled.place(home, tmp_path / name).name for name in "23"}


def test_what_grew_too_large_is_not_kept(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_MAX_BYTES", 10)
    assert not compiled.keep(tmp_path / "home", clone)
    assert not (tmp_path / "home").exists()


def test_a_copy_that_breaks_off_leaves_nothing(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled.keep(tmp_path / "home", clone)
    copied: list[Path] = []

    def full(source: Path, target: Path) -> None:
        if copied:
            raise OSError(28, "No space left on device")
        copied.append(target)
        target.write_text(source.read_text())

    monkeypatch.setattr(shutil, "copy2", full)
    other = workspace(tmp_path / "two")
    assert not compiled.take(tmp_path / "home", other, say)
    assert copied
    assert list((other / "target").iterdir()) == []


def test_without_a_lock_file_or_anything_compiled_nothing_is_kept(tmp_path: Path) -> None:
    backend = workspace(tmp_path / "one")
    assert not compiled.keep(tmp_path / "home", backend)
    (backend / "Cargo.lock").unlink()
    assert not compiled.keep(tmp_path / "home", backend)
    assert not compiled.take(tmp_path / "home", backend, say)
