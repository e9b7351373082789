"""What is not the same in two builds: files, arguments, images, packages, settings. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence

from rebake.errors import ProjectError
from rebake.explain.diffstat import diffstat
from rebake.explain.model import Cause
from rebake.explain.side import Side, join
from rebake.history.evidence import LINE_BYTES, USUAL, FileFacts, Package
from rebake.history.records import FileDigest
from rebake.project.ignore import IgnoreMatcher
from rebake.results import BUILD_IDS, NETWORKS

# Variables that are made from a key of rebake.toml.
_SETTING_OF = {
    "RUST_IMAGE": "base_images.rust",
    "BUN_IMAGE": "base_images.bun",
    "COMPILER_CACHE": "build.compiler_cache",
    "CACHE_ID": "project.name",
    "PROJECT": "project.name",
}
# What each build has a value of its own for: it follows from the files, or from the caches.
DERIVED = BUILD_IDS | NETWORKS
AGAIN = "REBUILD"
_LOCKS = ("Cargo.lock", "bun.lock")
_KINDS = {"file": "not executable", "exec": "executable", "link": "a symbolic link"}
_SHOWN = 12  # characters of a digest
_IGNORE = (".dockerignore", "Dockerfile.dockerignore")


def file_changes(
    before: Side, after: Side, folder: str, paths: Sequence[str] = ()
) -> Iterator[Cause]:
    """Yield what changed of a build context, lock entries and manifests first.

    Args:
        before: the older build.
        after: the newer one.
        folder: the context's folder.
        paths: patterns of the paths that count; all of them when empty.
    """
    old, new = before.folder(folder) or {}, after.folder(folder) or {}
    changed = [
        path
        for path in sorted(old.keys() | new.keys(), key=_weight)
        if old.get(path) != new.get(path) and selected(path, paths)
    ]
    ignored = _ignore_change(before, after, folder)
    told = False
    for path in changed:
        was, now = old.get(path), new.get(path)
        if ignored is not None and (path in _IGNORE or _by_ignoring(before, after, folder, path)):
            if not told:
                told = True
                yield ignored
            continue
        yield from of_file(before, after, path=join(folder, path), was=was, now=now)
    for path, detail in mode_changes(before, after, folder):
        if selected(path.removesuffix("/"), paths):
            yield Cause("file", join(folder, path) + "/" * path.endswith("/"), detail)


def mode_changes(before: Side, after: Side, folder: str) -> Iterator[tuple[str, str]]:
    """Yield what has another mode and the same content, and folders that are new or gone."""
    old, new = before.modes.get(folder), after.modes.get(folder)
    if not old or not new or old == new:
        return
    left, right = before.folder(folder) or {}, after.folder(folder) or {}
    for path in sorted(left.keys() & right.keys()):
        was, now = left[path], right[path]
        if was == now and now.kind != "link":
            usual = USUAL + now.kind
            pair = old.get(path, old.get(usual)), new.get(path, new.get(usual))
            if pair[0] != pair[1]:
                yield path, f"mode {pair[0]} → {pair[1]}"
    places = _folders(left, old), _folders(right, new)
    for path in sorted(places[0].keys() | places[1].keys()):
        one, two = places[0].get(path), places[1].get(path)
        if one == two:
            continue
        if one is not None and two is not None:
            yield path, f"mode {one} → {two}"
        elif not any(name.startswith(path) for name in left.keys() ^ right.keys()):
            yield path, "empty, removed" if two is None else "empty, new"


def _folders(files: Mapping[str, FileDigest], modes: Mapping[str, str]) -> dict[str, str]:
    """All folders of a context with their modes; with a slash at the end."""
    found = {path: mode for path, mode in modes.items() if path.endswith("/")}
    for file in files.values():
        if file.kind != "link":
            parts = file.path.split("/")[:-1]
            for end in range(1, len(parts) + 1):
                found.setdefault("/".join(parts[:end]) + "/", modes.get(USUAL + "folder", ""))
    return found


def of_file(
    before: Side, after: Side, *, path: str, was: FileDigest | None, now: FileDigest | None
) -> Iterator[Cause]:
    """Yield the causes that the change of one file is: itself, or its entries for a lock file."""
    if path.rpartition("/")[2] in _LOCKS and was is not None and now is not None:
        old, new = _facts(before, was).lock, _facts(after, now).lock
        entries = list(lock_changes(old, new)) if old is not None and new is not None else []
        if entries:
            yield from (Cause("lock-entry", text, path) for text in entries)
            return
    yield Cause("file", path, file_detail(before, after, was, now))


def file_detail(before: Side, after: Side, was: FileDigest | None, now: FileDigest | None) -> str:
    """How a file changed: lines added and removed, or what else is not as it was."""
    if now is None:
        return "removed"
    lines = _facts(after, now).lines
    if was is None:
        return "new" if lines is None else f"new, {_lines(len(lines) // LINE_BYTES)}"
    if was.kind != now.kind and (was.sha256 == now.sha256 or now.kind == "link"):
        return f"now {_KINDS[now.kind]}"
    if now.kind == "link":
        return "points elsewhere"
    return _content_detail(was, now, _facts(before, was).lines, lines)


def _content_detail(
    was: FileDigest, now: FileDigest, old: bytes | None, lines: bytes | None
) -> str:
    if old is None or lines is None:
        return f"{was.size} → {now.size} bytes" if was.size != now.size else "other bytes"
    added, removed = diffstat(old, lines)
    if added == removed == 0:
        return "line ends only"
    return f"+{added} -{removed}"


def lock_changes(old: Sequence[Package], new: Sequence[Package]) -> Iterator[str]:
    """Yield what changed in a lock file, as `tokio 1.43.0 → 1.44.0`."""
    left, right = _versions(old), _versions(new)
    for name in sorted(left.keys() | right.keys()):
        was = sorted(left.get(name, set()) - right.get(name, set()))
        now = sorted(right.get(name, set()) - left.get(name, set()))
        if len(was) == len(now):
            yield from (f"{name} {a} → {b}" for a, b in zip(was, now, strict=True))
        else:
            yield from (f"{name} {version} (removed)" for version in was)
            yield from (f"{name} {version} (new)" for version in now)
    if left == right:  # the same versions from elsewhere
        sources = {(p.name, p.version): p.source for p in old}
        for package in new:
            if sources.get((package.name, package.version), package.source) != package.source:
                yield f"{package.name} {package.version} (from another source)"


def argument_change(
    before: Side, after: Side, target: str, *, name: str, was: str, now: str
) -> Cause:
    """The cause that an argument with another value is: itself, or the setting behind it."""
    variable = after.variable_of(target, name) or name
    setting = _SETTING_OF.get(variable, "")
    old, new = before.evidence.settings.get(setting), after.evidence.settings.get(setting)
    if old is not None and new is not None and old != new:
        return Cause("setting", setting, f"{_shown(old)} → {_shown(new)}")
    if variable == AGAIN and now:
        return Cause("argument", name, "asked for by invoke rebuild")
    return Cause("argument", name, f"{_shown(was)} → {_shown(now)}")


def image_change(before: Side, after: Side, ref: str) -> Cause | None:
    """The cause that a base image is whose digest is another one; None where it is the same."""
    # What the builder told of both, or what the engine told of both: the two need not be one.
    was, now = told_digest(before, ref), told_digest(after, ref)
    if not was or not now:
        was, now = (side.base_images.get(ref, "") for side in (before, after))
    if not was or not now or was == now:
        return None
    return Cause("base-image", ref, f"{_short(was)} → {_short(now)}")


def told_digest(side: Side, ref: str) -> str:
    """The digest of an image as the builder told it; empty where it did not."""
    for step in side.steps:
        if step.kind == "from":
            name, _, digest = step.name.rpartition("@")
            if digest and (name.endswith(("/" + ref, " " + ref))):
                return digest
    return ""


def setting_changes(before: Side, after: Side, names: Sequence[str]) -> Iterator[Cause]:
    """Yield the settings that are not the same; a name that ends with `.` stands for a table."""
    old, new = before.evidence.settings, after.evidence.settings
    if not old or not new:  # they were not kept
        return
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name) and any(
            name == one or (one.endswith(".") and name.startswith(one)) for one in names
        ):
            yield Cause(
                "setting", name, f"{_shown(old.get(name, ''))} → {_shown(new.get(name, ''))}"
            )


def selected(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path is one of those that patterns name, or below one of them."""
    if not patterns:
        return True
    parts = path.split("/")
    for pattern in patterns:
        wanted = pattern.split("/")
        if len(parts) >= len(wanted) and all(
            fnmatch.fnmatchcase(part, one) for part, one in zip(parts, wanted, strict=False)
        ):
            return True
    return False


def _ignore_change(before: Side, after: Side, folder: str) -> Cause | None:
    """The cause that another ignore file is."""
    for name in reversed(_IGNORE):
        path = join(folder, name)
        was, now = before.recipe.get(path), after.recipe.get(path)
        if was != now:
            return Cause("file", path, file_detail(before, after, was, now))
    return None


def _by_ignoring(before: Side, after: Side, folder: str, path: str) -> bool:
    """Whether a file is there, or gone, since the ignore file is another one."""
    old, new = before.folder(folder) or {}, after.folder(folder) or {}
    if path not in old:
        return _excludes(before, folder, path)
    return path not in new and _excludes(after, folder, path)


def _excludes(side: Side, folder: str, path: str) -> bool:
    for name in reversed(_IGNORE):
        text = side.text(join(folder, name))
        if text is not None:
            try:
                return IgnoreMatcher.parse(text).excludes(path)
            except ProjectError:
                return False
    return False


def _facts(side: Side, file: FileDigest) -> FileFacts:
    return side.facts.get(file.sha256, FileFacts())


def _versions(packages: Sequence[Package]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(package.name, set()).add(package.version)
    return found


def _weight(path: str) -> tuple[int, str]:
    name = path.rpartition("/")[2]
    if name in _LOCKS:
        return 0, path
    return (1 if name in {"Cargo.toml", "package.json"} else 2), path


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHOWN]


def _shown(value: str) -> str:
    return value or "nothing"
