"""The desk of these tests."""

from pathlib import Path

import pytest

from scaffold_desk import Desk, make_template


@pytest.fixture(scope="session")
def small_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small template; each desk has a copy."""
    return make_template(tmp_path_factory.mktemp("small") / "template")


@pytest.fixture
def desk(
    tmp_path: Path,
    small_template: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    return Desk(tmp_path, small_template, monkeypatch, capsys)
