"""An image as `docker save` writes it: its files as the layers leave them, and its attestations."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from rebake.engine.saved_image import SavedImage
from rebake.errors import UsageError

PROVENANCE = {"predicateType": "https://slsa.dev/provenance/v1", "predicate": {}}


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Layout:
    """Blobs by digest, and the archive of them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def blob(self, content: bytes, **more: object) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", **more}

    def json(self, document: object, **more: object) -> dict[str, object]:
        return self.blob(json.dumps(document).encode(), **more)

    def image(self, *layers: bytes) -> dict[str, object]:
        return self.json({"layers": [self.blob(layer) for layer in layers]}, mediaType="m")

    def open(self, *entries: object) -> SavedImage:
        self.files["index.json"] = json.dumps({"manifests": entries}).encode()
        return SavedImage(tarfile.open(fileobj=io.BytesIO(tar_of(self.files))))


def test_later_layers_win_and_take_away() -> None:
    layout = Layout()
    image = layout.image(
        tar_of({"a": b"1", "etc/b": b"2", "etc/c": b"3", "gone/d": b"4"}),
        tar_of({"./a": b"new", "etc/.wh.b": b"", "gone/.wh..wh..opq": b"", "gone/e": b"5"}),
    )
    files = layout.open(image).files()
    assert [file.path for file in files] == ["/a", "/etc/c", "/gone/e"]
    assert files[0].sha256 == hashlib.sha256(b"new").hexdigest()
    assert files[0].sha1 == hashlib.sha1(b"new").hexdigest()


def test_an_index_with_an_attestation() -> None:
    layout = Layout()
    statement = layout.json(PROVENANCE, annotations={"in-toto.io/predicate-type": "x"})
    attested = layout.json({"layers": [statement]})
    attested["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    elsewhere = {"digest": "sha256:" + "00" * 32}  # another platform, which was not saved
    entries = {"manifests": [layout.image(tar_of({"a": b"1"})), attested, elsewhere]}
    index = layout.json(entries, mediaType="application/vnd.oci.image.index.v1+json")
    image = layout.open(index)
    assert [file.path for file in image.files()] == ["/a"]
    assert image.statements() == (PROVENANCE,)


def test_an_image_without_one() -> None:
    layout = Layout()
    assert layout.open(layout.image(tar_of({}))).statements() == ()


def test_packed_layers_are_read_and_those_that_can_t_be_are_told() -> None:
    layout = Layout()
    packed = gzip.compress(tar_of({"a": b"1"}))
    assert [file.path for file in layout.open(layout.image(packed)).files()] == ["/a"]
    other = layout.image(b"\x00packed in a way of its own" * 40)
    with pytest.raises(UsageError, match="can't read"):
        layout.open(other).files()
