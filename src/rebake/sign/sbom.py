"""Writes the list of an image's parts as SPDX 2.3 and as CycloneDX 1.6, both JSON.

The same image gives the same bytes: times and numbers come from the image.

Sources: https://spdx.github.io/spdx-spec/v2.3/, https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from rebake import __version__
from rebake.engine.saved_image import ImageFile
from rebake.sign.parts import Part
from rebake.sign.statement import hex_of

_SPACE = uuid.UUID("6f2f2a3e-7f39-5b0f-9d7f-0c9a1f3f6b11")


class Contents(Struct, frozen=True):
    """What an image is made of.

    Attributes:
        name: project and service.
        digest: the image's.
        made_at: when it was built, seconds since 1970.
        parts: packages by the lock files.
        files: what is in the image.
        bases: digests of the base images that it was built on, by reference.
    """

    name: str
    digest: str
    made_at: float
    parts: Sequence[Part]
    files: Sequence[ImageFile]
    bases: Mapping[str, str]

    @property
    def serial(self) -> str:
        """A number of its own for each image."""
        return f"urn:uuid:{uuid.uuid5(_SPACE, self.digest)}"

    @property
    def time(self) -> str:
        """When it was built, as both formats write it."""
        return datetime.fromtimestamp(int(self.made_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cyclonedx(contents: Contents) -> str:
    """Return the list as CycloneDX."""
    image = {
        "type": "container",
        "bom-ref": contents.digest,
        "name": contents.name,
        "version": contents.digest,
    }
    libraries = [
        {
            "type": "library",
            "bom-ref": part.purl,
            "name": part.name,
            "version": part.version,
            "purl": part.purl,
        }
        for part in contents.parts
    ]
    files = [
        {
            "type": "file",
            "bom-ref": f"file:{file.path}",
            "name": file.path,
            "hashes": [{"alg": "SHA-256", "content": file.sha256}],
        }
        for file in contents.files
    ]
    bases = [
        {"type": "container", "bom-ref": f"base:{ref}", "name": ref, "version": digest}
        for ref, digest in sorted(contents.bases.items())
    ]
    needed = {need for part in contents.parts for need in part.needs}
    tops = [part.purl for part in contents.parts if part.purl not in needed]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": contents.serial,
        "version": 1,
        "metadata": {
            "timestamp": contents.time,
            "tools": {
                "components": [{"type": "application", "name": "rebake", "version": __version__}]
            },
            "component": image,
        },
        "components": [*libraries, *files, *bases],
        "dependencies": [
            {"ref": contents.digest, "dependsOn": tops},
            *({"ref": part.purl, "dependsOn": list(part.needs)} for part in contents.parts),
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def spdx(contents: Contents) -> str:
    """Return the list as SPDX."""
    packages: list[dict[str, object]] = [
        {
            "SPDXID": "SPDXRef-image",
            "name": contents.name,
            "versionInfo": contents.digest,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": True,
            "packageVerificationCode": {
                "packageVerificationCodeValue": verification_code(contents.files)
            },
            "primaryPackagePurpose": "CONTAINER",
            **_checksum(contents.digest),
        }
    ]
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")]
    for part in contents.parts:
        packages.append(
            {
                "SPDXID": _id(part.purl),
                "name": part.name,
                "versionInfo": part.version,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "externalRefs": [
                    {
                        "referenceCategory": "PACKAGE-MANAGER",
                        "referenceType": "purl",
                        "referenceLocator": part.purl,
                    }
                ],
            }
        )
        relations.append(_relation("SPDXRef-image", "CONTAINS", _id(part.purl)))
        relations += [_relation(_id(part.purl), "DEPENDS_ON", _id(need)) for need in part.needs]
    for ref, digest in sorted(contents.bases.items()):
        packages.append(
            {
                "SPDXID": _id(ref),
                "name": ref,
                "versionInfo": digest,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "primaryPackagePurpose": "CONTAINER",
                **_checksum(digest),
            }
        )
        relations.append(_relation(_id(ref), "BUILD_DEPENDENCY_OF", "SPDXRef-image"))
    files = []
    for file in contents.files:
        sums = [
            {"algorithm": "SHA1", "checksumValue": file.sha1},
            {"algorithm": "SHA256", "checksumValue": file.sha256},
        ]
        files.append({"SPDXID": _id(file.path), "fileName": f".{file.path}", "checksums": sums})
        relations.append(_relation("SPDXRef-image", "CONTAINS", _id(file.path)))
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": contents.name,
        "documentNamespace": contents.serial,
        "creationInfo": {"created": contents.time, "creators": [f"Tool: rebake-{__version__}"]},
        "packages": packages,
        "files": files,
        "relationships": relations,
    }
    return json.dumps(document, indent=2) + "\n"


def verification_code(files: Sequence[ImageFile]) -> str:
    """Return SPDX's one digest of all files (clause 7.9): of their sorted SHA-1 digests."""
    joined = "".join(sorted(file.sha1 for file in files))
    return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()


# The formats by their word on the command line: the end of the file's name, and what writes it.
FORMATS: Mapping[str, tuple[str, Callable[[Contents], str]]] = {
    "spdx": ("spdx.json", spdx),
    "cyclonedx": ("cdx.json", cyclonedx),
}


def _checksum(digest: str) -> dict[str, object]:
    if not digest.startswith("sha256:"):
        return {}
    return {"checksums": [{"algorithm": "SHA256", "checksumValue": hex_of(digest)}]}


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _id(text: str) -> str:
    """An id that is unlike those of other texts: letters, digits, dots and dashes alone."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-")
    return f"SPDXRef-{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def file_of(folder: Path, service: str, form: str) -> Path:
    """The file of a service's list in a format."""
    return folder / f"{service}.{FORMATS[form][0]}"


def digests(folder: Path, service: str, digest: str) -> dict[str, str]:
    """Return the digest of each list that is there and about this image, by format."""
    found = {}
    for form in FORMATS:
        with contextlib.suppress(OSError):
            content = file_of(folder, service, form).read_bytes()
            if subject(content) == digest:
                found[form] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return found


def subject(content: bytes) -> str:
    """Return the digest of the image that a list is of; empty where it is none of ours."""
    try:
        document = json.loads(content)
        if document.get("bomFormat") == "CycloneDX":
            return str(document["metadata"]["component"]["version"])
        (described,) = [
            one["relatedSpdxElement"]
            for one in document["relationships"]
            if one["relationshipType"] == "DESCRIBES"
        ]
        (image,) = [one for one in document["packages"] if one["SPDXID"] == described]
        return str(image["versionInfo"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def listed(folder: Path, digests: Collection[str]) -> bool:
    """Whether a list of an image's parts lies in a folder, whatever the service is called."""
    files = [file for ending, _ in FORMATS.values() for file in folder.glob(f"*.{ending}")]
    for file in files:
        with contextlib.suppress(OSError):
            if subject(file.read_bytes()) in digests:
                return True
    return False


def changed(folder: Path, service: str, signed: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of lists that are there and are not those that were signed."""
    for form, digest in signed.items():
        if form not in FORMATS:
            continue
        file = file_of(folder, service, form)
        with contextlib.suppress(FileNotFoundError):
            if f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" != digest:
                yield file.name
