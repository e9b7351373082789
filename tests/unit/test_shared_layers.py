"""Layers that all projects on a machine share, so that a new one has them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.project.dockerfile import Dockerfile, Stage, parse, reads

ROOT = Path(__file__).parents[2]
# What may tell one project from another, or one state of its sources from the next.
OF_A_PROJECT = {"CACHE_ID", "BINARIES", "EXPECTED_BUILD_ID", "SERVICE_BUILD_IDS", "REBUILD"}


def stages_of(file: Dockerfile, name: str) -> dict[str, Stage]:
    """The stages that a target is made of, by name."""
    found: dict[str, Stage] = {}
    values = file.global_values({})
    waiting = [name]
    while waiting:
        stage = file.stage(waiting.pop())
        if stage is None or stage.name in found:
            continue
        found[stage.name] = stage
        froms = [read.source for step in stage.steps for read in reads(step, values)]
        waiting += [n for n in (file.base(stage), *froms) if n and file.stage(n) is not None]
    return found


@pytest.mark.parametrize(("half", "made_of"), [("backend", {"rust", "dev-tools"}), ("ui", {"bun"})])
def test_nothing_of_a_project_is_in_the_key_of_a_development_image(
    half: str, made_of: set[str]
) -> None:
    file = parse((ROOT / half / "Dockerfile").read_text(encoding="utf-8"))
    stages = stages_of(file, "dev")
    assert made_of <= set(stages)
    for stage in stages.values():
        for step in stage.instructions:
            assert not (step.word == "ARG" and step.rest.partition("=")[0] in OF_A_PROJECT), step
            assert [m for m in step.mounts() if m["type"] == "cache"] == [], step
            assert [read for read in reads(step, {}) if read.source == ""] == [], step


def test_an_edit_of_a_tool_leaves_the_layers_that_do_not_need_it() -> None:
    file = parse((ROOT / "backend" / "Dockerfile").read_text(encoding="utf-8"))
    needed = {
        tool
        for name in ("rust", "compiler-sccache", "dev-tools")
        for step in stages_of(file, name)[name].steps
        for read in reads(step, {})
        if read.source in {"tools", "toolbox"}
        for tool in read.paths or ("all of them",)
    }
    assert needed == {"with-host-settings", "ensure-packages"}
