"""Where the template comes from: a commit of a git repository, looked through before it is used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from rebake.errors import TemplateRefused
from rebake.scaffold.repository import try_git

QUESTIONS = "copier.yml"
# Settings of copier by which a template runs code, or reads what is not its own.
_ACTIVE = ("tasks", "migrations", "jinja_extensions", "external_data")
_REPOSITORY = Path(__file__).parents[3]


class Template(Struct, frozen=True):
    """One commit of a template, unpacked without its history.

    Attributes:
        folder: where it lies.
        source: the repository that it is from.
        commit: its full id.
        config: what copier.yml says, without the questions.
        questions: the questions by name; those that are never asked have `when: false`.
    """

    folder: Path
    source: str
    commit: str
    config: Mapping[str, object]
    questions: Mapping[str, object]


def own_source() -> str | None:
    """Return the repository that this very toolkit runs from; None when it was installed."""
    return str(_REPOSITORY) if (_REPOSITORY / QUESTIONS).is_file() else None


def fetch(source: str, commit: str, into: Path) -> Template:
    """Unpack a commit of a template's repository.

    Args:
        source: a folder or an address that git understands.
        commit: a commit, tag or branch; `HEAD` for what is checked out there.
        into: a folder of ours; the template lies in it afterwards.

    Raises:
        TemplateRefused: it can't be had, or holds what no template may hold.
    """
    for word in (source, commit):
        if word.startswith("-"):
            raise TemplateRefused(source, f"{word!r} looks like a flag")
    if Path(source).is_dir():
        source = str(Path(source).resolve())
    folder = into / "template"
    clone = try_git(
        into, "clone", "--quiet", "--no-checkout", "--template=", "--no-recurse-submodules",
        *(("--shared",) if Path(source).is_dir() else ()), "--", source, folder,
    )  # fmt: skip
    if not clone.ok:
        raise TemplateRefused(source, f"git can't read it: {_last(clone.tail())}")
    checkout = try_git(folder, "checkout", "--quiet", "--force", "--detach", f"{commit}^{{commit}}")
    if not checkout.ok:
        raise TemplateRefused(source, f"{commit} is not in it")
    found = try_git(folder, "rev-parse", "HEAD").stdout.strip()
    _remove(folder / ".git")
    look_through(folder, source)
    config, questions = read_questions(folder, source)
    return Template(folder, source, found, config, questions)


def look_through(folder: Path, source: str) -> None:
    """Refuse files that lead out of a folder, or that git would obey.

    Raises:
        TemplateRefused: there is one.
    """
    root = folder.resolve()
    for place, entry in entries(folder):
        link = entry.is_symlink()
        if link and not Path(entry.path).resolve().is_relative_to(root):
            target = str(Path(entry.path).readlink())
            raise TemplateRefused(source, f"{place!r} leads out of it, to {target!r}")
        if _is_git(entry.name):  # its folders were looked at before
            raise TemplateRefused(source, f"{place!r} would be a part of git's own folder")
        if not (link or entry.is_dir() or entry.is_file()):
            raise TemplateRefused(source, f"{place!r} is no file")


def entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield all that is in a folder with its place there, with slashes; links are not followed.

    A folder comes before what is in it. (As a `Path`, each would take ten times as long.)
    """
    waiting = [("", os.fspath(folder))]
    while waiting:
        above, path = waiting.pop()
        with os.scandir(path) as listed:
            found = list(listed)  # whoever asks may take them away
        for entry in found:
            place = f"{above}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append((f"{place}/", entry.path))
            yield place, entry


def walk(folder: Path) -> Iterator[Path]:
    """Yield all that is in a folder; links are not followed."""
    for _, entry in entries(folder):
        yield Path(entry.path)


def read_questions(folder: Path, source: str) -> tuple[dict[str, object], dict[str, object]]:
    """Return a template's settings and its questions.

    Raises:
        TemplateRefused: there are none, or they would run code.
    """
    import yaml

    file = folder / QUESTIONS
    if file.is_symlink() or not file.is_file():
        raise TemplateRefused(source, f"it has no {QUESTIONS}")
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise TemplateRefused(source, f"{QUESTIONS} does not parse: {reason}") from None
    if not isinstance(document, dict):
        raise TemplateRefused(source, f"{QUESTIONS} is no table")
    config = {str(key)[1:]: value for key, value in document.items() if str(key).startswith("_")}
    questions = {str(k): value for k, value in document.items() if not str(k).startswith("_")}
    if active := [f"_{key}" for key in _ACTIVE if config.get(key)]:
        raise TemplateRefused(source, f"it would run code here ({', '.join(active)})")
    return config, questions


def asked(template: Template) -> dict[str, object]:
    """Return the questions that a person is asked."""
    return {
        name: question
        for name, question in template.questions.items()
        if not (isinstance(question, dict) and question.get("when") is False)
    }


def _is_git(part: str) -> bool:
    # As git itself: `.git` in any case, with what Windows takes off, and its short name.
    name = part.lower().rstrip(". ").split(":")[0]
    return name in {".git", "git~1"}


def _last(lines: list[str]) -> str:
    return lines[-1].strip() if lines else "no reason given"


def _remove(folder: Path) -> None:
    for path in walk(folder):  # git makes its objects read-only, which Windows does not remove
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)
    shutil.rmtree(folder)
