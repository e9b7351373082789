"""What the benchmark must know of a project: its crates, who uses whom, and where to edit.

Source of the rules: The Cargo Book, "Cargo Targets" and "Specifying Dependencies".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from rebake.errors import ProjectError
from rebake.project.cargo import read_manifest, read_workspace
from rebake.project.project import Project

_ENTRIES = ("main", "index", "app", "App")
_SUFFIXES = (".tsx", ".ts", ".jsx", ".js")
# Files beside Cargo.toml that decide how cargo builds.
_CONFIGURATION = (".cargo", "rust-toolchain.toml", "rust-toolchain")


class Crate(Struct, frozen=True):
    """One member of the workspace; all paths are relative to the workspace, with `/`.

    Attributes:
        sources: the file of each target: library, binaries, build script and what is listed.
        library: the library's file; empty without one.
        binaries: the file of each binary, by name.
        uses: the folders of the workspace's own crates that it is built from.
    """

    name: str
    folder: str
    library: str
    binaries: Mapping[str, str]
    sources: tuple[str, ...]
    uses: tuple[str, ...]

    @property
    def manifest(self) -> str:
        """Its Cargo.toml."""
        return _join(self.folder, "Cargo.toml")


class Layout(Struct, frozen=True):
    """A project as the benchmark sees it.

    Attributes:
        backend: the workspace's folder, relative to the project's root.
        ui: the UI's folder; empty when there is none.
        services: the backend's services.
        binaries: all binaries of the workspace.
        crates: its members.
        configuration: files and folders beside Cargo.toml that decide how cargo builds.
        code: the service that is edited, and `code_file` where, relative to the workspace.
        shared_file: where the crate that all services use is edited; empty where there is none.
        ui_entry: the UI's first module, relative to its folder; `ui_page` its HTML, if any.
    """

    backend: str
    ui: str
    services: tuple[str, ...]
    binaries: tuple[str, ...]
    crates: tuple[Crate, ...]
    configuration: tuple[str, ...]
    code: str
    code_crate: Crate
    code_file: str
    shared_file: str
    ui_entry: str = ""
    ui_page: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """Every image of the project."""
        return (*self.services, "ui") if self.ui else self.services


def read_layout(project: Project) -> Layout:
    """Read a project's workspace and UI.

    Raises:
        ProjectError: a manifest can't be used, or a service has no source that can be edited.
    """
    workspace = read_workspace(project.backend)
    document = read_manifest(project.backend / "Cargo.toml")
    shared = document.get("workspace", {}).get("dependencies", {})
    crates = tuple(_crate(project.backend, folder, shared) for folder in workspace.members)
    services = project.config.backend.services
    makers = {name: crate for crate in crates for name in crate.binaries}
    for service in services:
        if service not in makers:
            raise ProjectError(project.backend / "Cargo.toml", f"makes no binary {service!r}")
    code = makers[services[0]]
    has_ui = (project.ui / "package.json").is_file()
    entry = _ui_entry(project.ui) if has_ui else ""
    return Layout(
        backend=project.config.backend.path,
        ui=project.config.ui.path if has_ui else "",
        services=services,
        binaries=tuple(makers),
        crates=crates,
        configuration=tuple(n for n in _CONFIGURATION if (project.backend / n).exists()),
        code=services[0],
        code_crate=code,
        code_file=code.library or code.binaries[services[0]],
        shared_file=shared_file(crates, [makers[service] for service in services]),
        ui_entry=entry,
        ui_page="index.html" if has_ui and (project.ui / "index.html").is_file() else "",
    )


def shared_file(crates: Sequence[Crate], services: Sequence[Crate]) -> str:
    """Choose the library that all services are built from, the lowest one where there are more."""
    known = {crate.folder: crate for crate in crates}
    common = set(known)
    for service in services:
        common &= _reached(service, known) - {service.folder}
    candidates = [known[folder] for folder in common if known[folder].library]
    lowest = min(
        candidates, key=lambda crate: (len(_reached(crate, known)), crate.folder), default=None
    )
    return lowest.library if lowest else ""


def _reached(crate: Crate, known: Mapping[str, Crate]) -> set[str]:
    seen: set[str] = set()
    todo = [crate.folder]
    while todo:
        folder = todo.pop()
        if folder not in seen and folder in known:
            seen.add(folder)
            todo += known[folder].uses
    return seen


def _crate(root: Path, folder: Path, shared: Mapping[str, Any]) -> Crate:
    document = read_manifest(folder / "Cargo.toml")
    package = document.get("package", {})
    place = folder.relative_to(root).as_posix()
    name = str(package.get("name", folder.name))
    library = str(document.get("lib", {}).get("path", "src/lib.rs"))
    has_library = (folder / library).is_file()
    binaries = _binaries(folder, document, name)
    script = package.get("build", "build.rs" if (folder / "build.rs").is_file() else "")
    listed = [
        str(entry["path"])
        for kind in ("test", "bench", "example")
        for entry in document.get(kind, [])
        if "path" in entry
    ]
    sources = [
        *([library] if has_library else []),
        *binaries.values(),
        # A script that is found by its name alone need not be there.
        *([str(script)] if "build" in package and script else []),
        *listed,
    ]
    return Crate(
        name=name,
        folder=place,
        library=_join(place, library) if has_library else "",
        binaries={key: _join(place, path) for key, path in binaries.items()},
        sources=tuple(dict.fromkeys(_join(place, path) for path in sources)),
        uses=_uses(root, folder, document, shared),
    )


def _binaries(folder: Path, document: Mapping[str, Any], name: str) -> dict[str, str]:
    found = {}
    for entry in document.get("bin", []):
        given = str(entry.get("name", name))
        usual = "src/main.rs" if given == name else f"src/bin/{given}.rs"
        found[given] = str(entry.get("path", usual))
    if (folder / "src/main.rs").is_file() and "src/main.rs" not in found.values():
        found[name] = "src/main.rs"
    for file in sorted((folder / "src/bin").glob("*.rs")):
        found.setdefault(file.stem, f"src/bin/{file.name}")
    return found


def _uses(
    root: Path, folder: Path, document: Mapping[str, Any], shared: Mapping[str, Any]
) -> tuple[str, ...]:
    found = []
    for table in ("dependencies", "build-dependencies"):
        for name, entry in document.get(table, {}).items():
            if not isinstance(entry, dict):
                continue
            base, given = folder, entry
            if entry.get("workspace"):
                base, given = root, shared.get(name, {})
            if isinstance(given, dict) and "path" in given:
                # By name alone: a path may climb out of the folder and back.
                found.append(Path(os.path.relpath(base / str(given["path"]), root)).as_posix())
    return tuple(found)


def _ui_entry(ui: Path) -> str:
    for folder in ("src", "."):
        for stem in _ENTRIES:
            for suffix in _SUFFIXES:
                if (ui / folder / f"{stem}{suffix}").is_file():
                    return (Path(folder) / f"{stem}{suffix}").as_posix()
    raise ProjectError(
        ui / "src",
        "has no main.tsx, main.ts, index.tsx or the like to edit",
        "leave the UI's scenario out: --scenarios code-change,…",
    )


def _join(folder: str, path: str) -> str:
    return Path(folder, path).as_posix()
