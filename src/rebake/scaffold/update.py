"""A project that the template made, brought up to date; the user's edits stay."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct, field

from rebake.errors import UpdateConflicts, UsageError
from rebake.scaffold import toolkit
from rebake.scaffold.merge import Change, apply, check_clean, merge
from rebake.scaffold.new import Say, about_source, place_wheel, start_wheel, workshop
from rebake.scaffold.render import ANSWERS, checked, read_answers, render
from rebake.scaffold.template import Template, asked, fetch

_SHORTEST = 7  # digits of a commit, as plain copier writes it


class Wish(Struct, frozen=True):
    """What to bring up to date.

    Attributes:
        root: the project's folder.
        source: the template's repository; empty for the one that the project names.
        commit: a commit, tag or branch of it.
        answers: answers that are to be others than before.
        ask: ask a person what the template asks newly.
    """

    root: Path
    source: str = ""
    commit: str = "HEAD"
    answers: Mapping[str, object] = field(default_factory=dict)
    ask: bool = False


class Updated(Struct, frozen=True):
    """What an update did, or would do.

    Attributes:
        source: the template's repository.
        before: the commit that the project was made from.
        after: the one that it is made from now.
        changes: the files that differ.
        conflicts: files that need a decision, each with what happened to it.
        diff: the changes as a patch.
        notes: what else there is to say.
    """

    source: str
    before: str
    after: str
    changes: tuple[Change, ...]
    conflicts: tuple[str, ...]
    diff: str
    notes: tuple[str, ...]


def update(wish: Wish, say: Say, *, dry_run: bool = False) -> Updated:
    """Bring a project up to date.

    Args:
        wish: which one, and how.
        say: told what goes on.
        dry_run: only find out what would change.

    Raises:
        UsageError: it was not made from a template, or it has edits that are not committed.
        TemplateRefused: the template can't be had, or it is not safe.
        CommandFailed: git or the build of the toolkit failed.
    """
    recorded = read_answers(wish.root)
    check_clean(wish.root)
    before = str(recorded.get("_commit") or "")
    source = wish.source or str(recorded.get("_src_path") or "")
    if not before or not source:
        raise UsageError(
            f"{wish.root} does not tell what commit of the template it was made from",
            "rebake new makes projects that do",
        )
    answers = {key: value for key, value in recorded.items() if not key.startswith("_")}
    notes = about_source(source)
    with workshop(None) as work, ThreadPoolExecutor(1) as pool:
        say(f"template: {source}")
        new = fetch(source, wish.commit, _folder(work / "new"))
        checked(new, wish.answers)
        if not wish.answers and _is_made_from(wish.root, before, new):
            return Updated(source, new.commit, new.commit, (), (), "", tuple(notes))
        old = fetch(source, before, _folder(work / "old"))
        wheel = start_wheel(new, work, pool, dry_run=dry_run)
        _without_toolkit(old)
        base = work / "old" / wish.root.name
        render(old, _known(old, answers), base)
        # Ours alone: whatever it says here is what it said then.
        shutil.copy(wish.root / ANSWERS, base / ANSWERS)
        wanted = {**_known(new, answers), **wish.answers}
        theirs = work / "new" / wish.root.name
        render(new, wanted, theirs, ask=wish.ask)
        merged = merge(wish.root, base, theirs, work / "merged")
        if not dry_run:
            built = wheel.result() if wheel is not None else None  # before anything is changed
            apply(merged, wish.root)
            if built is not None and place_wheel(built, wish.root):
                notes.append("vendor/ has another toolkit: scripts/bootstrap.py installs it")
    changes = merged.changes
    return Updated(
        source, old.commit, new.commit, changes, merged.conflicts, merged.diff, tuple(notes)
    )


def decide(updated: Updated) -> None:
    """Say that somebody has to decide, where it is so.

    Raises:
        UpdateConflicts: there are conflicts.
    """
    if updated.conflicts:
        raise UpdateConflicts(updated.conflicts)


def _is_made_from(root: Path, before: str, template: Template) -> bool:
    whole = not toolkit.holds_toolkit(template.folder) or toolkit.is_carried(root)
    return whole and len(before) >= _SHORTEST and template.commit.startswith(before)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _without_toolkit(template: Template) -> None:
    """Leave out what no project has, which is quicker."""
    if toolkit.holds_toolkit(template.folder):
        toolkit.take(template.folder, template.folder.with_name("old-toolkit"))


def _known(template: Template, answers: Mapping[str, object]) -> dict[str, object]:
    """Return the answers to what a template asks; another version may ask less."""
    return {name: value for name, value in answers.items() if name in asked(template)}
