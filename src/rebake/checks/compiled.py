"""What cargo has compiled of the registry's crates: kept by one clone, taken by the next.

A fresh clone has an empty `target`, and some two hundred crates are compiled before the first
check of it can run. Cargo's names for what it compiles hold the crate's version and source, its
features, the profile and the compiler, but no path of the workspace, so that another clone's are
as good as one's own; cargo itself judges each of them by its fingerprint as ever. The workspace's
own crates are left out: their names hold the clone's path.

All times are kept: cargo compares them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

_PARTS = ("deps", "build", ".fingerprint")
# Without an ending, or with another one: programs, objects and what the linker wrote.
_LIBRARIES = frozenset({".rlib", ".rmeta", ".so", ".dylib", ".dll", ".d"})
_KEPT = 2  # lock-files
_MAX_BYTES = 3_000_000_000  # a folder that grew for months is nothing to start from
_PROFILE = "debug"


def place(home: Path, backend: Path) -> Path:
    """Return the folder for a workspace's lock-file, in `home`.

    Raises:
        OSError: there is no lock-file to read.
    """
    return home / hashlib.sha256((backend / "Cargo.lock").read_bytes()).hexdigest()[:16]


def take(home: Path, backend: Path, say: Callable[[str], None]) -> bool:
    """Give a workspace that has compiled nothing what another clone of it has.

    Args:
        home: where it is kept.
        backend: the cargo workspace.
        say: told when something is taken.

    Returns:
        Whether anything was taken. No check fails for the lack of it.
    """
    target = backend / "target" / _PROFILE
    fresh = target.with_name(f"{_PROFILE}.new-{os.getpid()}")
    try:
        kept = place(home, backend)
        if target.exists() or not kept.is_dir():
            return False
        say("taking over what another clone has compiled of the dependencies")
        _copy(kept, fresh, frozenset())
        fresh.rename(target)  # whole or not at all
    except OSError:
        return False
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def keep(home: Path, backend: Path) -> bool:
    """Keep what a workspace has compiled, where it has more than is kept already.

    Args:
        home: where it is kept.
        backend: the cargo workspace.

    Returns:
        Whether anything was kept. No check fails for the lack of it.
    """
    target = backend / "target" / _PROFILE
    fresh = old = home / f"new-{os.getpid()}"
    try:
        own = members(backend)
        kept = place(home, backend)
        if not _units(target, own) - _units(kept, frozenset()):
            return False
        if sum(file.stat().st_size for file in _files(target, own)) > _MAX_BYTES:
            return False
        home.mkdir(parents=True, exist_ok=True)
        _copy(target, fresh, own)
        old = home / f"old-{os.getpid()}"
        if kept.exists():
            kept.rename(old)
        fresh.rename(kept)
        kept.touch()
        _forget(home)
    except (OSError, tomllib.TOMLDecodeError):
        return False
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return True


def members(backend: Path) -> frozenset[str]:
    """Return the names of the workspace's own crates, with `_` for `-`, as in names of files."""
    found = set()
    for manifest in (backend / "Cargo.toml", *backend.glob("crates/*/Cargo.toml")):
        with contextlib.suppress(FileNotFoundError):
            document = tomllib.loads(manifest.read_text(encoding="utf-8"))
            if name := document.get("package", {}).get("name"):
                found.add(str(name).replace("-", "_"))
    return frozenset(found)


def _units(target: Path, own: frozenset[str]) -> set[str]:
    """The names of all that is compiled; one of them is a folder of `.fingerprint`."""
    with contextlib.suppress(FileNotFoundError):
        return {
            path.name for path in (target / ".fingerprint").iterdir() if not _is_own(path.name, own)
        }
    return set()


def _is_own(name: str, own: frozenset[str]) -> bool:
    crate = name.rpartition("-")[0].replace("-", "_")
    return crate in own or crate.removeprefix("lib") in own


def _files(target: Path, own: frozenset[str]) -> Iterator[Path]:
    for part in _PARTS:
        for path in sorted((target / part).iterdir()):
            if _is_own(path.name, own):
                continue
            if path.is_dir():
                yield from (file for file in sorted(path.rglob("*")) if file.is_file())
            elif path.suffix in _LIBRARIES:
                yield path


def _copy(source: Path, target: Path, own: frozenset[str]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for file in _files(source, own):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)


def _forget(home: Path) -> None:
    """Remove all but the newest."""
    kept = [path for path in home.iterdir() if not path.name.startswith(("new-", "old-"))]
    kept.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in kept[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
