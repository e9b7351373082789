"""What is run, and what it left: a frozen `Command` in, a frozen `Outcome` out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct, field

from rebake.errors import CommandFailed
from rebake.redact import Redactor

OnLine = Callable[[str], None]
_TAIL_LINES = 20


class Command(Struct, frozen=True):
    """A program with its arguments; never a shell string.

    Attributes:
        argv: the program and its arguments.
        cwd: the folder to run in; ours when None.
        env: variables added to our own environment; a value of None removes one.
        stdin: text for its standard input; none when None.
        timeout_s: seconds after which it is stopped and `TimedOut` raised.
        what: the action in a person's words, for errors.
    """

    argv: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    stdin: str | None = None
    timeout_s: float | None = None
    what: str = ""

    @classmethod
    def of(cls, *words: str | Path, **options: object) -> Command:
        """Make one from words and paths: `Command.of("docker", "info", cwd=folder)`."""
        return cls(tuple(str(word) for word in words), **options)  # type: ignore[arg-type]

    def environment(self) -> dict[str, str]:
        """The child's whole environment."""
        env = dict(os.environ)
        for name, value in self.env.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env


class Outcome(Struct, frozen=True):
    """What a finished program left: exit code, output, seconds."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.returncode == 0

    def tail(self, lines: int = _TAIL_LINES) -> list[str]:
        """The last lines of its error output (of its output when that is empty)."""
        text = self.stderr.strip() or self.stdout.strip()
        return text.splitlines()[-lines:]

    def check(self, next_step: str = "") -> Outcome:
        """Return self, or raise `CommandFailed` (redacted) when the exit code is not 0."""
        if self.ok:
            return self
        redactor = Redactor.from_environment()
        raise CommandFailed(
            argv=redactor.argv(self.argv),
            returncode=self.returncode,
            tail=[redactor.text(line) for line in self.tail()],
            next_step=next_step,
        )


def which(program: str, path: str | None = None) -> Path | None:
    """Return where `program` is on PATH, or None."""
    found = shutil.which(program, path=path)
    return Path(found) if found else None
