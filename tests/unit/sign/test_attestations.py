"""What counts as an attestation of an image, and what only looks like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attested_archive import Archive, Statement, document_of_parts, provenance
from rebake.engine.saved_image import Attested, attested_in
from rebake.errors import UsageError
from rebake.sign.attestations import about, lacks

BOTH = ("sbom", "provenance")
OTHER = "sha256:" + "0" * 64


def read(folder: Path, *statements: Statement) -> tuple[Archive, Attested]:
    made = Archive([b""], {}, *statements)
    return made, attested_in(made.write(folder / "image.tar"))


def words(attested: Attested, *, listed: bool = False) -> list[str]:
    return [one.words for one in lacks(BOTH, attested, listed=listed)]


def test_an_image_with_both_lacks_nothing(tmp_path: Path) -> None:
    made, attested = read(tmp_path, provenance, document_of_parts)
    assert words(attested) == []
    assert attested.manifests == (made.manifest,)
    assert attested.digests == {made.digest, made.manifest, made.config}
    assert len(about(attested)) == 2


def test_a_list_beside_the_image_will_do(tmp_path: Path) -> None:
    _, attested = read(tmp_path, provenance)
    assert words(attested) == ["has no list of its parts (SBOM)"]
    assert words(attested, listed=True) == []


def test_an_image_with_nothing(tmp_path: Path) -> None:
    made, attested = read(tmp_path)
    assert made.digest == made.manifest
    found = list(lacks(BOTH, attested, listed=False))
    assert [one.kind for one in found] == ["sbom", "provenance"]
    assert [one.words for one in found] == ["has no list of its parts (SBOM)", "has no provenance"]
    assert found[0].fix.startswith("invoke sbom ")
    assert found[1].fix.startswith("invoke build, on an engine with the containerd image store")
    assert [one.kind for one in lacks(["provenance"], attested, listed=True)] == ["provenance"]
    assert list(lacks([], attested, listed=False)) == []


def test_what_is_about_another_image_does_not_count(tmp_path: Path) -> None:
    made, attested = read(tmp_path, lambda _: provenance(OTHER), lambda _: document_of_parts(OTHER))
    tail = f" of its own: what it carries is about {OTHER}, and this is {made.manifest}"
    assert words(attested) == [f"has no list of its parts (SBOM){tail}", f"has no provenance{tail}"]
    assert about(attested) == []


@pytest.mark.parametrize(
    "change",
    [
        {"subject": []},
        {"subject": [{"name": "x"}]},
        {"subject": ["x"]},
        {"predicate": {}},
        {"predicate": None},
        {"predicate": {"builder": {"id": "me"}}},
        {"predicateType": "https://example.org/provenance"},
    ],
)
def test_what_is_no_provenance(tmp_path: Path, change: dict[str, Any]) -> None:
    _, attested = read(tmp_path, lambda of: provenance(of) | change)
    assert words(attested, listed=True) == ["has no provenance"]


def test_the_newer_form_of_a_provenance(tmp_path: Path) -> None:
    newer = {
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {"buildType": "x"}},
    }
    _, attested = read(tmp_path, lambda of: provenance(of) | newer)
    assert words(attested, listed=True) == []


def test_each_platform_needs_its_own() -> None:
    one, other = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    attested = Attested(frozenset({one, other}), (one, other), (provenance(one),))
    (told,) = words(attested, listed=True)
    assert told.endswith(f"what it carries is about {one}, and this is {other}")


def test_an_archive_without_an_index(tmp_path: Path) -> None:
    made = Archive([b""], {}, provenance)
    del made.files["index.json"]
    attested = attested_in(made.write(tmp_path / "image.tar"))
    assert attested == Attested(frozenset({made.config}), ())
    assert words(attested, listed=True) == ["has no provenance"]


def test_what_is_no_image(tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    file.write_bytes(b"no archive")
    with pytest.raises(UsageError, match="can't be read as an image"):
        attested_in(file)
