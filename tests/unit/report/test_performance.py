"""The page about performance: tables of a benchmark's result, and the script that writes it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from rebake.report.measured import read
from rebake.report.performance import SUBJECT_WORDS, cell, markdown, table
from unit.report.test_measured import document, row

TIMES = "\N{MULTIPLICATION SIGN}"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_performance", ROOT / "scripts" / "make_performance.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_medians_ratios_limits_and_runs() -> None:
    page = markdown(read(document(when="2026-11-25")), "../images/benchmark.svg")
    for line in (
        "# Performance",
        "](../images/benchmark.svg)",
        "Measured 2026-11-25.",
        "| code-change | a line in one service |",
        "| scenario | floor | rebake | cache-mount | cargo-chef | naive |",
        "| code-change | 4.00 | **5.00** | 2.00 (wrong) | 30.0 | 160 |",
        "| cold |  | **120** |  |  |  |",
        "| shared-crate, 20 services |  | **32.0** |  |  |  |",
        f"| code-change | 5.00 | 4.00 | 1.25 {TIMES} | cargo-chef | 30.0 | 6.00 {TIMES} |",
        "1 of 4 kept, 2 missed, 1 not measured.",
        "| a | at most 6 s | 5 s | ok |",
        f"| b | at least 8 {TIMES} | 6 {TIMES} | **missed** |",
        "| c | at most 0.35 | not measured | not measured |",
        "| code-change | rebake | 5.00 | 5.00, 5.20, 4.90 | 0.30 | 4 of 9 | 8.50 | 900 MB | "
        "81.0 kB | 16.0 MB | yes |",
        "- cold, naive: exit code 1",
        "| memory | 8.0 GB |",
        "python scripts/make_performance.py benchmark.json",
    ):
        assert line in page, line
    assert page.endswith("\n")
    assert markdown(read(document(when="2026-11-25")), "../images/benchmark.svg") == page


def test_recipes_that_were_left_out_are_named() -> None:
    rows = [row("cold", name, 9.0) for name in SUBJECT_WORDS]
    assert "**Not in this run:**" not in markdown(read(document(results=rows)), "x.svg")
    page = markdown(read(document(results=rows[:2])), "x.svg")
    assert "**Not in this run:** cache-mount, cargo-chef, dummy-main, naive." in page


def test_references_and_notes_are_told() -> None:
    bake = {"name": "bake", "scenario": "no-change", "services": 2, "median_s": 0.3}
    page = markdown(read(document(references=[bake], notes=["in <turn>"])), "x.svg")
    assert "\n- no-change: bake needs 0.30 s\n" in page
    assert "How it was done:\n\n- in &lt;turn>\n" in page
    assert "How it was done" not in markdown(read(document()), "x.svg")


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    page = markdown(read(document()), "x.svg")
    wide = 0
    for line in page.splitlines():
        cells = line.replace("\\|", "").count("|")
        wide = (wide or cells) if cells else 0
        assert cells == wide, line


def test_a_text_can_not_leave_its_cell() -> None:
    assert cell("a|b\nc <script> [x](y) &amp;") == "a\\|b c &lt;script> \\[x](y) &amp;amp;"
    assert table(("h",), [("a\n| b",)]) == "| h |\n| --- |\n| a \\| b |"
    evil = "<img src=x>|\n# head"
    page = markdown(read(document(results=[row(evil, evil, 1.0)], machine={evil: evil})), "x.svg")
    assert "<img" not in page
    assert "\n# head" not in page


def test_the_script_writes_both_files(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "b.json"
    result.write_text(json.dumps(document()), encoding="utf-8")
    assert script.main([str(result)], tmp_path) == 0
    assert "wrote docs/explanation/performance.md" in capsys.readouterr().out
    page = (tmp_path / "docs" / "explanation" / "performance.md").read_text(encoding="utf-8")
    assert "| code-change | 4.00 | **5.00** |" in page
    picture = (tmp_path / "docs" / "images" / "benchmark.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg ")


@pytest.mark.parametrize("text", ["{", "[]", '{"results": 1}', "\xff"])
def test_the_script_refuses_what_is_no_result(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    result = tmp_path / "b.json"
    result.write_text(text, encoding="latin-1")
    assert script.main([str(result)], tmp_path) == 2
    assert "is no result of a benchmark" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()


@pytest.mark.parametrize("argv", [[], ["--help"], ["a", "b"]])
def test_the_script_tells_how_it_is_called(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert script.main(argv, tmp_path) == 2
    assert "usage:" in capsys.readouterr().err
