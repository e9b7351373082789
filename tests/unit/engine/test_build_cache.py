"""The builder's cache, from the engine's answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.engine import api, build_cache
from rebake.engine.api import Answer
from rebake.engine.build_cache import CacheRecord, moment, parse, records, remove
from rebake.engine.endpoint import Endpoint

TARGET = (
    "cached mount /target from exec /bin/sh -c /tools/build-workspace release /out ${BINARIES}"
    ' with id "/shop-1-target-release-amd64-rust:1.97-slim-trixie"'
)


def test_mounts_layers_and_contexts_are_told_apart() -> None:
    document = {
        "BuildCache": [
            {
                "ID": "a1", "Type": "exec.cachemount", "Description": TARGET, "InUse": True,
                "Size": 5, "LastUsedAt": "2026-11-25T22:41:31Z",
            },
            {"ID": "b2", "Type": "regular", "Description": "mount / from exec x", "Size": 6},
            {"ID": "c3", "Type": "source.local", "Description": "local source for context"},
        ]
    }  # fmt: skip
    mount, layer, source = parse(document)
    assert mount == CacheRecord(
        "a1", "mount", 5, "2026-11-25T22:41:31Z", in_use=True, description=TARGET,
        mount_id="shop-1-target-release-amd64-rust:1.97-slim-trixie",
    )  # fmt: skip
    assert (layer.kind, layer.bytes, layer.mount_id) == ("layer", 6, "")
    assert (source.kind, source.last_used, source.in_use) == ("source", "", False)


def test_a_step_that_prints_an_id_of_its_own_does_not_confuse() -> None:
    text = 'cached mount /c from exec /bin/sh -c echo with id "/no" with id "/shop-cargo"'
    (record,) = parse({"BuildCache": [{"Type": "exec.cachemount", "Description": text}]})
    assert record.mount_id == "shop-cargo"


def test_no_cache_at_all() -> None:
    assert parse({}) == parse({"BuildCache": None}) == parse(None) == ()


@pytest.mark.parametrize("key", ["Parents", " Parents"])  # engine 28 writes it with a space
def test_what_a_record_stands_on_and_when_it_was_made(key: str) -> None:
    entry = {"ID": "a1", "CreatedAt": "2026-11-26T01:37:18.183533875Z", key: ["b2"]}
    (record,) = parse({"BuildCache": [entry]})
    assert record.parents == ("b2",)
    assert record.created_at == pytest.approx(1_795_657_038.183533)
    assert record.used_at == record.created_at
    used = replace(record, last_used="2026-11-26T01:41:53Z")
    assert used.used_at == pytest.approx(1_795_657_313)


@pytest.mark.parametrize("text", ["", "yesterday", "0001-01-01T00:00:00Z"])
def test_a_time_that_is_none(text: str) -> None:
    assert moment(text) == 0.0


MOUNT = {"ID": "a1", "Type": "exec.cachemount", "Description": TARGET, "Size": 5}
STAND_IN = {**MOUNT, "ID": "z9", "Type": "regular", "InUse": True}


def test_what_stands_for_a_record_that_is_being_measured_is_known() -> None:
    taken = {"ID": "x7", "Type": "regular", "Description": "local source for context"}
    context = {**taken, "ID": "y8", "InUse": True}
    layer = {"ID": "b2", "Type": "regular", "Description": "mount / from exec x"}
    mount, source, other, kept = parse({"BuildCache": [STAND_IN, context, layer, taken]})
    assert (mount.kind, mount.mount_id[:6], mount.stand_in) == ("mount", "shop-1", True)
    assert (source.kind, source.stand_in) == ("source", True)
    assert (other.kind, other.stand_in) == ("layer", False)
    assert (kept.kind, kept.stand_in) == ("source", False)  # what a build has taken in stays so


@pytest.mark.parametrize(
    ("answers", "ids", "asked"),
    [
        ([MOUNT], ["a1"], 1),
        ([STAND_IN, STAND_IN, MOUNT], ["a1"], 3),
        ([STAND_IN] * 9, ["z9"], 3),  # it is told all the same
        ([STAND_IN, None], ["z9"], 2),
        ([None], None, 1),
    ],
)
def test_while_the_engine_measures_it_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
    answers: list[dict[str, object] | None],
    ids: list[str] | None,
    asked: int,
) -> None:
    given = iter(answers)
    calls = []

    def ask(*words: object, **_: object) -> Answer | None:
        calls.append(words)
        entry = next(given)
        return None if entry is None else Answer(200, {"BuildCache": [entry]})

    monkeypatch.setattr(build_cache, "_MEASURED_S", 0.0)
    monkeypatch.setattr(api, "ask", ask)
    found = records(Endpoint("default", "unix:///nowhere", Path("docker")))
    assert (None if found is None else [record.id for record in found]) == ids
    assert len(calls) == asked


@pytest.mark.parametrize("ids", [["a1", "b2"], ["a1"]])
def test_an_engine_that_does_not_answer_is_asked_for_nothing_more(
    monkeypatch: pytest.MonkeyPatch, ids: list[str]
) -> None:
    """Each call that is given up costs the steps of all builds: it may still be at work."""
    waits = []

    def ask(*_: object, timeout_s: float, **__: object) -> Answer | None:
        waits.append(timeout_s)
        return None

    monkeypatch.setattr(api, "ask", ask)
    assert remove(Endpoint("default", "unix:///nowhere", Path("docker")), ids) == 0
    assert waits == [3600.0]
