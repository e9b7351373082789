"""The tutorial's steps: a reader of it that can fail, and edits that fit the sources."""

from pathlib import Path

import pytest

from tutorial_page import Step, prints_in_order, steps

ROOT = Path(__file__).parents[2]


def test_the_steps_are_read() -> None:
    found = steps()
    assert [step.title for step in found] == [
        *("1. Make it", "2. Run it", "2. Run it", "3. Change the page"),
        *("4. Add a service", "5. Keep it", "6. Stop"),
    ]
    assert found[1] == Step(
        "2. Run it",
        "python3 scripts/bootstrap.py dev --detach\n",
        (
            "  api     http://127.0.0.1:5174",
            "  worker  http://127.0.0.1:5175",
            "  ui      http://127.0.0.1:5173",
            "dev up in …",
        ),
    )
    assert found[3].edit == ("ui/src/app.tsx", "<h1>Items</h1>", "<h1>My shop</h1>")


def test_what_is_to_be_found_is_there_once() -> None:
    for step in steps():
        if step.edit is not None:
            file, before, _ = step.edit
            assert (ROOT / file).read_text(encoding="utf-8").count(before) == 1


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        ("x\n  api     http://127.0.0.1:5180\ndev up in 3 s (private)\n", []),
        ("  api  http://127.0.0.1:5174\ndev up in 3 s\nmore\n", []),
        ("dev up in 3 s\n  api     http://127.0.0.1:5174\n", ["dev up in …"]),
        ("  api     https://127.0.0.1:5174\n", ["  api     http://127.0.0.1:5174", "dev up in …"]),
    ],
)
def test_lines_are_looked_for_in_order(output: str, missing: list[str]) -> None:
    expected = ("  api     http://127.0.0.1:5174", "dev up in …")
    assert prints_in_order(expected, output) == missing
