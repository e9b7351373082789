"""The parts of `test` and `e2e`: each as data. Nothing runs here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from msgspec.structs import replace

from rebake.checks.plan import Part, Tree, parts_of_install, when

NOTHING_COLLECTED = 5  # pytest's exit code
_PYTEST_SUMMARY = re.compile(r"\d+ (?:passed|skipped|deselected).* in [\d.]+s|no tests ran")
_PYTEST_FAILED = re.compile(r"^(?:FAILED|ERROR) ", re.MULTILINE)
_CARGO_SUMMARY = re.compile(r"^test result: ok\. [1-9]")
_CARGO_FAILED = re.compile(r"^---- \S+ stdout ----$", re.MULTILINE)
_OK = re.compile(r"^ok: ")
_SMOKE_FAILED = re.compile(r"^FAILED: ", re.MULTILINE)
_BUN_SUMMARY = re.compile(r"^\s*\d+ (?:pass|fail|skip)$|^Ran \d+ tests")
_BUN_FAILED = re.compile(r"^\(fail\)", re.MULTILINE)


def parts_of_test(tree: Tree, pytest_args: Sequence[str] = ()) -> list[Part]:
    """Return the parts of `test`; arguments for pytest mean: only the toolkit's tests, these."""
    toolkit = when(
        tree.has("tests/unit"),
        # Many of them wait for programs: four at once keep two cores busy.
        _pytest("toolkit tests", "toolkit", pytest_args or ("-n", "4")),
    )
    if pytest_args:
        return toolkit
    cargo = ("test", "--quiet", "--locked", "--all-features", "--all-targets")
    backend = Part(
        *("backend tests", "backend", cargo, "cargo", tree.backend),
        lane="cargo",
        count=_CARGO_FAILED,
        keep=_CARGO_SUMMARY,
    )
    install = parts_of_install(tree, "ui")
    ui = Part(
        # Bun's runner, with either manager.
        *("ui tests", "ui", ("test",), "bun", tree.ui),
        after=install[-1].name,
        count=_BUN_FAILED,
        keep=_BUN_SUMMARY,
    )
    smoke = Part(
        # After the tests of the backend: two compilers at once would only take longer.
        *("smoke", "smoke", (), "engine"),
        lane="cargo",
        count=_SMOKE_FAILED,
        keep=_OK,
        action="smoke",
    )
    return [
        *when(tree.has(f"{tree.backend}/Cargo.toml"), backend),
        *when(tree.has(f"{tree.ui}/package.json"), *install, ui),
        *toolkit,
        *when(tree.compose, smoke),
    ]


def parts_of_e2e(tree: Tree, pytest_args: Sequence[str] = ()) -> list[Part]:
    """Return the parts of `e2e`. Arguments that select nothing here are no failure."""
    ok = (0, NOTHING_COLLECTED) if pytest_args else (0,)
    # Two lanes; tests/e2e/conftest.py says which test belongs to which.
    args = pytest_args or ("-n", "2")
    part = _pytest("end to end", "e2e", ("tests/e2e", *args), ok)
    # On a bare machine everything is fetched, made and compiled for the first time.
    part = replace(part, timeout_s=3600.0)
    return when(any(_is_test(name) for name in tree.files), part)


def _pytest(name: str, group: str, args: Sequence[str], ok: tuple[int, ...] = (0,)) -> Part:
    return Part(
        *(name, group, ("python", "-P", "-m", "pytest", "-q", *args)),
        # Containers often forbid Python to keep what it has compiled. Without it, each of the
        # processes that tests start compiles the toolkit anew, which takes longer than its work.
        env={"PYTHONDONTWRITEBYTECODE": ""},
        count=_PYTEST_FAILED,
        keep=_PYTEST_SUMMARY,
        ok=ok,
    )


def _is_test(path: str) -> bool:
    return path.startswith("tests/e2e/") and PurePosixPath(path).name.startswith("test_")
