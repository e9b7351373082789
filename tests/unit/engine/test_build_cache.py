"""The builder's cache, from the engine's answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebake.engine.build_cache import CacheRecord, moment, parse

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
