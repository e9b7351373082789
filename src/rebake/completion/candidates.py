"""What can stand where the cursor is in a command line of tasks. Pure.

The tasks are a table, made from their collection beforehand (`rebake.completion.table`): a press of
the Tab key must not wait for Invoke.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

SERVICES = "services"  # a task's words are names of services
_PROGRAM = {
    "--help": "the flags of a task",
    "--list": "all tasks",
    "--version": "the version",
}


class Candidate(Struct, frozen=True):
    """What can be put in.

    Attributes:
        text: the whole word.
        says: what it means, in one line; may be empty.
    """

    text: str
    says: str = ""


class _Place(Struct):
    """Where in the line the cursor is.

    Attributes:
        task: the task whose words and flags come here; None before the first one.
        words: the words that it has been given.
        flags: its flags that were given.
        waiting: the flag whose value comes here.
    """

    task: str | None = None
    words: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    waiting: str = ""


Table = Mapping[str, Any]


def candidates(
    table: Table, before: Sequence[str], partial: str, services: Callable[[], Sequence[str]]
) -> list[Candidate]:
    """Return what can stand at the cursor; none where a file's name or a free text comes.

    Args:
        table: the tasks by name, as `table.make_table` gives them.
        before: the words of the line before that one, without the program's name.
        partial: what of the word is there already.
        services: gives the names and aliases of the project's services; called when needed.
    """
    place = _walk(table, before)
    if partial == "=":  # bash takes `--flag=value` apart
        partial = ""
    task = table.get(place.task or "", {})
    if place.waiting:
        found = _values(task["flags"][place.waiting], partial, "")
    elif partial.startswith("-"):
        found = list(_flags(task, place, partial))
    elif task.get("words"):
        found = [Candidate(name) for name in _next_words(task["words"], place.words, services)]
    else:
        found = [Candidate(name, entry["says"]) for name, entry in table.items()]
    return [candidate for candidate in found if candidate.text.startswith(partial)]


def _walk(table: Table, before: Sequence[str]) -> _Place:
    """Read the line as Invoke's parser does."""
    place = _Place()
    for word in before:
        task = table.get(place.task or "", {})
        if word == "=":
            continue
        if place.waiting:
            place.waiting = ""
        elif word.startswith("-"):
            name, joined, _ = word.partition("=")
            place.flags.add(name)
            if not joined and task.get("flags", {}).get(name, {}).get("value"):
                place.waiting = name
        elif word in table and not _takes(task, place.words, word):
            place = _Place(word)
        else:
            place.words.append(word)
    return place


def _takes(task: Table, words: Sequence[str], word: str) -> bool:
    """Tell whether a word is the task's own here, though it is another task's name too."""
    rules = task.get("words")
    if not isinstance(rules, Mapping) or not words:
        return False
    return word in rules["after"].get(words[-1], ())


def _flags(task: Table, place: _Place, partial: str) -> Iterator[Candidate]:
    if place.task is None:
        yield from (Candidate(name, says) for name, says in _PROGRAM.items())
        return
    name, joined, value = partial.partition("=")
    if joined:
        yield from _values(task["flags"].get(name, {}), value, f"{name}=")
        return
    for flag, entry in task["flags"].items():
        if flag not in place.flags:
            yield Candidate(flag, entry["says"])


def _values(flag: Table, partial: str, lead: str) -> list[Candidate]:
    """The values of a flag; of a list with commas, those of its last part."""
    choices = flag.get("choices", ())
    given = partial.split(",")[:-1] if flag.get("list") else []
    lead += "".join(f"{word}," for word in given)
    return [Candidate(lead + choice) for choice in choices if choice not in given]


def _next_words(
    rules: str | Table, words: Sequence[str], services: Callable[[], Sequence[str]]
) -> list[str]:
    if isinstance(rules, str):
        return [name for name in services() if name not in words]
    return list(rules["after"].get(words[-1], ()) if words else rules["first"])
