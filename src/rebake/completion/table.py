"""The table of tasks that completion reads, made from their collection."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from rebake.completion.candidates import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from invoke.parser.argument import Argument

    Choices = Collection[str] | Callable[[], Collection[str]]


_LISTS = frozenset({"check", "scenarios", "services", "subjects"})  # flags: several, with commas


class CompletedTask(Protocol):
    """What a task tells about itself."""

    @property
    def name(self) -> str:
        """On the command line."""

    @property
    def words(self) -> tuple[str, str] | None:
        """Name and help of the words that it takes."""

    @property
    def after(self) -> Mapping[str, Collection[str]] | None:
        """For some of these words, those that may follow."""

    @property
    def choices(self) -> Mapping[str, Choices]:
        """What can be given for a flag, or for the words, by its name."""

    def get_arguments(self) -> list[Argument]:
        """Its arguments."""


def make_table(tasks: Iterable[CompletedTask]) -> dict[str, Any]:
    """Return the tasks by name, with what they do, their words and their flags."""
    return {task.name: _entry(task) for task in sorted(tasks, key=lambda task: task.name)}


def _entry(task: CompletedTask) -> dict[str, Any]:
    entry: dict[str, Any] = {"says": _first_line(task.__doc__)}
    if task.words:
        name = task.words[0]
        after = {word: list(following) for word, following in (task.after or {}).items()}
        entry["words"] = (
            SERVICES if name == SERVICES else {"first": _choices(task, name), "after": after}
        )
    entry["flags"] = {
        flag: said
        for argument in task.get_arguments()
        if not argument.positional
        for flag, said in _flag(task, argument)
    }
    entry["flags"]["--help"] = {"says": "what the task does, and its flags"}
    return entry


def _flag(task: CompletedTask, argument: Argument) -> list[tuple[str, dict[str, Any]]]:
    name = argument.names[0]
    said: dict[str, Any] = {"says": argument.help or ""}
    if argument.kind is bool:
        # One that is on by itself is worth naming the other way round only.
        return [(f"--no-{name}" if argument.default else f"--{name}", said)]
    said["value"] = True
    if choices := _choices(task, name):
        said["choices"] = choices
    if name in _LISTS:
        said["list"] = True
    return [(f"--{name}", said)]


def _choices(task: CompletedTask, name: str) -> list[str]:
    choices = task.choices.get(name, ())
    return list(choices() if callable(choices) else choices)


def _first_line(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split("\n\n", maxsplit=1)[0].split())
