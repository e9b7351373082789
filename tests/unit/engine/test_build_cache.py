"""The builder's cache, from the engine's answer."""

from __future__ import annotations

from rebake.engine.build_cache import CacheRecord, parse

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
