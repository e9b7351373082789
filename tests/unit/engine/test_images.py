"""Images as the engine describes them."""

from __future__ import annotations

from rebake.engine.images import info_of

ENTRY = {
    "Id": "sha256:config",
    "RepoTags": ["shop-api:prod"],
    "RepoDigests": ["shop-api@sha256:manifest"],
    "Architecture": "amd64",
    "Os": "linux",
    "Size": 3,
    "Config": {"Labels": {"rebake.build-id": "0123"}},
}


def test_an_image_is_read() -> None:
    unpacked = {"Kind": "image", "Available": True, "ImageData": {"Size": {"Unpacked": 9}}}
    info = info_of(ENTRY | {"Manifests": [unpacked]})
    assert (info.id, info.digest, info.bytes) == ("sha256:config", "sha256:manifest", 9)
    assert info.labels == {"rebake.build-id": "0123"}
    assert (info.architecture, info.os, info.tags) == ("amd64", "linux", ("shop-api:prod",))


def test_what_an_engine_may_leave_out() -> None:
    info = info_of({"Id": "sha256:config", "Size": 3, "Config": {"Labels": None}})
    assert (info.digest, info.bytes, info.labels) == ("sha256:config", 3, {})
