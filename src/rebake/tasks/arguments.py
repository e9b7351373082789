"""Optional positional words for Invoke tasks: `invoke build api worker`.

Invoke 3 knows only required positional arguments, one word each. `Words` is an argument that takes
any number of words, none too; words that name another task still begin that task, so that
`invoke down up` goes on to work, and what looks like a flag is never a word. Invoke has no hook for
this: two methods of its parser are wrapped, once, and fall through to the original for every other
argument. A third one is wrapped so that a word or flag that nobody knows is one error of the usual
form, with the nearest name and exit code 2; and the beginning, because Invoke copies each task's
arguments there and once more when the task is entered, which takes longer than all else it does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NoReturn

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.parser.parser import ParseMachine
from invoke.vendor.lexicon import Lexicon

from rebake.errors import EXIT_USAGE, RebakeError, UnknownName, UsageError, did_you_mean, nearest

_MARK = "rebake_words"


class Words(Argument):
    """An argument that takes any number of positional words.

    Args:
        name: its name.
        help_text: its help.
        after: for some words, those that may follow and are never the name of a task then.
    """

    def __init__(
        self, name: str, help_text: str, after: Mapping[str, Collection[str]] | None = None
    ) -> None:
        super().__init__(name=name, kind=list, positional=True, help=help_text)
        self.open = True  # still taking words
        self._after = dict(after or {})

    def takes(self, word: str) -> bool:
        """Whether a word is ours here, though it is a task's name too."""
        given = self._value or []
        return self.open and bool(given) and word in self._after.get(given[-1], ())

    @property
    def value(self) -> list[str] | None:
        """None while it takes words, which makes the parser offer them; then the list."""
        return None if self.open else list(self._value or [])

    @value.setter
    def value(self, word: str) -> None:
        self._value = [*(self._value or []), word]
        self.raw_value = word


def _positional(machine: ParseMachine) -> list[Argument]:
    return [] if machine.context is None else list(machine.context.positional_args)


def _close(machine: ParseMachine) -> None:
    for argument in _positional(machine):
        if isinstance(argument, Words):
            argument.open = False


def fault(machine: ParseMachine, token: str, message: str) -> RebakeError:
    """Return the error for what Invoke's parser does not take.

    Args:
        machine: the parser as it stands.
        token: the word that it read last.
        message: what Invoke would say.
    """
    task = machine.context.name if machine.context is not None else None
    tasks = list(machine.contexts)
    if message != f"No idea what {token!r} is!":
        if machine.flag is not None and machine.flag.takes_value:
            return UsageError(f"--{machine.flag.name} of {task} needs a value")
        return UsageError(message, "invoke --help TASK")
    if task and token.startswith("-"):
        words = {f"--{argument.name}" for argument in machine.context.positional_args}
        if nearest(token, words):
            return UsageError(
                f"no flag of {task} named {token!r}", f"name them as words: invoke {task} NAME ..."
            )
        flags = {*machine.context.flags, *machine.context.inverse_flags} - words
        return UnknownName(f"flag of {task}", token, sorted(flags))
    if task:
        return UsageError(
            f"{task} takes no words, and no task is named {token!r}", did_you_mean(token, tasks)
        )
    return UnknownName("task", token, tasks)


def install() -> None:
    """Teach Invoke's parser about `Words` and our errors; doing it twice changes nothing."""
    if getattr(ParseMachine, _MARK, False):
        return
    handle, complete = ParseMachine.handle, ParseMachine.complete_context
    begin = ParseMachine.__init__

    def begin_without_copies(
        self: ParseMachine, initial: ParserContext, contexts: Lexicon, ignore_unknown: bool
    ) -> None:
        begin(self, initial, Lexicon(), ignore_unknown)  # type: ignore[no-untyped-call]
        self.contexts = contexts

    def handle_word(self: ParseMachine, token: str) -> None:
        self.rebake_token = token
        if not self.waiting_for_flag_value and (token in self.contexts or token.startswith("-")):
            own = self.context is not None and (
                token in self.context.flags
                or token in self.context.inverse_flags
                or any(isinstance(a, Words) and a.takes(token) for a in _positional(self))
            )
            if not own:  # another task, `--help`, or a flag that nobody knows
                _close(self)
        handle(self, token)

    def complete_context(self: ParseMachine) -> None:
        _close(self)
        complete(self)

    def error(self: ParseMachine, message: str) -> NoReturn:
        from rebake.report import terminal

        terminal.error(fault(self, getattr(self, "rebake_token", ""), message))
        raise Exit(code=EXIT_USAGE)

    for name, method in (
        ("__init__", begin_without_copies),
        ("handle", handle_word),
        ("complete_context", complete_context),
        ("error", error),
    ):
        setattr(ParseMachine, name, method)
    setattr(ParseMachine, _MARK, True)
