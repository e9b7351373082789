"""Puts a project that exists on the fast build: new files alone, all of them or none."""

from __future__ import annotations

import contextlib
import os
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct, field

from rebake.errors import FilesInTheWay, TemplateRefused, UsageError, did_you_mean
from rebake.project.git import read_state
from rebake.scaffold import names, toolkit
from rebake.scaffold.adopt_look import Facts, look
from rebake.scaffold.adopt_plan import Plan, Recipe, plan
from rebake.scaffold.adopt_texts import FOLDER
from rebake.scaffold.new import Say, about_source, needed_packages, start_wheel, workshop
from rebake.scaffold.repository import try_git
from rebake.scaffold.template import Template, fetch, walk

QUESTIONS: Mapping[str, str] = {
    "name": "the project's name",
    "backend": "the folder of the cargo workspace",
    "compose": "the compose file",
    "toolkit": "yes, or no: tasks.py, pyproject.toml, scripts/bootstrap.py and the wheel stay out",
    "nox": "yes for a noxfile.py, or no",
}
_COPIED = ("tools", "host-settings")
# What the template's own stack and its nginx need.
_NOT_NEEDED = frozenset({"collect-nginx", "try-nginx-conf", "dev-service", "dev-ui", "seed-target"})
_YES_OR_NO = {"yes": True, "true": True, "no": False, "false": False}


class Wish(Struct, frozen=True):
    """What is to be adopted.

    Attributes:
        folder: the project's folder.
        source: the template's repository.
        commit: a commit, tag or branch of it.
        answers: what is not to be found by looking, by question.
    """

    folder: Path
    source: str
    commit: str = "HEAD"
    answers: Mapping[str, object] = field(default_factory=dict)


class Adopted(Struct, frozen=True):
    """What was found, and what came of it.

    Attributes:
        facts: what was found.
        name: the project's name.
        plan: what is written.
        files: all files that were written, or would be, from the root.
        template: the template's repository.
        template_commit: the commit that it was taken from.
        notes: what is worth a line.
    """

    facts: Facts
    name: str
    plan: Plan
    files: tuple[str, ...]
    template: str
    template_commit: str
    notes: tuple[str, ...]


def adopt(
    wish: Wish,
    say: Say,
    *,
    dry_run: bool = False,
    agreed: Callable[[Adopted], bool] = lambda _adopted: True,
) -> Adopted:
    """Write the files that put a project on the fast build.

    Args:
        wish: what to adopt.
        say: told what goes on.
        dry_run: tell what would be written, and write nothing.
        agreed: asked before anything is written.

    Raises:
        UsageError: the project is of no kind that can be adopted, an answer can't be used, or the
            answer was no.
        ProjectError: a file of it can't be read.
        FilesInTheWay: a file that would be written is there.
        TemplateRefused: the template can't be had, or it is not safe.
        CommandFailed: git or the build of the toolkit failed.
    """
    root = _root(wish.folder)
    if os.path.lexists(root / "rebake.toml"):
        raise FilesInTheWay(
            ["rebake.toml"], "to adopt a project anew, delete first what rebake adopt wrote"
        )
    answers = _checked(wish.answers)
    with_toolkit, with_nox = _yes(answers, "toolkit", True), _yes(answers, "nox", False)
    facts = look(root, compose=answers.get("compose", ""), backend=answers.get("backend", ""))
    name = names.project_name(answers.get("name", root.name), needed_packages())
    notes = [*([name.note] if name.note else []), *about_source(wish.source)]
    with workshop(None) as work, ThreadPoolExecutor(1) as pool:
        say(f"template: {wish.source}")
        template = fetch(wish.source, wish.commit, work)
        wheel_name = _wheel_name(template) if with_toolkit else ""
        planned = plan(
            facts, _recipe(template), name.slug, wheel_name, toolkit=with_toolkit, nox=with_nox
        )
        copied = dict(_copied(template))
        listed = [*planned.files, *copied]
        if with_toolkit:
            listed.append(f"{toolkit.FOLDER}/{wheel_name}")
        _check_free(root, listed)
        wheel = start_wheel(template, work, pool, dry_run=dry_run) if with_toolkit else None
        adopted = Adopted(
            facts,
            name.slug,
            planned,
            tuple(sorted(listed)),
            template.source,
            template.commit,
            (*notes, *planned.notes, *_about_git(root, toolkit_too=with_toolkit)),
        )
        if dry_run:
            return adopted
        if not agreed(adopted):
            raise UsageError("nothing was written")
        if wheel is not None:
            copied[f"{toolkit.FOLDER}/{wheel_name}"] = wheel.result()
        _check_free(root, listed)  # it took a while
        _write(root, planned.files, copied)
    return adopted


def _write(root: Path, texts: Mapping[str, str], copies: Mapping[str, Path]) -> None:
    """Write all files; on a failure, take back those that were written."""
    written: list[Path] = []
    folders: list[Path] = []
    try:
        for name in sorted({*texts, *copies}):
            file = root / name
            _make_folders(root, file.parent, folders)
            with file.open("xb") as target:  # never over a file
                written.append(file)
                if name in texts:
                    target.write(texts[name].encode("utf-8", errors="surrogateescape"))
                else:
                    target.write(copies[name].read_bytes())
            if name in copies:
                shutil.copymode(copies[name], file)
    except BaseException as error:
        for file in reversed(written):
            file.unlink(missing_ok=True)
        for folder in reversed(folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, FileExistsError):
            raise FilesInTheWay([str(error.filename)]) from None
        raise


def _make_folders(root: Path, folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it; remember the new ones."""
    missing = []
    while folder != root and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir()
        made.append(one)


def _check_free(root: Path, listed: Sequence[str]) -> None:
    """Refuse when a file is there, or would lie outside.

    Raises:
        FilesInTheWay: it is so.
    """
    taken = set()
    for name in listed:
        # The outermost one is the cause of all below it.
        folders = [root / folder for folder in reversed(Path(name).parents)]
        odd = next((folder for folder in folders if _leads_elsewhere(root, folder)), None)
        if odd is not None:
            taken.add(odd.relative_to(root).as_posix())
        elif os.path.lexists(root / name):
            taken.add(name)
    if taken:
        own = {"tasks.py", "pyproject.toml", "noxfile.py", "scripts/bootstrap.py"}
        if taken <= own:
            raise FilesInTheWay(
                sorted(taken), "--data toolkit=no leaves them out, and the wheel with them"
            )
        raise FilesInTheWay(sorted(taken))


def _leads_elsewhere(root: Path, folder: Path) -> bool:
    """Whether there is something in a folder's place that nothing can be written into."""
    if not os.path.lexists(folder):
        return False
    return not folder.is_dir() or not folder.resolve().is_relative_to(root)


def _root(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "rebake adopt FOLDER")
    return folder.resolve()


def _checked(answers: Mapping[str, object]) -> dict[str, str]:
    for name in answers:
        if name not in QUESTIONS:
            raise UsageError(f"adopt asks for no {name!r}", did_you_mean(name, list(QUESTIONS)))
    return {name: _text(value) for name, value in answers.items()}


def _text(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _yes(answers: Mapping[str, str], name: str, default: bool) -> bool:
    answer = answers.get(name, "")
    if answer and answer.lower() not in _YES_OR_NO:
        raise UsageError(f"{name} is yes or no, not {answer!r}", f"--data {name}=yes")
    return _YES_OR_NO[answer.lower()] if answer else default


def _recipe(template: Template) -> Recipe:
    """The texts of the template.

    Raises:
        TemplateRefused: one is not there.
    """

    def text(name: str) -> str:
        file = template.folder / name
        if file.is_symlink() or not file.is_file():
            raise TemplateRefused(template.source, f"it has no {name}")
        return file.read_text(encoding="utf-8")

    return Recipe(
        backend=text("backend/Dockerfile"),
        ui=text("ui/Dockerfile"),
        bake=text("docker/docker-bake.hcl"),
        bootstrap=text("scripts/bootstrap.py"),
        tasks=text("tasks.py"),
        noxfile=text("noxfile.py"),
    )


def _copied(template: Template) -> list[tuple[str, Path]]:
    """The files that are copied as they are: their new names, and where they lie."""
    found = []
    for part in _COPIED:
        folder = template.folder / "docker" / part
        for path in walk(folder):
            if path.is_file() and not path.is_symlink() and path.name not in _NOT_NEEDED:
                name = path.relative_to(folder).as_posix()
                found.append((f"{FOLDER}/{part}/{name}", path))
    if not found:
        raise TemplateRefused(template.source, "it has no docker/tools")
    return found


def _wheel_name(template: Template) -> str:
    if not toolkit.holds_toolkit(template.folder):
        raise TemplateRefused(template.source, "the toolkit is not in it")
    text = (template.folder / "pyproject.toml").read_text(encoding="utf-8")
    version = tomllib.loads(text)["project"]["version"]
    return f"rebake-{version}-py3-none-any.whl"


def _about_git(root: Path, *, toolkit_too: bool) -> list[str]:
    state = read_state(root)
    if state is None:
        return ["this is no git repository with a commit: keep the list of files, to undo it"]
    found = []
    if state.dirty:
        found.append("there are changes that are not committed: commit them, to undo this easily")
    if toolkit_too and not try_git(root, "check-ignore", "-q", ".venv", ".rebake").ok:
        found.append(".gitignore lacks what the toolkit makes: .venv/, .rebake/ and __pycache__/")
    return found
