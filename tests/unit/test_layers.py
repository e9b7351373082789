"""Imports run downwards only, and `invoke --list` pays for nothing heavy."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "rebake"
FLOORS = (
    ("errors", "light_invoke", "redact", "remember", "results"),
    ("process", "config", "history", "report"),
    ("engine", "project", "checks"),
    ("build", "stack", "cache", "explain", "scaffold", "completion", "scan", "sign"),
    ("benchmark", "doctor"),
    ("tasks", "sessions"),
    ("cli", "testing", "__main__"),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}
IN_PARTS = ("process", "sessions")
HEAVY = ("jinja2", "pydantic", "python_on_whales", "rich")


@functools.cache
def nodes(file: Path) -> list[ast.AST]:
    """All imports of a file. What is in expressions is passed over: it is most of the tree."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif not isinstance(node, ast.expr):
            waiting += ast.iter_child_nodes(node)
    return found


def room(name: str) -> str:
    """The room of a module or folder: `process_command.py` is a part of `process`."""
    stem = name.removesuffix(".py")
    return next((room for room in IN_PARTS if stem.startswith(f"{room}_")), stem)


def rooms() -> set[str]:
    return {
        room(p.name) for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }


def imports_of(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the room of each import from rebake, those inside functions too."""
    package = file.relative_to(PACKAGE.parent).with_suffix("").parts[:-1]
    for node in nodes(file):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [module] if module != "rebake" else [f"rebake.{a.name}" for a in node.names]
        for name in names:
            root, _, rest = name.partition(".")
            if root == "rebake" and rest and not rest.startswith("__version__"):
                yield node.lineno, room(rest.partition(".")[0])


def test_every_room_has_a_floor() -> None:
    assert rooms() - {"__init__"} <= FLOOR_OF.keys()


def test_imports_run_downwards_and_never_sideways() -> None:
    faults = []
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE)
        here = room(place.parts[0])
        floor = FLOOR_OF.get(here, 0)
        for line, there in imports_of(file):
            if there == here:
                continue
            if FLOOR_OF.get(there, 99) >= floor:
                faults.append(f"{place}:{line}: {here} (floor {floor}) imports {there}")
    assert faults == []


def test_one_module_alone_imports_subprocess_and_one_the_docker_library() -> None:
    users: dict[str, set[str]] = {"subprocess": set(), "python_on_whales": set()}
    for file in PACKAGE.rglob("*.py"):
        for node in nodes(file):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                if name.partition(".")[0] in users:
                    users[name.partition(".")[0]].add(file.relative_to(PACKAGE).as_posix())
    assert users["subprocess"] == {"process.py"}
    assert users["python_on_whales"] <= {"engine/client.py"}


LIGHT = [
    name
    for name in ("errors", "process", "redact", "results", "tasks", "cli")
    if importlib.util.find_spec(f"rebake.{name}")
]


@pytest.mark.parametrize("name", LIGHT)
def test_what_every_call_passes_through_imports_nothing_heavy(name: str) -> None:
    code = f"import sys, rebake.{name}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": ""},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
