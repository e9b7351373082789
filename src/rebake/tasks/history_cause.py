"""Why a build was done, as far as its own record and an earlier one tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from rebake.history.records import StoredBuild
from rebake.history.store import History
from rebake.history.trees import Change
from rebake.results import IN_DOUBT, SET_BY_BUILD


class Cause(Struct, frozen=True):
    """What a build was done for.

    Attributes:
        kind: `file`, `argument`, `base-image`, `setting`, `asked` (rebuild), `retry` (the build
            before did not end well), `first-build`, `nothing-changed`, `in-doubt` (nobody can
            tell whether anything changed), `unknown` (no input differs: a cache or an image was
            gone).
        name: of the file, argument, image or setting.
        detail: its values, or more about it.
        more: how many others of that kind there are.
    """

    kind: str
    name: str = ""
    detail: str = ""
    more: int = 0

    @property
    def words(self) -> str:
        """For a table."""
        detail = f": {self.detail}" if self.detail else ""
        others = f" and {self.more} more" if self.more else ""
        if self.kind == "file":
            return f"{self.name}{f' ({self.detail})' if self.detail else ''}{others}"
        alone = {
            "first-build": "first build",
            "nothing-changed": "nothing changed",
            "asked": "asked for: rebuild",
            "retry": f"once more: the build before {self.name}",
            "in-doubt": f"in doubt{detail}",
            "unknown": "no input changed: a cache or an image was gone",
        }
        return alone.get(self.kind, f"{self.kind.replace('-', ' ')} {self.name}{detail}{others}")

    def document(self) -> dict[str, object]:
        """The part of `--json` for the cause."""
        return {"kind": self.kind, "name": self.name, "detail": self.detail, "more": self.more}


def cause(  # noqa: PLR0911 - one return a kind
    history: History, build: StoredBuild, before: StoredBuild | None
) -> Cause:
    """Say what a build was done for.

    Args:
        history: where both are.
        build: the build.
        before: the one before it, of the same project and mode; None for the first.
    """
    record = build.record
    if record.skipped:
        return Cause("nothing-changed")
    if before is None:
        return Cause("first-build")
    old = before.record
    files = changed_files(history, before, build)
    if files:
        # What people edit comes before what is generated and before the recipe.
        change = min(files, key=lambda c: (c.context == "recipe", c.path.endswith(".lock"), c.path))
        return Cause("file", _place(change), _how(change), len(files) - 1)
    for kind, now, then in (
        ("argument", record.arguments, old.arguments),
        ("base-image", record.base_images, old.base_images),
        ("setting", record.engine, old.engine),
    ):
        names = [n for n in differing(now, then) if n not in SET_BY_BUILD]
        if kind == "base-image":  # one that is not known of both builds tells nothing
            names = [n for n in names if n in now and n in then]
        if names:
            name = names[0]
            detail = f"{then.get(name, 'unset')} → {now.get(name, 'unset')}"
            return Cause(kind, name, detail, len(names) - 1)
    if record.arguments.get("REBUILD", "") not in {"", old.arguments.get("REBUILD", "")}:
        return Cause("asked")
    if record.settings.get(IN_DOUBT):
        return Cause("in-doubt", detail=record.settings[IN_DOUBT])
    if old.outcome != "done":
        return Cause("retry", old.outcome)
    return Cause("unknown")


def changed_files(history: History, before: StoredBuild, after: StoredBuild) -> list[Change]:
    """The files that differ, of the folders that both builds read: one service needs not all."""
    if before.inputs_digest == after.inputs_digest:
        return []
    shared = _contexts(before) & _contexts(after)
    return [c for c in history.changed_inputs(before.id, after.id) if c.context in shared]


def differing(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """The names whose values differ, sorted. Pure."""
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))


def earlier(build: StoredBuild, others: Sequence[StoredBuild]) -> StoredBuild | None:
    """The newest of `others` before a build, in its mode; best one that built all that it did.

    Pure. One that was skipped read the same files as the one before it, so it will do.
    """
    same = [
        other for other in others if other.id < build.id and other.record.mode == build.record.mode
    ]
    same.sort(key=lambda other: -other.id)
    targets = set(build.record.targets)
    whole = (other for other in same if targets <= set(other.record.targets))
    return next(whole, same[0] if same else None)


def _contexts(build: StoredBuild) -> set[str]:
    """The folders that a build reads: the UI's image holds a server of the backend's."""
    record = build.record
    ui = any(target.startswith("ui") for target in record.targets)
    backend = record.mode == "prod" or any(t.startswith("backend") for t in record.targets)
    return {"recipe", *(["ui"] if ui else []), *(["backend"] if backend else [])}


def _place(change: Change) -> str:
    return change.path if change.context == "recipe" else f"{change.context}/{change.path}"


def _how(change: Change) -> str:
    if change.before is None:
        return "new"
    return "gone" if change.after is None else ""
