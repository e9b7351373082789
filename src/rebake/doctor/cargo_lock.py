"""Compares Cargo.lock with the manifests: what `cargo build --locked` would refuse. Pure.

cargo itself would tell, but it may not be here, and it may want the network for it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from rebake.doctor.requirement import satisfies
from rebake.project.cargo import Workspace, read_manifest

_KINDS = (
    "dependencies",
    "dev-dependencies",
    "build-dependencies",
    "dev_dependencies",
    "build_dependencies",
)


class Wanted(Struct, frozen=True):
    """One dependency of a manifest: the package's name, the versions, and a path within here."""

    package: str
    version: str
    path: Path | None


def faults(workspace: Workspace, lock_text: str) -> Iterator[str]:
    """Yield what of the lock-file does not fit the manifests, a line each.

    Args:
        workspace: the workspace; its manifests are read.
        lock_text: the text of Cargo.lock.

    Raises:
        ProjectError: a manifest can't be read.
        tomllib.TOMLDecodeError: the lock-file is not TOML.
    """
    packages: list[Mapping[str, Any]] = tomllib.loads(lock_text).get("package", [])
    top = read_manifest(workspace.root / "Cargo.toml")
    shared = top.get("workspace", {})
    patched = {name for table in top.get("patch", {}).values() for name in table}
    patched |= {str(name).partition(":")[0] for name in top.get("replace", {})}
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for package in packages:
        by_name.setdefault(str(package.get("name")), []).append(package)
    seen: set[Path] = set()
    todo = [member.resolve() for member in workspace.members]
    names = set()
    while todo:
        crate = todo.pop(0)
        if crate in seen or not (crate / "Cargo.toml").is_file():
            continue
        seen.add(crate)
        manifest = read_manifest(crate / "Cargo.toml")
        wanted = dependencies(manifest, shared, crate, workspace.root)
        todo += [dep.path for dep in wanted if dep.path is not None]
        name = str(manifest.get("package", {}).get("name", crate.name))
        names.add(name)
        yield from _crate(name, _version(manifest, shared), wanted, by_name, patched)
    for package in packages:
        name = str(package.get("name"))
        if "source" not in package and name not in names and name not in patched:
            yield f"{name} is in the lock-file, and no crate of the workspace any more"


def dependencies(
    manifest: Mapping[str, Any], shared: Mapping[str, Any], crate: Path, root: Path
) -> list[Wanted]:
    """All dependencies of a manifest, of all kinds and targets, each once."""
    tables = [manifest, *(t for t in manifest.get("target", {}).values() if isinstance(t, dict))]
    found: dict[tuple[str, str], Wanted] = {}
    for table in tables:
        for kind in _KINDS:
            for key, spec in table.get(kind, {}).items():
                folder = crate
                entry: Any = spec
                if isinstance(entry, dict) and entry.get("workspace"):
                    entry = shared.get("dependencies", {}).get(key, {})
                    folder = root
                if isinstance(entry, str):
                    entry = {"version": entry}
                package = str(entry.get("package", key))
                path = (folder / entry["path"]).resolve() if "path" in entry else None
                version = "" if "git" in entry else str(entry.get("version", ""))
                found[package, version] = Wanted(package, version, path)
    return list(found.values())


def _crate(
    name: str,
    version: str | None,
    wanted: list[Wanted],
    by_name: Mapping[str, list[Mapping[str, Any]]],
    patched: set[str],
) -> Iterator[str]:
    own = next((p for p in by_name.get(name, ()) if "source" not in p), None)
    if own is None:
        yield f"crate {name} is not in the lock-file"
        return
    if version is not None and own.get("version") != version:
        yield f"{name} is {version}, and {own.get('version')} in the lock-file"
    locked = [str(entry).split(" ") for entry in own.get("dependencies", [])]
    named = {words[0] for words in locked}
    asked = {dep.package for dep in wanted} - {name}
    for package in sorted(asked - named):
        yield f"{name} depends on {package}, which the lock-file does not know"
    for package in sorted(named - asked):
        yield f"{name} does not depend on {package} any more"
    for dep in wanted:
        if dep.package not in named or dep.package in patched or not dep.version:
            continue
        versions = [words[1] for words in locked if words[0] == dep.package and len(words) > 1]
        versions = versions or [str(p.get("version")) for p in by_name.get(dep.package, ())]
        if versions and not any(satisfies(dep.version, one) for one in versions):
            yield f"{name} asks for {dep.package} {dep.version}, locked is {', '.join(versions)}"


def _version(manifest: Mapping[str, Any], shared: Mapping[str, Any]) -> str | None:
    version = manifest.get("package", {}).get("version", "0.0.0")
    if isinstance(version, dict):  # version.workspace = true
        version = shared.get("package", {}).get("version")
    return version if isinstance(version, str) else None
