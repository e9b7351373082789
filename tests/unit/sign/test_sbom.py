"""Lists of parts: whole, and the same for the same image."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.engine.saved_image import ImageFile
from rebake.sign import sbom
from rebake.sign.parts import Part

PARTS = (
    Part("cargo", "api", "0.1.0", ("pkg:cargo/serde@1.0.2",), local=True),
    Part("cargo", "serde", "1.0.2"),
)
CONTENTS = sbom.Contents(
    "shop/api",
    "sha256:" + "ab" * 32,
    1_800_000_000.5,
    PARTS,
    (ImageFile("/bin/service", "cd" * 32, "ef" * 20),),
    {"rust:1": "sha256:" + "01" * 32},
)


def test_cyclonedx() -> None:
    told = json.loads(sbom.cyclonedx(CONTENTS))
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert told["metadata"]["timestamp"] == "2027-01-15T08:00:00Z"
    assert told["metadata"]["component"]["version"] == CONTENTS.digest
    names = {part["name"]: part for part in told["components"]}
    assert names["serde"]["purl"] == "pkg:cargo/serde@1.0.2"
    assert names["/bin/service"]["hashes"] == [{"alg": "SHA-256", "content": "cd" * 32}]
    assert names["rust:1"]["type"] == "container"
    needs = {entry["ref"]: entry["dependsOn"] for entry in told["dependencies"]}
    assert needs[CONTENTS.digest] == ["pkg:cargo/api@0.1.0"]
    assert needs["pkg:cargo/api@0.1.0"] == ["pkg:cargo/serde@1.0.2"]
    known = {CONTENTS.digest, *(part["bom-ref"] for part in told["components"])}
    assert all({ref, *refs} <= known for ref, refs in needs.items())


def test_spdx() -> None:
    told = json.loads(sbom.spdx(CONTENTS))
    assert told["spdxVersion"] == "SPDX-2.3"
    ids = [entry["SPDXID"] for entry in (*told["packages"], *told["files"])]
    assert len(set(ids)) == len(ids) == 5
    image = told["packages"][0]
    assert image["checksums"] == [{"algorithm": "SHA256", "checksumValue": "ab" * 32}]
    assert image["packageVerificationCode"] == {
        "packageVerificationCodeValue": hashlib.sha1(("ef" * 20).encode()).hexdigest()
    }
    file = told["files"][0]
    assert file["fileName"] == "./bin/service"
    assert {sum_["algorithm"] for sum_ in file["checksums"]} == {"SHA1", "SHA256"}
    known = {"SPDXRef-DOCUMENT", *ids}
    for relation in told["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= known
    kinds = {relation["relationshipType"] for relation in told["relationships"]}
    assert kinds == {"DESCRIBES", "CONTAINS", "DEPENDS_ON", "BUILD_DEPENDENCY_OF"}


def test_the_same_image_gives_the_same_bytes_and_another_another_number() -> None:
    for _, write in sbom.FORMATS.values():
        assert write(CONTENTS) == write(CONTENTS)
    assert replace(CONTENTS, digest="sha256:" + "ff" * 32).serial != CONTENTS.serial


def test_a_list_is_of_the_image_that_it_describes_and_not_of_a_base_of_it(tmp_path: Path) -> None:
    for form, (_, write) in sbom.FORMATS.items():
        sbom.file_of(tmp_path, "api", form).write_text(write(CONTENTS))
        base = CONTENTS.bases["rust:1"]
        assert sbom.digests(tmp_path, "api", base) == {}
        assert sbom.listed(tmp_path, {CONTENTS.digest, "sha256:" + "00" * 32})
        assert not sbom.listed(tmp_path, {base})
        sbom.file_of(tmp_path, "api", form).unlink()
    assert not sbom.listed(tmp_path, {CONTENTS.digest})
    assert not sbom.listed(tmp_path / "gone", {CONTENTS.digest})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bomFormat": "CycloneDX"}', "\xff", "null"])
def test_what_is_no_list(text: str) -> None:
    assert sbom.subject(text.encode("latin-1")) == ""


def test_a_list_counts_for_its_own_image_and_is_missed_when_it_changes(tmp_path: Path) -> None:
    file = sbom.file_of(tmp_path, "api", "spdx")
    file.write_text(sbom.spdx(CONTENTS))
    signed = sbom.digests(tmp_path, "api", CONTENTS.digest)
    assert list(signed) == ["spdx"]
    assert sbom.digests(tmp_path, "api", "sha256:" + "00" * 32) == {}
    assert list(sbom.changed(tmp_path, "api", signed)) == []
    file.write_text(sbom.spdx(CONTENTS) + "\n")
    assert list(sbom.changed(tmp_path, "api", signed)) == ["api.spdx.json"]
    file.unlink()
    assert list(sbom.changed(tmp_path, "api", signed)) == []
