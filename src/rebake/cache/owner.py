"""How to tell what is this project's: its names, and nothing that only begins like them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

# The volumes of the dev stack that hold what can be made again; all others are data, not caches.
CACHE_VOLUMES: Mapping[str, str] = {
    "target": "target debug",
    "cargo": "cargo registry",
    "node_modules": "packages",
    "bun": "store",  # of the package manager that its name ends with
}
_MANAGERS = frozenset({"bun", "npm"})
_MOUNTS: Mapping[str, str] = {
    "cargo": "cargo registry",
    "cargo-tools": "cargo tools",  # of Dockerfiles that compiled systemfd on a mount of their own
    "sccache": "compiler cache",
    "bun": "bun store",
    "npm": "npm store",
}
# The name of an image is at its end: with a tag or a digest, so that it can't be another word.
_TARGET = re.compile(r"target-(?P<profile>[a-z0-9_]+)-(?P<arch>[a-z0-9]+)-(?P<image>.+[:@].+)")
_IN_DOCKERFILE = re.compile(r"\bid=\$\{CACHE_ID\}-([A-Za-z0-9][^\s,]*)")
# Another project's id ends like ours, with eight hex digits, before the mount's own name.
_OTHER_ID = re.compile(r"(?:^|-)[0-9a-f]{8}-")
_VARIABLE = re.compile(r"\\\$(?:\\\{\w+\\\}|\w+)")
_VALUE = r"[A-Za-z0-9._:@/+-]+"


class Gone(Struct, frozen=True):
    """A worktree of this repository whose folder is not there any more."""

    folder: str
    name: str


class Owner(Struct, frozen=True):
    """What a project calls its own.

    Attributes:
        cache_id: what its cache mounts begin with.
        worktree: this folder.
        stacks: the Compose project of each mode, of this folder.
        gone: the folders that are not there any more.
        rust: the base image that release builds compile with.
        manager: the package manager of the UI.
        packages: what names the volume of the packages that the UI's lock-file names now.
        mounts: ids of cache mounts in the project's Dockerfiles, after `${CACHE_ID}-`.
        refs: names of the images that the next build makes.
    """

    cache_id: str
    worktree: str
    stacks: Mapping[str, str]
    gone: tuple[Gone, ...] = ()
    rust: str = ""
    manager: str = ""
    packages: str = ""
    mounts: tuple[re.Pattern[str], ...] = field(default=())
    refs: frozenset[str] = frozenset()

    def suffix(self, mount_id: str) -> str:
        """What stands behind our prefix in a mount's id; empty for a mount that is not ours.

        A prefix is not enough: another project's may begin with it. What follows must be a name
        that our builds use.
        """
        rest = mount_id.removeprefix(f"{self.cache_id}-")
        if rest == mount_id or _OTHER_ID.search(rest):
            return ""
        known = rest in _MOUNTS or _TARGET.fullmatch(rest) is not None
        return rest if known or any(p.fullmatch(rest) for p in self.mounts) else ""

    def mount_name(self, suffix: str) -> str:
        """A mount's name for people."""
        target = _TARGET.fullmatch(suffix)
        if target is None:
            return _MOUNTS.get(suffix, suffix)
        name = f"target {target['profile']}"
        return name if target["image"] == self.rust else f"{name} ({target['image']})"

    def needs_mount(self, suffix: str) -> bool:
        """Whether the next build uses it: another toolchain's or manager's is an old one."""
        if suffix in _MANAGERS:
            return suffix == self.manager
        target = _TARGET.fullmatch(suffix)
        return target is None or target["image"] == self.rust

    def volume_name(self, project: str, key: str, name: str) -> tuple[str, bool]:
        """A volume's name for people, and whether the dev stack would use it as it is now."""
        own = name.removeprefix(f"{project}_")
        if key == "bun":
            return f"{own} store volume", own == self.manager
        told = f"{CACHE_VOLUMES[key]} volume"
        wanted = f"{key}_{self.packages}" if key == "node_modules" and self.packages else key
        if own == wanted:
            return told, True
        return f"{told} of another lock-file ({own.rpartition('_')[2]})", False

    def stack(self, project: str) -> tuple[str, str] | None:
        """Mode and remark of a Compose project that is ours; None for all others."""
        for mode, name in self.stacks.items():
            if project == name:
                return mode, ""
        for gone in self.gone:
            for mode, name in (("prod", gone.name), ("dev", f"{gone.name}-dev")):
                if project == name:
                    return mode, f"of {gone.folder}, which is gone"
        return None


def mounts_of(dockerfiles: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Return patterns of the cache mounts' ids that Dockerfiles name after `${CACHE_ID}-`."""
    found = {name for text in dockerfiles for name in _IN_DOCKERFILE.findall(text)}
    names = {name for name in found if not name.startswith("target-")}  # those are known
    return tuple(
        re.compile(_VARIABLE.sub(lambda _found: _VALUE, re.escape(name))) for name in sorted(names)
    )
