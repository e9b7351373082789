"""What pytest collects of these tests: all of them."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def test_no_folder_of_tests_is_passed_over(pytestconfig: pytest.Config) -> None:
    passed_over = pytestconfig.getini("norecursedirs")
    folders = {parent for file in TESTS.rglob("test_*.py") for parent in file.parents}
    names = {folder.relative_to(TESTS).name for folder in folders if folder.is_relative_to(TESTS)}
    assert "build" in names
    assert [n for n in names if any(fnmatch(n, pattern) for pattern in passed_over)] == []
