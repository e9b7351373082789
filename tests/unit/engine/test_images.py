"""Images as the engine describes them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rebake.engine import image_size
from rebake.engine.api import Answer
from rebake.engine.endpoint import Endpoint
from rebake.engine.images import Images, info_of, inspect
from rebake.errors import ProgramMissing

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


def test_several_images_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=20)

    def describe(_host: str, ref: str) -> Answer:
        together.wait()  # broken, and so an error, when they come one after another
        return Answer(404, {}) if ref == "gone" else Answer(200, {"Id": ref})

    monkeypatch.setattr(image_size, "describe", describe)
    endpoint = Endpoint("default", "unix:///nowhere", Path("docker"))
    assert inspect(endpoint, ["a", "gone", "b"]) == {"a": {"Id": "a"}, "b": {"Id": "b"}}


def test_an_answer_that_was_asked_for_ahead_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def describe(_host: str, ref: str) -> Answer:
        asked.append(ref)
        return Answer(200, {"Id": f"{ref}{len(asked)}"})

    monkeypatch.setattr(image_size, "describe", describe)
    images = Images(Endpoint("default", "unix:///nowhere", Path("docker")))
    images.ask_ahead(["a", "a"])
    first, second = images.image("a"), images.image("a")
    assert first is not None
    assert second is not None
    assert (first.id, second.id, asked) == ("a1", "a2", ["a", "a"])


def test_what_went_wrong_ahead_is_told_when_the_answer_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def describe(_host: str, _ref: str) -> Answer:
        raise ProgramMissing("docker")

    monkeypatch.setattr(image_size, "describe", describe)
    images = Images(Endpoint("default", "unix:///nowhere", Path("docker")))
    images.ask_ahead(["a"])
    with pytest.raises(ProgramMissing):
        images.image("a")
