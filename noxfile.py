"""Checks and tests: `nox` runs them all, `nox -s lint` or `nox -s "lint(rust)"` a part.

    lint   config, python, rust, typescript, dockerfiles, shell, powershell, compose, workflows
    test   what is in tests/unit (pytest), backend (cargo test), ui (bun test), smoke (the
           production images)
    e2e    tests/e2e with a real engine
    scan   the production images and what they are made from; `-- IMAGE...` any image; not part of a
           plain `nox`

What follows `--` goes to pytest; `test` then runs those tests alone, `lint` ignores it.
`-- --strict` (or CI=true) makes a missing tool a failure; `-- --json` writes one document.
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
