"""The command `rebake`: the same tasks as `invoke`, as a program of its own."""

from __future__ import annotations

import gc
import sys

from rebake import __version__


def main() -> None:
    """Run a task; exits with its code."""
    if sys.argv[1:2] == ["__complete"]:  # a press of the Tab key: nothing heavy
        sys.exit(complete(sys.argv[2:]))
    # What an import makes lives to the end: looking for garbage among it is time for nothing.
    gc.disable()
    from rebake.light_invoke import import_invoke

    import_invoke()
    from invoke.program import Program

    from rebake.tasks import namespace

    gc.freeze()
    gc.enable()
    if sys.platform == "win32":
        from colorama import just_fix_windows_console

        just_fix_windows_console()
    program = Program(name="rebake", binary="rebake", version=__version__, namespace=namespace)
    try:
        program.run(sys.argv if len(sys.argv) > 1 else [*sys.argv, "--list"])
    finally:
        gc.freeze()  # or Python looks through all of it once more before it ends: 5 ms


def complete(argv: list[str]) -> int:
    """Write what can stand at the cursor of a command line; return the exit code."""
    from rebake.completion.answer import answer

    code, lines = answer(argv)
    # LF on Windows too: the shells' scripts take the lines apart themselves.
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    sys.stdout.buffer.flush()
    return code


if __name__ == "__main__":
    main()
