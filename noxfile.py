"""Checks and tests: `nox` runs them all, `nox -s lint` or `nox -s "lint(rust)"` a part.

    lint   python, rust, typescript, dockerfiles, shell, compose, workflows
    test   backend (cargo test), ui (bun test), and what is in tests/unit (pytest)
    e2e    tests/e2e with a real engine

What follows `--` goes to pytest; `test` then runs those tests alone, `lint` ignores it.
`-- --strict` (or CI=true) makes a missing tool a failure.
"""

from pathlib import Path

try:
    from rebake.sessions import register
except ModuleNotFoundError as error:
    message = (
        f"{error}: this nox is not the project's own\n"
        "  next: .venv/bin/nox, or python3 scripts/bootstrap.py test"
    )
    raise SystemExit(message) from None

register(Path(__file__).resolve().parent)
