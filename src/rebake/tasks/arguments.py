"""Optional positional words for Invoke tasks: `invoke build api worker`.

Invoke 3 knows only required positional arguments, one word each. `Words` is an argument that takes
any number of words, none too; words that name another task still begin that task, so that
`invoke down up` goes on to work, and what looks like a flag is never a word. Invoke has no hook for
this: two methods of its parser are wrapped, once, and fall through to the original for every other
argument.
"""

from __future__ import annotations

from invoke.parser.argument import Argument
from invoke.parser.parser import ParseMachine

_MARK = "rebake_words"


class Words(Argument):
    """An argument that takes any number of positional words."""

    def __init__(self, name: str, help_text: str) -> None:
        super().__init__(name=name, kind=list, positional=True, help=help_text)
        self.open = True  # still taking words

    @property
    def value(self) -> list[str] | None:
        """None while it takes words, which makes the parser offer them; then the list."""
        return None if self.open else list(self._value or [])

    @value.setter
    def value(self, word: str) -> None:
        self._value = [*(self._value or []), word]
        self.raw_value = word


def _close(machine: ParseMachine) -> None:
    if machine.context is not None:
        for argument in machine.context.positional_args:
            if isinstance(argument, Words):
                argument.open = False


def install() -> None:
    """Teach Invoke's parser about `Words`; doing it twice changes nothing."""
    if getattr(ParseMachine, _MARK, False):
        return
    handle, complete = ParseMachine.handle, ParseMachine.complete_context

    def handle_word(self: ParseMachine, token: str) -> None:
        if not self.waiting_for_flag_value and (token in self.contexts or token.startswith("-")):
            own = self.context is not None and (
                token in self.context.flags or token in self.context.inverse_flags
            )
            if not own:  # another task, `--help`, or a flag that nobody knows
                _close(self)
        handle(self, token)

    def complete_context(self: ParseMachine) -> None:
        _close(self)
        complete(self)

    for name, method in (("handle", handle_word), ("complete_context", complete_context)):
        setattr(ParseMachine, name, method)
    setattr(ParseMachine, _MARK, True)
