"""Make files of a template and answers, with copier; and nothing outside of one folder."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from rebake.errors import Interrupted, ProgramMissing, TemplateRefused, UsageError, did_you_mean
from rebake.scaffold.template import Template, asked, entries, look_through, walk

ANSWERS = ".copier-answers.yml"
_SUFFIX = ".jinja"
# With other settings of copier, other files than we think may be templates.
_PLAIN_ENVOPS = frozenset({"keep_trailing_newline", "undefined"})
_CHANGES_PATHS = ("subdirectory", "preserve_symlinks", "answers_file")
_QUOTED = re.compile(r"""["']([^"'\n]+)["']""")
_YES_OR_NO = frozenset({"yes", "no", "y", "n", "true", "false", "t", "f", "on", "off"})
_HEAD = "# What this project was made from; `rebake update` reads and writes it.\n"


def render(
    template: Template,
    answers: Mapping[str, object],
    into: Path,
    *,
    defaults: Mapping[str, object] | None = None,
    ask: bool = False,
) -> dict[str, object]:
    """Make a project's files.

    Args:
        template: what to make them of; its folder is used up.
        answers: what was answered already, by question.
        into: an empty or absent folder; its name is the default of a project's name.
        defaults: other defaults than the template's.
        ask: ask a person for the rest, on the terminal.

    Returns:
        All answers, those of the defaults too.

    Raises:
        TemplateRefused: it would write outside, run code, or it is broken.
        UsageError: an answer is none of those that are possible.
        Interrupted: the person gave up.
    """
    checked(template, answers)
    try:
        from copier import Settings, run_copy
        from copier.errors import (
            CopierAnswersInterrupt,
            CopierError,
            InteractiveSessionError,
            UnsafeTemplateError,
        )
        from jinja2 import TemplateError
    except ModuleNotFoundError as error:
        raise ProgramMissing(f"copier ({error.name})") from error
    aside = template.folder.with_name("verbatim")
    apart = _set_aside(template, aside)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            worker = run_copy(
                str(template.folder), into, data=dict(answers), defaults=not ask, quiet=True,
                user_defaults=dict(defaults or {}), overwrite=True, unsafe=False,
                settings=Settings(),
            )  # fmt: skip
    except (KeyboardInterrupt, CopierAnswersInterrupt):
        what = "the questions" if ask else "the making of the files"
        raise Interrupted(what) from None
    except InteractiveSessionError:
        raise UsageError(
            "there is no terminal to ask on", "--defaults, --data, --answers"
        ) from None
    except UnsafeTemplateError:
        raise TemplateRefused(template.source, "it would run code here") from None
    except (CopierError, TemplateError, OSError) as error:
        raise TemplateRefused(template.source, _one_line(error)) from error
    except (ValueError, TypeError) as error:  # how copier says that an answer is wrong
        raise UsageError(_one_line(error), "rebake new --help") from None
    if apart:
        _bring(aside, into, worker.match_exclude)
    look_through(into, template.source)
    return _sign(into, template)


def checked(template: Template, answers: Mapping[str, object]) -> None:
    """Refuse answers that the template does not ask for, or that are none of the possible ones.

    Raises:
        UsageError: there is one; with the nearest question or answer.
    """
    known = asked(template)
    for name, answer in answers.items():
        if name not in known:
            raise UsageError(f"the template asks for no {name!r}", did_you_mean(name, known))
        _check_answer(name, answer, known[name])


def _check_answer(name: str, answer: object, question: object) -> None:
    """Refuse what copier would tell in its own words, or make a no of, such as "perhaps"."""
    if not isinstance(question, dict) or question.get("multiselect"):
        return
    listed = question.get("choices")
    values = listed.values() if isinstance(listed, dict) else listed
    if question.get("type") == "bool":
        if not isinstance(answer, bool) and str(answer).lower() not in _YES_OR_NO:
            raise UsageError(f"{name} is yes or no, not {answer!r}", f"--data {name}=yes")
    elif isinstance(values, Iterable) and not isinstance(values, str):
        possible = [value for value in values if isinstance(value, str) and "{" not in value]
        if len(possible) == len(list(values)) and answer not in possible:
            hint = did_you_mean(str(answer), possible)
            raise UsageError(f"{answer!r} is no answer to {name}", hint)


def read_answers(folder: Path) -> dict[str, object]:
    """Return what a project was made from: its answers, `_src_path` and `_commit`.

    Raises:
        UsageError: it tells nothing of that.
    """
    import yaml

    file = folder / ANSWERS
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{folder} was not made from the template: it has no {ANSWERS}",
            "run it in the folder of a project that rebake new made",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} does not parse: {_one_line(error)}", "git checkout it") from None
    if not isinstance(document, dict):
        raise UsageError(f"{file} is no table", "git checkout it")
    return {str(key): value for key, value in document.items()}


def _sign(folder: Path, template: Template) -> dict[str, object]:
    """Write down where a project comes from: copier saw an unpacked copy without its history."""
    import yaml

    if not (folder / ANSWERS).is_file():
        raise TemplateRefused(template.source, f"it makes no {ANSWERS}, so there is no update")
    answers = {k: v for k, v in read_answers(folder).items() if not k.startswith("_")}
    document = {"_commit": template.commit, "_src_path": template.source, **answers}
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    (folder / ANSWERS).write_text(_HEAD + text, encoding="utf-8", newline="\n")
    return answers


def _set_aside(template: Template, aside: Path) -> bool:
    """Take away the files that are copied as they are: copier needs long for each."""
    config = template.config
    envops = config.get("envops") or {}
    plain = isinstance(envops, dict) and envops.keys() <= _PLAIN_ENVOPS
    if not plain or any(config.get(key) for key in _CHANGES_PATHS):
        return False
    if config.get("templates_suffix", _SUFFIX) != _SUFFIX:
        return False
    for file in list(_verbatim(template.folder)):
        target = aside / file.relative_to(template.folder)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)
        file.rename(target)
    for folder, _, _ in os.walk(template.folder, topdown=False):
        place = Path(folder)
        if place != template.folder and not any(place.iterdir()):
            place.rmdir()
    aside.mkdir(exist_ok=True)
    return True


def _verbatim(folder: Path) -> Iterator[Path]:
    sources = [folder / "copier.yml", *(p for p in walk(folder) if p.suffix == _SUFFIX)]
    # What a template includes must stay where it is; copier then copies it, which is only slower.
    named = {
        name
        for source in sources
        if source.is_file()
        for name in _QUOTED.findall(source.read_text(encoding="utf-8", errors="replace"))
    }
    found = list(entries(folder))
    # Where links lead; `look_through` has seen to it that it is in here.
    ends = [Path(entry.path).resolve() for _, entry in found if entry.is_symlink()]
    places = {place for place, _ in found}
    for place, entry in found:
        if not entry.is_file(follow_symlinks=False) or "{" in place or place == "copier.yml":
            continue
        if any(Path(entry.path).resolve().is_relative_to(end) for end in ends):
            continue
        if os.path.splitext(place)[1] == _SUFFIX or f"{place}{_SUFFIX}" in places:  # noqa: PTH122
            continue
        if place not in named:
            yield Path(entry.path)


def _bring(aside: Path, into: Path, excluded: Callable[[Path], bool]) -> None:
    for path in walk(aside):
        place = path.relative_to(aside)
        if path.is_dir() or excluded(place):
            continue
        target = into / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
