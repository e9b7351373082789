"""The document, its file and its tables."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from rebake.benchmark import document as documents
from rebake.benchmark.document import Finding
from rebake.benchmark.statistics import Result
from rebake.config.load import defaults_text

VALUES = tomllib.loads(defaults_text())["benchmark"]["limits"]
FINDING = Finding(
    [
        Result("code-change", "rebake", 2, runs_s=(5.0, 7.0), correct=True, steps=9),
        Result("code-change", "naive", 2, runs_s=(120.0,), correct=False),
        Result("fresh-ci", "rebake", 2, error="no root"),
    ],
    bake_runs_s={2: (0.3, 0.5)},
    not_run=[("fresh-ci", "", "no root")],
    notes=["a note"],
)


def document() -> dict[str, object]:
    return FINDING.document(
        VALUES, project={"name": "p"}, machine={"cpus": 2}, started_at=1.0, seconds=9.0
    )


def test_it_has_the_promised_keys() -> None:
    made = json.loads(json.dumps(document()))
    promised = {"schema_version", "machine", "project", "results", "ratios", "limits"}
    assert promised <= set(made)
    assert made["schema_version"] == 1
    assert made["results"][0]["median_s"] == 6.0
    assert made["ratios"] == [
        {
            "scenario": "code-change",
            "subject": "naive",
            "services": 2,
            "to": "rebake",
            "ratio": 20.0,
        }
    ]
    assert {"name", "limit", "measured", "ok"} <= set(made["limits"][0])
    assert made["references"][0]["median_s"] == 0.4
    assert made["not_run"] == [{"scenario": "fresh-ci", "subject": "", "reason": "no root"}]


def test_what_went_on_in_the_background_is_told() -> None:
    later = Result("dependency-bump", "rebake", 2, (45.0,), background_s=5.04)
    quick = Result("code-change", "rebake", 2, (3.0,), background_s=0.02)
    document = Finding([later, quick], notes=["one"]).document(
        VALUES, project={}, machine={}, started_at=0.0, seconds=1.0
    )
    first, told = document["notes"]  # type: ignore[misc]
    assert first == "one"
    assert told.startswith("dependency-bump, rebake: 5.0 s more in the background after")


def test_what_could_not_be_run_is_a_limit_that_is_not_kept() -> None:
    fresh = [limit for limit in FINDING.limits(VALUES) if limit.name.startswith("fresh-ci")]
    assert fresh
    assert not any(limit.ok for limit in fresh)


def test_it_is_written_whole_and_read_again_for_estimates(tmp_path: Path) -> None:
    file = tmp_path / "state" / documents.FILE
    documents.write(document(), file)
    assert [path.name for path in file.parent.iterdir()] == ["benchmark.json"]
    assert documents.earlier_seconds(file) == {
        ("code-change", "rebake"): 6.0,
        ("code-change", "naive"): 120.0,
    }
    file.write_text("{")
    assert documents.earlier_seconds(file) == {}
    assert documents.earlier_seconds(tmp_path / "none") == {}


def test_the_tables_say_what_is_wrong() -> None:
    rows = documents.result_rows(FINDING)
    assert rows[0] == ("code-change", "rebake", "6.00 s", "2.00 s", "2", "", "yes")
    assert rows[1] == ("code-change", "naive", "120.00 s", "0.00 s", "1", "20.0", "WRONG")
    assert rows[2] == ("fresh-ci", "rebake", "-", "-", "0", "", "-")
    limits = {row[0]: row for row in documents.limit_rows(FINDING.limits(VALUES))}
    assert limits["code-change: times faster than naive"][1:] == ("≥ 20.00 x", "20.00 x", "yes")
    assert limits["fresh-ci: seconds"][2:] == ("not measured", "NO")


def test_the_machine_is_described() -> None:
    told = documents.machine({"engine": "28.5"}, "private")
    assert told["cpus"]
    assert told["memory_bytes"]
    assert told["engine"] == {"engine": "28.5"}
