"""The command `rebake`: the same tasks as `invoke`, as a program of its own."""

from __future__ import annotations

import sys

from rebake import __version__


def main() -> None:
    """Run a task; exits with its code."""
    from colorama import just_fix_windows_console
    from invoke.program import Program

    from rebake.tasks import namespace

    just_fix_windows_console()
    program = Program(name="rebake", binary="rebake", version=__version__, namespace=namespace)
    program.run(sys.argv if len(sys.argv) > 1 else [*sys.argv, "--list"])


if __name__ == "__main__":
    main()
