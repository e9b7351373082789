"""The unpacked size of an image, from the engine's answer."""

from __future__ import annotations

import json

from rebake.engine.image_size import parse, unpacked_bytes


def manifest(kind: str = "image", size: int = 7, *, available: bool = True) -> dict[str, object]:
    return {"Kind": kind, "Available": available, "ImageData": {"Size": {"Unpacked": size}}}


def test_available_images_count() -> None:
    document = {"Size": 3, "Manifests": [manifest(), manifest("attestation"), manifest(size=5)]}
    assert parse(json.dumps(document).encode()) == 12


def test_an_engine_that_does_not_say() -> None:
    assert parse(b'{"Size": 3}') is None
    assert parse(b"no json") is None
    assert parse(json.dumps({"Manifests": [manifest(available=False)]}).encode()) is None


def test_only_a_local_socket_is_asked(tmp_path) -> None:
    assert unpacked_bytes("tcp://192.0.2.1:2376", "x") is None
    assert unpacked_bytes(f"unix://{tmp_path / 'none.sock'}", "x") is None
