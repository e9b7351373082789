"""What is told of a provenance, in either version of its form."""

from __future__ import annotations

from rebake.sign.provenance import summary

BASE = {"uri": "pkg:docker/rust@1", "digest": {"sha256": "ab"}}


def test_the_newer_form() -> None:
    predicate = {
        "buildDefinition": {"buildType": "buildkit", "resolvedDependencies": [BASE]},
        "runDetails": {
            "builder": {"id": "me"},
            "metadata": {"startedOn": "2026-01-01T00:00:00Z", "finishedOn": "later"},
        },
    }
    kind = "https://slsa.dev/provenance/v1"
    assert summary([{"predicateType": kind, "predicate": predicate}]) == {
        "type": kind,
        "slsa_build_level": 1,
        "builder": "me",
        "build_type": "buildkit",
        "started": "2026-01-01T00:00:00Z",
        "finished": "later",
        "materials": [BASE],
    }


def test_the_older_form() -> None:
    predicate = {
        "builder": {"id": ""},
        "buildType": "buildkit",
        "materials": [BASE],
        "metadata": {"buildStartedOn": "a", "buildFinishedOn": "b"},
    }
    kind = "https://slsa.dev/provenance/v0.2"
    told = summary([{"predicateType": "other"}, {"predicateType": kind, "predicate": predicate}])
    assert told is not None
    assert (told["type"], told["started"], told["materials"]) == (kind, "a", [BASE])


def test_an_image_without_one() -> None:
    assert summary([]) is None
    assert summary([{"predicateType": "https://spdx.dev/Document"}]) is None
