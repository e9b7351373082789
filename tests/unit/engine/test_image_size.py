"""The unpacked size of an image, from the engine's answer."""

from __future__ import annotations

from rebake.engine.image_size import parse, unpacked_bytes


def manifest(kind: str = "image", size: int = 7, *, available: bool = True) -> dict[str, object]:
    return {"Kind": kind, "Available": available, "ImageData": {"Size": {"Unpacked": size}}}


def test_available_images_count() -> None:
    document = {"Size": 3, "Manifests": [manifest(), manifest("attestation"), manifest(size=5)]}
    assert parse(document) == 12


def test_an_engine_that_does_not_say() -> None:
    assert parse({"Size": 3}) is None
    assert parse(None) is None
    assert parse({"Manifests": [manifest(available=False)]}) is None


def test_an_engine_that_can_not_be_asked(tmp_path) -> None:
    assert unpacked_bytes("ssh://nowhere", "x") is None
    assert unpacked_bytes(f"unix://{tmp_path / 'none.sock'}", "x") is None
