"""A service comes or goes: all of its edits are made, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from rebake.errors import UsageError
from rebake.scaffold.repository import try_git
from rebake.scaffold.service_plan import Edit, Plan, crate_files, read


def carry_out(root: Path, plan: Plan) -> None:
    """Make a plan's edits.

    What a file becomes is written beside first; then all are put in place. When one of them can't
    be, or Ctrl-C comes, those that were are put back.

    Args:
        root: the project's folder.
        plan: what to do.

    Raises:
        UsageError: a file is another one than when it was planned, or can't be written.
    """
    for edit in plan.edits:
        if _now(root / edit.path) != edit.before:
            raise UsageError(f"{edit.path} was changed meanwhile; nothing was done", "try again")
    own = root / ".rebake"
    own.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="service-", dir=own))
    crate = root / plan.crate
    inside = [edit for edit in plan.edits if edit.path.startswith(f"{plan.crate}/")]
    others = [edit for edit in plan.edits if edit not in inside]
    done: list[tuple[Path, Path]] = []
    try:
        for number, edit in enumerate(others):
            _write(work / str(number), edit.after or "", like=root / edit.path)
        _move_crate(inside, crate, work, done)
        for number, edit in enumerate(others):
            target, kept = root / edit.path, work / f"{number}-before"
            shutil.copy2(target, kept)
            done.append((kept, target))
            (work / str(number)).replace(target)
    except BaseException as error:
        for source, target in reversed(done):
            if target.is_dir():
                shutil.rmtree(target)
            if source.exists():
                source.replace(target)
        if isinstance(error, OSError):
            raise UsageError(
                f"{error.filename}: {error.strerror}; nothing was changed", "mend that, try again"
            ) from error
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_committed(root: Path, plan: Plan) -> None:
    """Refuse to remove a crate of which git does not have everything.

    One that is still as it was made is no loss.

    Raises:
        UsageError: there are edits or files that are not committed, or there is no git.
    """
    made = {f"{plan.crate}/{path}": text for path, text in crate_files(plan.name).items()}
    there = {e.path: e.before for e in plan.edits if e.path.startswith(f"{plan.crate}/")}
    if there == made:
        return
    status = try_git(root, "status", "--porcelain", "--untracked-files=all", "--", plan.crate)
    if not status.ok or not try_git(root, "rev-parse", "--verify", "--quiet", "HEAD").ok:
        raise UsageError(f"git does not have {plan.crate}: removed, it would be lost", "git init")
    if lines := status.stdout.splitlines():
        raise UsageError(
            f"{plan.crate} has edits that are not committed: {lines[0][3:]}",
            "commit them first, so that git has what goes",
        )


def _now(path: Path) -> str | None:
    try:
        return read(path, errors="replace")
    except FileNotFoundError:
        return None


def _write(path: Path, text: str, like: Path) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
    shutil.copymode(like, path)


def _move_crate(edits: list[Edit], crate: Path, work: Path, done: list[tuple[Path, Path]]) -> None:
    aside = work / "crate"
    if edits and edits[0].before is None:
        for edit in edits:
            place = aside / edit.path.split(f"/{crate.name}/", 1)[1]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(edit.after or "", encoding="utf-8", newline="\n")
        if os.path.lexists(crate):
            raise UsageError(f"{crate} is there already; nothing was changed")
        done.append((work / "nothing", crate))
        aside.replace(crate)
    elif crate.is_dir():
        done.append((aside, crate))
        crate.replace(aside)
