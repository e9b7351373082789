"""Says why cargo compiled each package. Pure.

cargo's messages tell which packages it compiled. Why follows from what is known of the sources:
which package's files are others, which entries of Cargo.lock, and which package needs which. cargo
itself would tell with its fingerprint log, which costs time at each build (see the decisions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from msgspec import Struct, field

from rebake.explain import changes
from rebake.explain.model import Cause, ExplainedCrate
from rebake.explain.side import Side, join
from rebake.history.evidence import Manifest, Package
from rebake.history.records import FileDigest

_ALL = ("rust-toolchain", "rust-toolchain.toml", ".cargo/config.toml", ".cargo/config")
_BUILD_ID = "BACKEND_BUILD_ID"
_SERVICE_IDS = "SERVICE_BUILD_IDS"


class Workspace(Struct, frozen=True, dict=True):
    """The packages of a cargo workspace and its lock file.

    Attributes:
        folder: the workspace's folder, from the project's root.
        members: the folder of each package of its own, below `folder`; empty for the root.
        manifests: what their manifests say.
        locked: the packages of the lock file by name.
    """

    folder: str
    members: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    locked: Mapping[str, tuple[Package, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, side: Side, folder: str) -> Workspace:
        """Read it from a build's files; empty where it is not known."""
        files = side.folder(folder) or {}
        members, manifests = {}, {}
        locked: dict[str, tuple[Package, ...]] = {}
        for path, file in files.items():
            facts = side.facts.get(file.sha256)
            place, _, name = path.rpartition("/")
            if facts is None:
                continue
            if name == "Cargo.toml" and facts.manifest is not None and facts.manifest.name:
                members[facts.manifest.name] = place
                manifests[facts.manifest.name] = facts.manifest
            elif path == "Cargo.lock" and facts.lock is not None:
                for package in facts.lock:
                    locked[package.name] = (*locked.get(package.name, ()), package)
        return cls(folder, members, manifests, locked)

    def needs(self, name: str) -> set[str]:
        """The names of the packages that a package is compiled with."""
        manifest = self.manifests.get(name)
        if manifest is not None:
            return set(manifest.needs)
        # `name` or `name version` where there are several versions of it.
        return {need.split(" ")[0] for one in self.locked.get(name, ()) for need in one.needs}

    def closure(self, name: str) -> set[str]:
        """A package and all that it needs, directly or not."""
        found, todo = {name}, [name]
        while todo:
            new = self.needs(todo.pop()) - found
            found |= new
            todo += new
        return found

    @cached_property
    def owners(self) -> list[tuple[str, str]]:
        """Folders of members with their names, the deepest first."""
        pairs = [(place, name) for name, place in self.members.items()]
        return sorted(pairs, key=lambda pair: (-len(pair[0].split("/")), pair))

    def owner(self, path: str) -> str:
        """The member that a file belongs to; empty for none."""
        for place, name in self.owners:
            if not place or path.startswith(place + "/"):
                return name
        return ""


def explain_crates(
    before: Side | None,
    after: Side,
    folder: str,
    compiled: Iterable[str],
    everything: Cause | None,
) -> tuple[ExplainedCrate, ...]:
    """Say why each package was compiled.

    Args:
        before: the build that is compared with; None for the first one.
        after: the build.
        folder: the workspace's folder.
        compiled: the packages, as `name@version`.
        everything: what makes cargo compile all of them, such as a lost cache mount.
    """
    return _Reasons(before, after, folder, tuple(compiled), everything).all()


def would_compile(before: Side, after: Side, folder: str, *, everything: bool) -> tuple[str, ...]:
    """Return the packages that cargo would compile, as `name@version`.

    Args:
        before: the last build.
        after: what the next one would be made from.
        folder: the workspace's folder.
        everything: whether it would begin with nothing.
    """
    new, old = Workspace.of(after, folder), Workspace.of(before, folder)
    wanted: set[str] = set()
    for name in new.members:
        wanted |= new.closure(name)
    wanted &= new.members.keys() | new.locked.keys()
    if not everything:
        changed = _changed_files(before, after, folder)
        wide = any(_of_all(path) for path in changed) or "Cargo.toml" in changed
        touched = {new.owner(path) for path in changed} | _entries(old, new)
        if "" in touched or wide:
            touched |= new.members.keys()
        if changed:  # the build id is compiled into each service
            touched |= {n for n in new.members if not _needed_by_members(new, n)}
        wanted = {name for name in wanted if new.closure(name) & touched}
    versions = {name: new.locked.get(name, ()) for name in wanted}
    return tuple(sorted(f"{name}@{one.version}" for name, some in versions.items() for one in some))


class _Reasons:
    def __init__(
        self,
        before: Side | None,
        after: Side,
        folder: str,
        compiled: tuple[str, ...],
        everything: Cause | None,
    ) -> None:
        self.before, self.after, self.folder = before, after, folder
        self.pairs = [(n, v) for n, _, v in (one.partition("@") for one in compiled)]
        self.names = {name for name, _ in self.pairs}
        self.everything = everything
        self.new = Workspace.of(after, folder)
        self.old = Workspace.of(before, folder) if before else Workspace(folder)
        self.changed = _changed_files(before, after, folder) if before else {}

    def all(self) -> tuple[ExplainedCrate, ...]:
        done = {}
        for name, version in self.pairs:
            reason, root = self._reason(name, version)
            done[name, version] = ExplainedCrate(name, version, reason, root)
        # What comes down to another package comes down to what that one comes down to.
        return tuple(self._rooted(one, done) for one in done.values())

    def _rooted(
        self, crate: ExplainedCrate, done: Mapping[tuple[str, str], ExplainedCrate]
    ) -> ExplainedCrate:
        by_name = {name: one for (name, _), one in done.items()}
        root, seen = crate, {crate.name}
        while root.root in by_name and root.root not in seen:
            seen.add(root.root)
            root = by_name[root.root]
        if root is crate:
            return crate
        return ExplainedCrate(crate.name, crate.version, crate.reason, root.name)

    def _reason(self, name: str, version: str) -> tuple[str, str]:
        """The reason, and what it comes down to."""
        if self.everything is not None:
            return self.everything.text, self.everything.text
        member = name in self.new.members
        own = self._own_files(name) if member else []
        if own:
            return _listed(own), name
        if not member and (entry := self._entry(name, version)):
            return entry, name
        needed = sorted(self.new.needs(name) & self.names - {name})
        lowest = [one for one in needed if one in self.new.members] or needed
        if lowest:
            return f"{_and(lowest)} changed", lowest[0]
        return self._outside(name, member=member)

    def _own_files(self, name: str) -> list[str]:
        return [self._told(path) for path in self.changed if self.new.owner(path) == name]

    def _outside(self, name: str, *, member: bool) -> tuple[str, str]:
        """Reasons that are in no package's own folder."""
        wide = [path for path in self.changed if _of_all(path) or path == "Cargo.toml"]
        if wide:
            return _listed([self._told(path) for path in wide]), join(self.folder, wide[0])
        loose = [p for p in self.changed if not self.new.owner(p) and p != "Cargo.lock"]
        # A service tells the build id, so it is compiled with every edit; a library is not.
        service = member and not _needed_by_members(self.new, name)
        if service and self._id_changed(name):
            return "the build id, which is compiled in, is another one", "the build id"
        if member and loose:
            return _listed([self._told(path) for path in loose]), join(self.folder, loose[0])
        if self.before is None:
            return "first build", "first build"
        return "cargo had no result of it that still holds", "cargo's own cache"

    def _id_changed(self, service: str) -> bool:
        if self.before is None:
            return False
        sides = (self.before.variables, self.after.variables)
        own = [_own_id(side, service) for side in sides]
        # Of its own sources, where both builds knew that; else of all sources.
        old, new = own if all(own) else (side.get(_BUILD_ID, "") for side in sides)
        return old != new

    def _entry(self, name: str, version: str) -> str:
        """What is new of a package of the lock file."""
        if not self.old.locked:
            return ""
        old = {one.version for one in self.old.locked.get(name, ())}
        if version in old:
            return ""
        new = {one.version for one in self.new.locked.get(name, ())}
        gone = sorted(old - new)
        return f"{gone[0]} → {version}" if gone else f"new: {version}"

    def _told(self, path: str) -> str:
        was, now = self.changed[path]
        assert self.before is not None  # noqa: S101 - there are changes
        detail = changes.file_detail(self.before, self.after, was, now)
        return f"{join(self.folder, path)} ({detail})"


def _changed_files(
    before: Side, after: Side, folder: str
) -> dict[str, tuple[FileDigest | None, FileDigest | None]]:
    old, new = before.folder(folder) or {}, after.folder(folder) or {}
    return {
        path: (old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    }


def _entries(old: Workspace, new: Workspace) -> set[str]:
    """The packages of the lock file that are others."""
    names = old.locked.keys() | new.locked.keys()
    return {
        name
        for name in names
        if {p.version for p in old.locked.get(name, ())}
        != {p.version for p in new.locked.get(name, ())}
    }


def _own_id(variables: Mapping[str, str], service: str) -> str:
    """The id of a service's own part of the sources; empty where the build knew none."""
    words = (word.partition("=") for word in variables.get(_SERVICE_IDS, "").split())
    return next((rest.partition(":")[0] for name, _, rest in words if name == service), "")


def _needed_by_members(workspace: Workspace, name: str) -> bool:
    return any(name in manifest.needs for manifest in workspace.manifests.values())


def _of_all(path: str) -> bool:
    return path in _ALL or path.endswith(tuple("/" + one for one in _ALL))


def _listed(texts: list[str]) -> str:
    more = len(texts) - 3
    return ", ".join(texts[:3]) + (f" and {more} more" if more > 0 else "")


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
