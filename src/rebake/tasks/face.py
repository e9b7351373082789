"""The one wrapper around every task: common flags, errors and exit codes.

A task is a plain function of a `Session` and its own flags. The decorator adds the flags that all
tasks share, opens the session, shows errors in one form, and turns them into exit codes.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from rebake.errors import EXIT_INTERRUPTED, FileRefused, Interrupted, RebakeError, UsageError
from rebake.tasks import arguments
from rebake.tasks.session import Session

Body = Callable[..., dict[str, object] | None]

_PROGRESS = ("auto", "plain", "quiet")
_COMMON_HELP = {
    "json": "one JSON document on stdout; everything else goes to stderr",
    "dry_run": "show the commands that would run, change nothing",
    "progress": "auto (a line a step), plain (all output), quiet (errors only)",
}
Choices = Collection[str] | Callable[[], Collection[str]]
_CHOICES: Mapping[str, Choices] = {"progress": _PROGRESS}
arguments.install()


class RebakeTask(Task[Any]):
    """A task whose services are optional positional words."""

    words: tuple[str, str] | None = None
    after: Mapping[str, Collection[str]] | None = None
    choices: Mapping[str, Choices] = _CHOICES

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The arguments as Invoke makes them, with the words in front."""
        texts = dict(self.help)  # Invoke takes them out as it uses them
        found: list[Argument] = super().get_arguments(ignore_unknown_help)
        self.help = texts
        if self.words:
            name, text = self.words
            found = [a for a in found if a.name != name]
            found.insert(0, arguments.Words(name, text, self.after))
        return found


def task(
    name: str,
    *,
    words: tuple[str, str] | None = None,
    after: Mapping[str, Collection[str]] | None = None,
    flags: Mapping[str, str] | None = None,
    choices: Mapping[str, Choices] | None = None,
    short: tuple[str, ...] = (),
    many: Collection[str] = (),
    common: bool = True,
) -> Callable[[Body], RebakeTask]:
    """Make a function an Invoke task.

    Args:
        name: the task's name on the command line.
        words: name and help of the parameter that takes any number of words.
        after: for some of these words, those that may follow and are no task's name then.
        flags: help for each of the function's own flags.
        choices: what can be given for a flag, or for the words, by its name: for completion. A
            function, where finding out takes a while.
        short: further names of the task.
        many: those of its flags that may be given several times; their default is None.
        common: whether it takes --json, --dry-run and --progress.
    """

    def decorate(body: Body) -> RebakeTask:
        own = list(inspect.signature(body).parameters.values())[1:]

        @functools.wraps(body)
        def wrapper(_context: Context, **given: object) -> None:
            _run(body, name, given)

        shared = (
            [_flag("json", default=False), _flag("dry_run", default=False), _flag("progress", "")]
            if common
            else []
        )
        wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD), *own, *shared]
        )
        help_texts = dict(flags or {})
        if common:
            help_texts |= {key.replace("_", "-"): text for key, text in _COMMON_HELP.items()}
        made = RebakeTask(
            wrapper,
            name=name,
            aliases=short,
            help=help_texts,
            auto_shortflags=False,
            iterable=list(many),
        )
        made.words, made.after, made.choices = words, after, {**_CHOICES, **(choices or {})}
        if words:
            made.help.pop(words[0], None)
        return made

    return decorate


def _flag(name: str, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)


def _run(body: Body, name: str, given: dict[str, object]) -> None:
    as_json = bool(given.pop("json", False))
    dry_run = bool(given.pop("dry_run", False))
    progress = str(given.pop("progress", "") or os.environ.get("REBAKE_PROGRESS", "") or "auto")
    from rebake.report import terminal

    try:
        if progress not in _PROGRESS:
            raise UsageError(f"--progress {progress!r}", f"one of {', '.join(_PROGRESS)}")
        with Session(name, progress=progress, as_json=as_json, dry_run=dry_run) as session:
            document = body(session, **given)
            if as_json and document is not None:
                from rebake.report.json import write_document

                write_document(document)
    except RebakeError as error:
        terminal.error(error)
        raise Exit(code=error.exit_code) from None
    except KeyboardInterrupt:
        terminal.error(Interrupted(name))
        raise Exit(code=EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The reader went away (`| head`): no fault, but stdout must not be flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=0) from None
    except OSError as error:
        if not error.filename:  # not a file's: a fault of ours, to be seen whole
            raise
        terminal.error(FileRefused(str(error.filename), error.strerror or str(error)))
        raise Exit(code=FileRefused.exit_code) from None


def number(flag: str, text: object, *, least: int = 0) -> int:
    """Read a flag's whole number.

    Raises:
        UsageError: it is none, or too small.
    """
    try:
        value = int(str(text))
    except ValueError:
        raise UsageError(f"--{flag} {text!r} is not a whole number") from None
    if value < least:
        raise UsageError(f"--{flag} {value}: at least {least}")
    return value
