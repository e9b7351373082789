"""What an image is made of, from the lock files that it was built from. Pure.

A scanner that looks into the image sees a bare binary: neither the crates in it nor the packages
of a bundle leave a name there. The lock files name all of them.

Source of the package URLs: https://github.com/package-url/purl-spec
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from rebake.history.evidence import Package


class Part(Struct, frozen=True):
    """One package in an image.

    Attributes:
        kind: `cargo` or `npm`.
        needs: the package URLs of the parts that it needs itself.
        local: part of this repository, not from a registry.
    """

    kind: str
    name: str
    version: str
    needs: tuple[str, ...] = ()
    local: bool = False

    @property
    def purl(self) -> str:
        """The package URL."""
        return purl(self.kind, self.name, self.version)


def purl(kind: str, name: str, version: str) -> str:
    """The package URL of a package; `@` and the like in names are escaped, `/` is not."""
    return f"pkg:{kind}/{quote(name, safe='/')}@{quote(version, safe='')}"


def crates(packages: Sequence[Package], root: str) -> tuple[Part, ...]:
    """Return a workspace's package and all that it needs, by a Cargo.lock.

    Cargo.lock does not tell what is needed only on other platforms, for building or for tests: that
    is in it too. Rather one too many in the list than one too few.

    Args:
        packages: those of the lock file.
        root: the name of the workspace's package.
    """
    by_name: dict[str, list[Package]] = {}
    for package in packages:
        by_name.setdefault(package.name, []).append(package)
    found: dict[tuple[str, str], Part] = {}
    todo = [package for package in by_name.get(root, ()) if not package.source]
    while todo:
        package = todo.pop()
        if (package.name, package.version) in found:
            continue
        needs = [one for need in package.needs for one in _needed(need, by_name)]
        todo += needs
        found[package.name, package.version] = Part(
            "cargo",
            package.name,
            package.version,
            tuple(sorted({purl("cargo", one.name, one.version) for one in needs})),
            local=not package.source,
        )
    return tuple(found[key] for key in sorted(found))


def _needed(need: str, by_name: Mapping[str, Sequence[Package]]) -> list[Package]:
    name, _, version = need.partition(" ")
    return [one for one in by_name.get(name, ()) if not version or one.version == version]


def bun_packages(packages: Iterable[Package]) -> tuple[Part, ...]:
    """Return the packages of a bun.lock."""
    found = {
        (name, package.version): Part("npm", name, package.version)
        for package in packages
        if package.source and (name := _npm_name(package.name))
    }
    return tuple(found[key] for key in sorted(found))


def npm_packages(text: str) -> tuple[Part, ...]:
    """Return the packages of a package-lock.json.

    Raises:
        ValueError: it is none.
    """
    try:
        entries: Mapping[str, Any] = json.loads(text)["packages"]
        found = {
            (name, str(entry["version"])): Part("npm", name, str(entry["version"]))
            for path, entry in entries.items()
            if "node_modules/" in path and not entry.get("link")
            for name in [str(entry.get("name") or path.rpartition("node_modules/")[2])]
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no lock file of npm: {error}") from None
    return tuple(found[key] for key in sorted(found))


def _npm_name(path: str) -> str:
    """The package's own name: a nested one has the path of those above it in front."""
    parts = path.split("/")
    scoped = len(parts) > 1 and parts[-2].startswith("@")
    return "/".join(parts[-2:] if scoped else parts[-1:])
