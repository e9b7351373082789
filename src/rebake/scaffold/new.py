"""A new project from the template: all of it, or nothing."""

from __future__ import annotations

import filecmp
import importlib
import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, field

from rebake.errors import UsageError
from rebake.project.git import read_state
from rebake.scaffold import names, toolkit
from rebake.scaffold.render import checked, render
from rebake.scaffold.repository import first_commit, top_of
from rebake.scaffold.template import Template, fetch, walk

Say = Callable[[str], None]
_TOOLKIT = "rebake"


class Wish(Struct, frozen=True):
    """What is to be made.

    Attributes:
        folder: where; it must be empty or absent.
        source: the template's repository.
        commit: a commit, tag or branch of it.
        answers: what was answered already, by question.
        ask: ask a person for the rest.
    """

    folder: Path
    source: str
    commit: str = "HEAD"
    answers: Mapping[str, object] = field(default_factory=dict)
    ask: bool = False


class Made(Struct, frozen=True):
    """What was made.

    Attributes:
        root: the project's folder.
        answers: all answers.
        files: what is in it, from its root.
        template: the template's repository.
        template_commit: the commit that it was made from.
        commit: the project's first commit; empty when nothing was written.
        notes: what is different from what was asked for.
    """

    root: Path
    answers: Mapping[str, object]
    files: tuple[str, ...]
    template: str
    template_commit: str
    commit: str
    notes: tuple[str, ...]


def make(wish: Wish, say: Say, *, dry_run: bool = False) -> Made:
    """Make a project with a first commit.

    Everything is made beside the folder and moved there at the end.

    Args:
        wish: what to make.
        say: told what goes on.
        dry_run: make it, tell what is in it, and leave nothing.

    Raises:
        UsageError: the folder is taken, or a name or answer can't be used.
        TemplateRefused: the template can't be had, or it is not safe.
        CommandFailed: git or the build of the toolkit failed.
    """
    folder = Path(os.path.abspath(wish.folder))  # noqa: PTH100 - a link stays what it is
    names.check_folder(folder)
    check_free(folder)
    notes: list[str] = []
    answers = dict(wish.answers)
    defaults: dict[str, object] = {}
    if "name" in answers:
        answers["name"] = _named(str(answers["name"]), notes)
    else:
        defaults["name"] = _named(folder.name, notes)
    notes += about_source(wish.source)
    with workshop(None if dry_run else folder.parent) as work, ThreadPoolExecutor(2) as pool:
        say(f"template: {wish.source}")
        pool.submit(importlib.import_module, "copier")  # takes as long as what git does meanwhile
        template = fetch(wish.source, wish.commit, work)
        checked(template, answers)
        wheel = start_wheel(template, work, pool, dry_run=dry_run)
        stage = work / folder.name
        found = render(template, answers, stage, defaults=defaults, ask=wish.ask)
        if wheel is not None:
            place_wheel(wheel.result(), stage)
        files = tuple(sorted(files_of(stage)))
        if dry_run:
            return Made(folder, found, files, template.source, template.commit, "", tuple(notes))
        if outer := top_of(folder.parent):
            notes.append(f"it lies inside another repository, {outer}: git there sees it as one")
        commit, nobody = first_commit(stage, f"Start from {_TOOLKIT}'s template")
        if nobody:
            notes.append("git knows no user.name and user.email here: the first commit has none")
        check_free(folder)  # it took a while
        if folder.is_dir():
            for path in stage.iterdir():
                path.rename(folder / path.name)
        else:
            stage.rename(folder)
    return Made(folder, found, files, template.source, template.commit, commit, tuple(notes))


def check_free(folder: Path) -> None:
    """Refuse a folder that has something in it, or can't be made.

    Raises:
        UsageError: it is so.
    """
    if folder.is_dir():
        if next(folder.iterdir(), None) is not None:
            raise UsageError(f"{folder} is not empty", "name a folder that is not there yet")
    elif os.path.lexists(folder):
        raise UsageError(f"{folder} is there, and no folder", "name a folder that is not there yet")
    elif not folder.parent.is_dir():
        raise UsageError(f"{folder.parent} is no folder", f"mkdir -p {folder.parent}")


@contextmanager
def workshop(beside: Path | None) -> Iterator[Path]:
    """Make a folder to work in, which is gone afterwards.

    Args:
        beside: the folder to make it in, so that the result can be moved; None for the system's.
    """
    work = Path(tempfile.mkdtemp(prefix=".rebake-new-", dir=beside))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def start_wheel(
    template: Template, work: Path, pool: ThreadPoolExecutor, *, dry_run: bool = False
) -> Future[Path] | None:
    """Begin to build the toolkit's wheel beside what else is done; None where there is none."""
    if not toolkit.holds_toolkit(template.folder):
        return None
    sources = toolkit.take(template.folder, work / "toolkit")
    toolkit.check_build(sources, template.source)
    if dry_run:
        return None
    return pool.submit(toolkit.build, sources, work / "wheel", template.source)


def place_wheel(wheel: Path, root: Path) -> bool:
    """Put the toolkit into a project, where an older one goes; tell whether it is another one."""
    folder = root / toolkit.FOLDER
    folder.mkdir(exist_ok=True)
    there = list(folder.glob(f"{_TOOLKIT}-*.whl"))
    if [old.name for old in there] == [wheel.name] and filecmp.cmp(there[0], wheel, shallow=False):
        return False
    shutil.copy(wheel, folder / wheel.name)
    for old in there:
        if old.name != wheel.name:
            old.unlink()
    return True


def about_source(source: str) -> list[str]:
    """Return what there is to say of the template's repository."""
    state = read_state(Path(source)) if Path(source).is_dir() else None
    if state is not None and state.dirty:
        return ["the template has changes that are not committed: they are not taken along"]
    return []


def files_of(folder: Path) -> Iterator[str]:
    """Yield the files in a folder, from there, with slashes."""
    for path in walk(folder):
        if not path.is_dir() or path.is_symlink():
            yield path.relative_to(folder).as_posix()


def needed_packages() -> set[str]:
    """Return the names of the toolkit and of all that it needs: a project must not hide one."""
    try:
        wanted = importlib.metadata.requires(_TOOLKIT) or []
    except importlib.metadata.PackageNotFoundError:
        wanted = []
    found = {match[0] for text in wanted if (match := re.match(r"[\w.-]+", text))}
    return {_TOOLKIT, "hatchling", "pip", *found}


def _named(text: str, notes: list[str]) -> str:
    name = names.project_name(text, needed_packages())
    if name.note:
        notes.append(name.note)
    return name.slug
