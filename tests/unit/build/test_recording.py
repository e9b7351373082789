"""The steps of a build that bakes several times: each with its attempt, on one clock."""

from __future__ import annotations

import pytest

from rebake.build.progress_state import BuildProgress
from rebake.build.recording import Bakes
from rebake.history.records import StepRecord, count_work, each_once
from rebake.report.steps import parse_step_name
from rebake.results import Step


def bake(started_at: float | None, *steps: Step, crates: tuple[str, ...] | None = None):
    """A bake that sent 10 bytes and pulled 1."""
    return BuildProgress(
        steps=steps,
        names={step.digest: parse_step_name(step.name) for step in steps},
        targets={step.digest: () for step in steps},
        context_bytes=10,
        downloaded_bytes=1,
        failure=None,
        messages=(),
        warnings=(),
        started_at=started_at,
        log_tails={},
        crates=crates,
    )


def step(name: str, start: float | None, end: float | None, **more: object) -> Step:
    rest = {"cached": False, "error": "", "inputs": (), "bytes": 0} | more
    return Step(digest=name, name=name, started_s=start, ended_s=end, **rest)  # type: ignore[arg-type]


COPY, OFFLINE = "[build 1/2] COPY a b", "[build-offline 2/2] RUN compile"
ONLINE = "[build-online 2/2] RUN --network=default compile"
FIRST = bake(100.0, step(COPY, 0.0, 1.0), step(OFFLINE, 1.0, 3.0, error="exit code: 67"))
SECOND = bake(104.5, step(COPY, 0.0, 0.0, cached=True), step(ONLINE, 0.5, 9.5), crates=("api@1",))
LAYER = bake(115.0, step("[deps 1/1] RUN compile-dependencies", 0.25, 2.0))


def test_all_steps_are_recorded_with_their_attempt_on_one_clock() -> None:
    records = Bakes([FIRST, SECOND], LAYER).records()
    assert [(r.attempt, r.name, r.started_s, r.ended_s) for r in records] == [
        (1, COPY, 0.0, 1.0),
        (1, OFFLINE, 1.0, 3.0),
        (2, COPY, 4.5, 4.5),
        (2, ONLINE, 5.0, 14.0),
        (0, "[deps 1/1] RUN compile-dependencies", 15.25, 17.0),
    ]
    assert records[-1].target == "backend-deps"
    assert sum(r.seconds for r in records if r.ran) == pytest.approx(1.0 + 2.0 + 9.0 + 1.75)


def test_what_bakes_sent_pulled_and_compiled_adds_up() -> None:
    bakes = Bakes([FIRST, SECOND], LAYER)
    assert (bakes.context_bytes, bakes.downloaded_bytes, bakes.crates) == (30, 3, ("api@1",))
    assert Bakes([FIRST]).crates is None
    twice = Bakes([bake(1.0, crates=("a@1", "b@1")), bake(2.0, crates=("b@1", "c@1"))])
    assert twice.crates == ("a@1", "b@1", "c@1")


def test_a_bake_in_which_nothing_began_has_no_times() -> None:
    (record,) = Bakes([bake(None, step(COPY, None, None))]).records()
    assert (record.started_s, record.ended_s, record.attempt) == (None, None, 1)


def test_a_step_is_told_each_time_that_it_ran_and_once_if_it_never_did() -> None:
    records = Bakes([FIRST, SECOND], LAYER).records()
    assert [(s.attempt, s.name) for s in each_once(records)] == [
        (1, COPY), (1, OFFLINE), (2, ONLINE),
    ]  # fmt: skip
    assert count_work(records) == (3, 0)
    cached = StepRecord("d", COPY, "copy", cached=True)
    again = StepRecord("e", COPY, "copy", cached=True, attempt=2)
    assert each_once([cached, again]) == [again]
    assert count_work([cached, again]) == (1, 1)
    twins = [StepRecord("d", COPY, "copy"), StepRecord("e", COPY, "copy", cached=True)]
    assert each_once(twins) == twins  # of two Dockerfiles, in one bake
