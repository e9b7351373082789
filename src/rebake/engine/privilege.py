"""Running single commands as root: directly when we are root, through `sudo -n` else."""

from __future__ import annotations

import os
import sys
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from rebake import process
from rebake.errors import CannotRun, ProgramMissing, TimedOut
from rebake.process import Command


class Privilege(Struct, frozen=True):
    """How to become root: `prefix` stands before every command that needs it."""

    prefix: tuple[str, ...] = ()

    def command(self, command: Command) -> Command:
        """Return the command as root runs it; sudo is handed the variables on its command line."""
        if not self.prefix:
            return command
        variables = tuple(
            f"{name}={value}" for name, value in command.env.items() if value is not None
        )
        env = ("env", *variables) if variables else ()
        return replace(command, argv=(*self.prefix, *env, *command.argv))


def find() -> Privilege:
    """Return how to become root on this machine.

    Raises:
        CannotRun: we are not root, and sudo is not there or asks for a password.
    """
    if sys.platform == "win32" or os.geteuid() == 0:
        return Privilege()
    if _sudo_without_password():
        return Privilege(("sudo", "-n", "--"))
    raise CannotRun(
        "an engine needs root, and sudo is not there or asks for a password",
        next_step="run `sudo -v` and try again, or use: invoke dev --native",
    )


@cache
def _sudo_without_password() -> bool:
    try:
        return process.run(Command.of("sudo", "-n", "true", timeout_s=5.0)).ok
    except (ProgramMissing, TimedOut):
        return False
