"""What becomes of a benchmark that was stopped and is not gone on with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rebake.benchmark.journal import FILE, Asked, Journal, Part
from rebake.benchmark.repeats import Repeats
from rebake.benchmark.run import Wanted
from rebake.benchmark.scenarios import scenarios_named
from rebake.benchmark.statistics import Result
from rebake.tasks import benchmark_flow

REPEATS = Repeats(1, 1, 60.0, 1, 10.0)


def test_what_was_measured_is_written_down_and_the_rest_is_named(tmp_path: Path) -> None:
    asked = Asked(("code-change", "no-change"), ("rebake",), REPEATS, (), "unix:///a", "0.1.0")
    journal = Journal(tmp_path / FILE, asked)
    result = Result("no-change", "rebake", 2, (0.5,))
    journal.book(0, "digest").keep("no-change", Part((result,), (0.7,), notes=("a note",)))
    wanted = Wanted(scenarios_named("code-change,no-change"), ("rebake",), REPEATS)
    backend = SimpleNamespace(services=("api", "worker"))
    project = SimpleNamespace(config=SimpleNamespace(backend=backend))
    found = benchmark_flow._kept(cast(Any, None), cast(Any, project), wanted, 0, journal)
    assert found.results == [result]
    assert found.bake_runs_s == {2: [0.7]}
    assert found.notes == ["a note"]
    assert found.not_run == [("code-change", "", "stopped before its end")]
