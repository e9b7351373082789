"""A small, complete project, and a case of it whose engine is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.tiny_project import write_tiny_project
from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis
from rebake.engine.detect import Surroundings
from rebake.engine.home import Home
from rebake.project.project import open_project

MakeCase = Callable[..., Case]


def nowhere(folder: Path, **environ: str) -> Surroundings:
    """A machine without an engine and without a docker client."""
    return Surroundings(
        environ={"DOCKER_HOST": f"unix://{folder}/none.sock", "PATH": str(folder), **environ},
        user_home=folder,
        home=Home.at(folder / "engine"),
        cache=folder / "engine.json",
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_project(tmp_path / "project")


@pytest.fixture
def make_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeCase:
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))

    def make(root: Path, kind: type[Case] = Case, **environ: str) -> Case:
        return kind(open_project(root), around=nowhere(tmp_path, **environ))

    return make


def bad(found: list[Diagnosis]) -> list[Diagnosis]:
    return [diagnosis for diagnosis in found if diagnosis.level != "ok"]


def only(found: list[Diagnosis]) -> Diagnosis:
    """The one finding that is not ok; each says what, why, and how to mend it."""
    (one,) = bad(found)
    assert one.message
    assert one.why
    assert one.fix
    return one
