"""Reads the backend's cargo workspace: its members and the binaries they make.

Source of the rules: The Cargo Book, "Cargo Targets" (auto-discovered binaries) and "Workspaces".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from rebake.errors import ProjectError
from rebake.project.manifests import needs

# Into so many parts rustc compiles a crate at most where it does so incrementally, by default.
# https://doc.rust-lang.org/cargo/reference/profiles.html#codegen-units
INCREMENTAL_PARTS = 256


class Binary(Struct, frozen=True):
    """One binary of the workspace and the package that makes it."""

    name: str
    package: str
    crate: Path


class Workspace(Struct, frozen=True, dict=True):
    """A cargo workspace.

    Attributes:
        members: the folders of its packages.
        needs: by the folder of each package, those of the others that it is compiled from,
            directly; tests' dependencies are not among them.
    """

    root: Path
    members: tuple[Path, ...]
    binaries: tuple[Binary, ...]
    rust_version: str | None
    needs: Mapping[Path, frozenset[Path]] = field(default_factory=dict)

    def binary(self, name: str) -> Binary | None:
        """The binary of that name, or None."""
        return next((b for b in self.binaries if b.name == name), None)


def read_workspace(root: Path) -> Workspace:
    """Read the workspace (or single package) in `root`.

    Raises:
        ProjectError: a manifest is missing, does not parse, or names a member that is not there.
    """
    manifest = root / "Cargo.toml"
    document = read_manifest(manifest)
    table = document.get("workspace", {})
    patterns = table.get("members", []) if "workspace" in document else []
    excluded = {root / path for path in table.get("exclude", [])}
    members: list[Path] = [root] if "package" in document else []
    for pattern in patterns:
        found = sorted(p for p in root.glob(pattern) if (p / "Cargo.toml").is_file())
        if not found:
            raise ProjectError(manifest, f"workspace member {pattern!r} has no Cargo.toml")
        members += [p for p in found if p not in excluded]
    if not members:
        raise ProjectError(manifest, "has neither [package] nor workspace members")
    manifests = {member: read_manifest(member / "Cargo.toml") for member in members}
    binaries = [b for member in members for b in _binaries(member, manifests[member])]
    package = table.get("package", {}) or document.get("package", {})
    version = package.get("rust-version")
    return Workspace(
        root,
        tuple(members),
        tuple(binaries),
        version if isinstance(version, str) else None,
        _needs(manifests, table.get("dependencies", {})),
    )


def read_manifest(path: Path) -> dict[str, Any]:
    """Parse one Cargo.toml.

    Raises:
        ProjectError: it is not there or is not TOML; with the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(
            path, "is not there", "set backend.path in rebake.toml to the workspace's folder"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(path, f"can't be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        message = re.sub(r" \(at .*\)$", "", str(error))
        raise ProjectError(
            path,
            f"does not parse: {message}",
            "mend that line; nothing was built",
            int(found[1]) if found else None,
        ) from error


def _needs(
    manifests: Mapping[Path, Mapping[str, Any]], shared: Mapping[str, Any]
) -> dict[Path, frozenset[Path]]:
    """Which members each member is compiled from, by name: one too many does no harm."""
    place = {str(m.get("package", {}).get("name", d.name)): d for d, m in manifests.items()}
    # `name.workspace = true` means what the workspace calls so, which may be another package.
    renamed = {
        k: str(v["package"]) for k, v in shared.items() if isinstance(v, dict) and "package" in v
    }
    found = {}
    for folder, manifest in manifests.items():
        names = {renamed.get(name, name) for name in needs(manifest)} | set(needs(manifest))
        found[folder] = frozenset(place[name] for name in names if name in place)
    return found


def _binaries(crate: Path, document: Mapping[str, Any]) -> list[Binary]:
    package = document.get("package", {}).get("name", crate.name)
    names = [entry["name"] for entry in document.get("bin", []) if "name" in entry]
    if not names:
        if (crate / "src" / "main.rs").is_file():
            names.append(package)
        names += [path.stem for path in sorted((crate / "src" / "bin").glob("*.rs"))]
    return [Binary(name, package, crate) for name in names]
