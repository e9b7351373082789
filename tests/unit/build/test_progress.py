from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from rebake.build.progress import BuildProgress, ProgressReader
from rebake.redact import Redactor
from rebake.report.events import (
    Event,
    Message,
    StepDone,
    StepFailed,
    StepLog,
    StepStarted,
    Transfer,
    Warned,
)
from rebake.results import StepUsage

SAMPLES = Path(__file__).parent / "rawjson"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
T = "2026-01-01T00:00:{:09.6f}Z"


def replay(name: str, *targets: str) -> tuple[list[Event], BuildProgress]:
    events: list[Event] = []
    reader = ProgressReader(events.append, targets=targets, redactor=Redactor())
    for line in (SAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        reader.feed(line)
    return events, reader.finish()


def feed(*items: object, **options: object) -> tuple[list[Event], BuildProgress]:
    events: list[Event] = []
    reader = ProgressReader(events.append, redactor=Redactor(["s3cret-value"]), **options)
    for item in items:
        reader.feed(item if isinstance(item, str) else json.dumps(item))
    return events, reader.finish()


def vertex(digest: str = A, name: str = "[build 1/2] RUN make", **rest: object) -> dict:
    return {"vertexes": [{"digest": digest, "name": name, **rest}]}


def log(text: str | bytes, digest: str = A, stream: int = 1, at: float = 1) -> dict:
    data = text.encode() if isinstance(text, str) else text
    entry = {"vertex": digest, "stream": stream, "data": base64.b64encode(data).decode()}
    return {"logs": [{**entry, "timestamp": T.format(at)}]}


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


# recorded from BuildKit (engine 28.5, buildx 0.29)


def test_two_targets_share_steps_and_each_ends_once() -> None:
    events, progress = replay("cold", "api", "worker")
    done = [e.step for e in events if isinstance(e, StepDone)]
    ends = [s.digest for s in done if s.kind in {"run", "copy", "meta", "export"}]
    assert len(ends) == len(set(ends)) == 7
    run = next(step for step in progress.steps if " RUN " in step.name)
    assert progress.targets[run.digest] == ("api", "worker")
    assert run.seconds == pytest.approx(1.19, abs=0.01)
    assert len(run.inputs) == 2
    assert progress.cached_share == (0, 5)
    assert progress.context_bytes == 300_873  # sent once, told twice
    assert progress.downloaded_bytes == 0
    assert progress.failure is None
    assert progress.started_at == pytest.approx(1795234742.7, abs=0.1)


def test_log_lines_come_whole_and_as_a_terminal_shows_them() -> None:
    events, _ = replay("cold", "api", "worker")
    logs = [event.line for event in events if isinstance(event, StepLog)]
    assert logs[:3] == ["Compiling core v0.1.0", "warning: é half", "progress 2"]
    assert logs[3].startswith("no-line-end-")


def test_steps_stand_in_the_order_in_which_they_began() -> None:
    _, progress = replay("cold", "api", "worker")
    starts = [step.started_s for step in progress.steps]
    assert starts == sorted(starts)
    assert [progress.names[s.digest].number for s in progress.steps] == list(range(1, 14))


def test_a_build_from_cache() -> None:
    events, progress = replay("cached", "api", "worker")
    assert progress.cached_share == (5, 5)
    done = [e for e in events if isinstance(e, StepDone) and e.step.kind == "run"]
    assert len(done) == 1
    assert done[0].cached


def test_one_target_has_no_target_in_its_names() -> None:
    _, progress = replay("single", "api")
    labels = [progress.names[step.digest].label for step in progress.steps]
    assert "builder 2/3" in labels
    assert "api 1/1" in labels
    assert set(progress.targets.values()) == {()}


def test_the_failing_step_and_not_the_one_that_was_stopped() -> None:
    events, progress = replay("failed", "broken", "slow")
    assert progress.failure is not None
    assert progress.failure.step.label == "broken 2/2"
    assert "exit code: 101" in progress.failure.error
    assert progress.failure.tail[-1] == "error[E0425]: cannot find value"
    failed = {e.step.label: e.canceled for e in events if isinstance(e, StepFailed)}
    assert failed == {"broken 2/2": False, "slow 2/2": True}
    assert progress.error_message.startswith("target broken: failed to solve")


def test_the_failing_step_is_the_one_that_the_closing_error_names() -> None:
    """After a prune, a base image's step may fail while the build goes on with what is cached."""
    ended = 'process "/bin/sh -c make" did not complete successfully: exit code: 66'
    _, progress = feed(
        vertex(B, "[rust 1/2] FROM rust:1", completed=T.format(1), error="not found"),
        vertex(A, completed=T.format(2), error=ended),
        f"ERROR: target api: failed to solve: {ended}",
    )
    assert progress.failure is not None
    assert (progress.failure.step.label, progress.failure.error) == ("build 1/2", ended)


def test_buildx_own_error_is_kept() -> None:
    _, progress = replay("bakefile")
    assert progress.failure is None
    assert progress.error_message.startswith("docker-bake.hcl:4,29-5,1: Invalid")
    assert ">>> target" in "\n".join(progress.messages)


def test_records_for_the_history() -> None:
    _, progress = replay("cold", "api", "worker")
    run = next(r for r in progress.records() if r.kind == "run")
    assert (run.stage, run.target) == ("builder", "api,worker")
    assert run.seconds > 1


# made by hand: what is rare or can't be provoked


def test_cached_counts_only_with_an_end() -> None:
    _, progress = feed(vertex(started=T.format(1), cached=True))
    assert not progress.steps[0].cached
    _, progress = feed(vertex(started=T.format(1), completed=T.format(1), cached=True))
    assert progress.steps[0].cached


def test_repeated_and_late_updates_change_nothing() -> None:
    events, progress = feed(
        vertex(),
        vertex(started=T.format(1)),
        vertex(started=T.format(1), completed=T.format(3)),
        vertex(started=T.format(1), completed=T.format(3)),
        vertex(started=T.format(1)),
    )
    assert kinds(events) == ["StepStarted", "StepDone"]
    assert progress.steps[0].seconds == 2


def test_a_step_shared_with_a_build_that_runs_longer_does_not_stretch_ours() -> None:
    # Seen on engine 28.5: while another build holds the same FROM, BuildKit tells its old times.
    load = "[internal] load build definition from Dockerfile"
    meta = "[internal] load metadata for docker.io/library/rust"
    _, progress = feed(
        vertex("sha256:" + "c" * 64, meta, started=T.format(2), completed=T.format(3)),
        vertex(A, "[a 1/2] FROM rust", started=T.format(1), completed=T.format(4), cached=True),
        vertex(B, load, started=T.format(50), completed=T.format(51)),
        vertex("sha256:" + "d" * 64, started=T.format(52), completed=T.format(54)),
    )
    times = [(step.started_s, step.ended_s) for step in progress.steps]
    assert times == [(0, 0), (0, 0), (0, 1), (2, 4)]
    assert progress.started_at == pytest.approx(1767225600 + 50)


def test_a_step_that_runs_again_counts_only_the_time_that_it_ran() -> None:
    events, progress = feed(
        vertex(started=T.format(1), completed=T.format(2)),
        vertex(started=T.format(10)),
        vertex(started=T.format(10), completed=T.format(13)),
    )
    assert kinds(events) == ["StepDone", "StepStarted", "StepDone"]
    assert isinstance(events[-1], StepDone)
    assert events[-1].seconds == 4
    assert progress.steps[0].ended_s == 12


def test_logs_wait_for_their_step_and_are_cut_at_line_ends() -> None:
    half = "é".encode()
    events, _ = feed(
        log(b"one\ntw" + half[:1]), log(half[1:] + b"o\n"), log("err\n", stream=2), vertex()
    )
    assert [e.line for e in events if isinstance(e, StepLog)] == ["one", "twéo", "err"]
    assert all(e.step.label == "build 1/2" for e in events if isinstance(e, StepLog))


def test_the_last_lines_only_and_without_escapes() -> None:
    lines = "".join(f"\x1b[31mline {i}\x1b[0m\n" for i in range(50))
    _, progress = feed(
        vertex(started=T.format(0)), log(lines), vertex(error="exit code: 1"), tail_lines=3
    )
    assert progress.failure is not None
    assert progress.failure.tail == ("line 47", "line 48", "line 49")


def test_secrets_are_masked_everywhere() -> None:
    events, progress = feed(
        vertex(name="[1/1] RUN echo s3cret-value", started=T.format(0)),
        log("s3cret-value\n"),
        "plain s3cret-value",
        vertex(error="s3cret-value broke"),
    )
    assert "s3cret-value" not in repr(events) + repr(progress)
    assert repr(progress).count("***") >= 4


def test_downloads_count_each_blob_once_and_extraction_never() -> None:
    blob = "sha256:" + "c" * 64

    def status(what: str, digest: str, current: int, total: int = 100) -> dict:
        return {"statuses": [{"id": what, "vertex": digest, "current": current, "total": total}]}

    events, progress = feed(
        vertex(A, "[a 1/2] FROM docker.io/library/rust"),
        vertex(B, "[b 1/2] FROM docker.io/library/rust"),
        status(blob, A, 40),
        status(blob, A, 100),
        status(blob, B, 100),
        status(f"extracting {blob}", A, 100),
    )
    assert progress.downloaded_bytes == 100
    assert [e.current for e in events if isinstance(e, Transfer)] == [40, 100, 100]


@pytest.mark.parametrize(
    "line",
    ["", "{}", "{not json", "[1, 2]", '{"vertexes": 3}', '{"vertexes": [null, {"digest": 5}]}',
     '{"logs": [{"vertex": "x", "data": "%%%"}]}', '{"statuses": [{"current": "x"}]}', "null"],
)  # fmt: skip
def test_strange_lines_do_no_harm(line: str) -> None:
    _, progress = feed(line, vertex(started=T.format(0), completed="when?"))
    assert progress.steps[0].ended_s is None


def test_warnings_come_once() -> None:
    short = base64.b64encode(b"JSONArgsRecommended").decode()
    warning = {"warnings": [{"vertex": A, "short": short, "url": "https://docs.docker.com/x"}]}
    events, progress = feed(warning, warning)
    assert events == [Warned("JSONArgsRecommended", "https://docs.docker.com/x")]
    assert progress.warnings == ("JSONArgsRecommended",)


def test_plain_lines_are_messages() -> None:
    events, progress = feed("WARNING: no output specified\r\n")
    assert events == [Message("WARNING: no output specified")]
    assert progress.messages == ("WARNING: no output specified",)


def test_what_a_step_took_is_kept_and_not_shown() -> None:
    events, progress = feed(
        vertex(started=T.format(1)),
        log('one\nrebake-usage {"cpu_s":1.5,"crates_com'),
        log('piled":2,"crates_reused":7}\r\ntwo\n'),
        vertex(started=T.format(1), completed=T.format(3)),
    )
    usage = StepUsage(cpu_s=1.5, crates_compiled=2, crates_reused=7)
    assert [e.line for e in events if isinstance(e, StepLog)] == ["one", "two"]
    assert progress.log_tails[A] == ("one", "two")
    assert progress.steps[0].usage == usage
    assert progress.records()[0].usage == usage
    assert progress.caches().document() == {
        "layers": {"hits": 0, "misses": 1},
        "crates": {"reused": 7, "compiled": 2},
    }


def test_the_last_word_about_a_step_is_its_tools_own() -> None:
    forged = 'rebake-usage {"cpu_s":999}\n'
    _, progress = feed(vertex(), log(forged), log('rebake-usage {"cpu_s":2}\n'), vertex(error="x"))
    assert progress.steps[0].usage == StepUsage(cpu_s=2)
    assert progress.failure is not None
    assert progress.failure.tail == ()


def test_a_bad_usage_line_is_an_ordinary_line() -> None:
    bad = 'rebake-usage {"cpu_s":"s3cret-value"}'
    events, progress = feed(vertex(), log('rebake-usage {"cpu_s":2}\n'), log(bad + "\n"))
    shown = bad.replace("s3cret-value", "***")
    assert [e.line for e in events if isinstance(e, StepLog)] == [shown]
    assert progress.steps[0].usage == StepUsage(cpu_s=2)


def test_a_started_event_comes_before_the_end() -> None:
    events, _ = feed(
        vertex(started=T.format(1)), vertex(completed=T.format(2), started=T.format(1))
    )
    assert isinstance(events[0], StepStarted)


def test_binaries_are_known_by_what_one_step_tells() -> None:
    line = "rebake-binaries api={}:10:1.000000000\n"
    step = {"started": T.format(1)}
    _, progress = feed(vertex(A, **step), log(line.format(1)), log(line.format(2)))
    assert progress.binaries == {"api": "2:10:1.000000000"}
    # A build for two platforms has two: which of them changed, neither tells.
    _, progress = feed(
        *(vertex(A, **step), vertex(B, **step)),
        *(log(line.format(1), A), log(line.format(1), B)),
    )
    assert progress.binaries == {}
    assert feed(vertex(A, **step), log("other\n"))[1].binaries == {}
