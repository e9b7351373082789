"""Images with attestations as an engine with the containerd image store saves them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PROVENANCE = "https://slsa.dev/provenance/v0.2"

# Makes a statement from the digest of the manifest that it is attached to.
Statement = Callable[[str], Mapping[str, Any]]


def provenance(of: str) -> dict[str, Any]:
    """What BuildKit says of an image: the part that counts."""
    predicate = {"builder": {"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1"}
    return {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": PROVENANCE,
        "subject": [{"name": "pkg:docker/x@1", "digest": {"sha256": of.removeprefix("sha256:")}}],
        "predicate": predicate,
    }


def document_of_parts(of: str) -> dict[str, Any]:
    """A list of parts as `--attest type=sbom` attaches it."""
    document = {"spdxVersion": "SPDX-2.3", "packages": []}
    return provenance(of) | {"predicateType": "https://spdx.dev/Document", "predicate": document}


class Archive:
    """An archive in the making; `digest` is what the engine calls the image."""

    def __init__(
        self, layers: Sequence[bytes], config: Mapping[str, Any], *statements: Statement
    ) -> None:
        self.files: dict[str, bytes] = {}
        settings = self._json({"config": dict(config), "history": []})
        parts = [self._blob(layer) for layer in layers]
        image = self._json({"config": settings, "layers": parts}, mediaType=_MANIFEST)
        self.manifest, self.digest = image["digest"], image["digest"]
        top = image
        if statements:
            attached = [self._statement(make(image["digest"])) for make in statements]
            attestation = self._json({"layers": attached}, mediaType=_MANIFEST)
            attestation["annotations"] = {
                "vnd.docker.reference.digest": image["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            }
            top = self._json({"manifests": [image, attestation]}, mediaType=_INDEX)
            self.digest = top["digest"]
        self.files["index.json"] = json.dumps({"manifests": [top]}).encode()
        entry = {
            "Config": _place(settings["digest"]),
            "RepoTags": ["x:1"],
            "Layers": [_place(part["digest"]) for part in parts],
        }
        self.files["manifest.json"] = json.dumps([entry]).encode()
        self.config = settings["digest"]

    def write(self, file: Path) -> Path:
        with tarfile.open(file, "w") as tar:
            for name, content in self.files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return file

    def _statement(self, statement: Mapping[str, Any]) -> dict[str, Any]:
        kind = {"in-toto.io/predicate-type": statement["predicateType"]}
        return self._json(statement, annotations=kind)

    def _json(self, document: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        return self._blob(json.dumps(document).encode(), **more)

    def _blob(self, content: bytes, **more: Any) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.files[_place(digest)] = content
        return {"digest": digest, **more}


def rename(
    docker: Callable[..., str], ref: str, name: str, file: Path, statement: Mapping[str, Any]
) -> None:
    """Give an engine a copy of an image, by another name, that carries another statement."""
    docker("image", "save", "--output", str(file), ref)
    with tarfile.open(file) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar if one.isreg()}  # type: ignore[union-attr]

    def read(digest: str) -> Any:
        return json.loads(files[_place(digest)])

    def put(entry: Any, document: Any) -> None:
        content = json.dumps(document).encode()
        entry["digest"] = "sha256:" + hashlib.sha256(content).hexdigest()
        entry["size"] = len(content)
        files[_place(entry["digest"])] = content

    index = json.loads(files["index.json"])
    [top] = index["manifests"]
    inner = read(top["digest"])
    [attestation] = [one for one in inner["manifests"] if one.get("annotations")]
    manifest = read(attestation["digest"])
    put(manifest["layers"][0], statement)
    put(attestation, manifest)
    put(top, inner)
    top["annotations"] = {"io.containerd.image.name": f"docker.io/library/{name}"}
    files["index.json"] = json.dumps(index).encode()
    del files["manifest.json"]
    with tarfile.open(file, "w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    docker("image", "load", "--quiet", "--input", str(file))
    file.unlink()


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
