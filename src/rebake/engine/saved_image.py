"""Reads an image out of the engine: its files with their digests, and what was attested of it.

No API of the engine gives either. `docker save` writes the image as an OCI layout; production
images are small.

Sources: https://github.com/opencontainers/image-spec/blob/main/image-layout.md,
https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from rebake import process
from rebake.engine.endpoint import Endpoint
from rebake.errors import UsageError

_TIMEOUT_S = 300.0
_ATTESTED = "vnd.docker.reference.type"
_PREDICATE = "in-toto.io/predicate-type"
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_HEX = re.compile(r"[0-9a-f]{64}")


class ImageFile(Struct, frozen=True):
    """A file of an image: its path from the root, and the digests of its content in hex."""

    path: str
    sha256: str
    sha1: str


class Attested(Struct, frozen=True):
    """What was attested of an image.

    Attributes:
        digests: all that the image is known by: of its index, its manifests and its settings.
        manifests: the digests that a builder attests; one a platform.
        statements: what the builder attached, in in-toto's form.
    """

    digests: frozenset[str]
    manifests: tuple[str, ...]
    statements: tuple[Mapping[str, Any], ...] = ()


class SavedImage:
    """An image as `docker save` wrote it."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        # Engines before 25 and Podman write none: they attach nothing to images either.
        self._index = self._json("index.json") if self._has("index.json") else {}
        self.manifests = tuple(self._below(self._index))

    def files(self) -> tuple[ImageFile, ...]:
        """The regular files of the image, as its layers leave them, by path."""
        found: dict[str, ImageFile] = {}
        for manifest in self.manifests:
            if _ATTESTED in (manifest.get("annotations") or {}):
                continue
            for layer in self._json(_blob(manifest["digest"])).get("layers") or ():
                self._lay(layer, found)
        return tuple(found[path] for path in sorted(found))

    def statements(self) -> tuple[Mapping[str, Any], ...]:
        """The in-toto statements that the builder attached."""
        found: list[Mapping[str, Any]] = []
        for manifest in self.manifests:
            if _ATTESTED not in (manifest.get("annotations") or {}):
                continue
            found += [
                self._json(_blob(layer["digest"]))
                for layer in self._json(_blob(manifest["digest"])).get("layers") or ()
                if _PREDICATE in (layer.get("annotations") or {})
            ]
        return tuple(found)

    def attested(self) -> Attested:
        """What was attested, and what of."""
        images = [one for one in self.manifests if _ATTESTED not in (one.get("annotations") or {})]
        manifests = tuple(str(one["digest"]) for one in images)
        names = {str(one["digest"]) for one in self._index.get("manifests") or ()}
        for digest in manifests:
            names.add(str((self._json(_blob(digest)).get("config") or {}).get("digest") or ""))
        if not manifests:
            entries = self._json("manifest.json")
            names |= {f"sha256:{name}" for one in entries for name in _HEX.findall(one["Config"])}
        return Attested(frozenset({*names, *manifests} - {""}), manifests, self.statements())

    def _below(self, index: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for entry in index.get("manifests") or ():
            if str(entry.get("mediaType", "")).endswith(("index.v1+json", "list.v2+json")):
                yield from self._below(self._json(_blob(entry["digest"])))
            elif self._has(_blob(entry["digest"])):  # other platforms are named, and not here
                yield entry

    def _lay(self, layer: Mapping[str, Any], found: dict[str, ImageFile]) -> None:
        """Lay one layer over those below it, as the engine does."""
        blob = self._archive.extractfile(_blob(layer["digest"]))
        if blob is None:
            return
        with blob, _opened(blob) as content:
            for member in content:
                path = "/" + member.name.removeprefix("./").lstrip("/")
                folder, _, name = path.rpartition("/")
                if name == _OPAQUE:
                    _drop(found, folder)
                elif name.startswith(_WHITEOUT):
                    _drop(found, f"{folder}/{name.removeprefix(_WHITEOUT)}")
                elif member.isreg() and (stream := content.extractfile(member)) is not None:
                    data = stream.read()
                    found[path] = ImageFile(
                        path,
                        hashlib.sha256(data).hexdigest(),
                        hashlib.sha1(data, usedforsecurity=False).hexdigest(),
                    )

    def _has(self, name: str) -> bool:
        with contextlib.suppress(KeyError):
            return self._archive.getmember(name) is not None
        return False

    def _json(self, name: str) -> Any:  # noqa: ANN401 - as json.loads gives it
        stream = self._archive.extractfile(name)
        return json.loads(stream.read()) if stream is not None else {}


@contextlib.contextmanager
def saved(endpoint: Endpoint, ref: str) -> Iterator[SavedImage]:
    """Save an image and open it.

    Raises:
        CommandFailed: the engine does not have it, or can't write it.
    """
    with tempfile.TemporaryDirectory(prefix="rebake-image-") as folder:
        file = Path(folder) / "image.tar"
        words = ("image", "save", "--output", str(file), ref)
        process.run(endpoint.command(*words, timeout_s=_TIMEOUT_S)).check()
        with tarfile.open(file) as archive:
            yield SavedImage(archive)


def attested_in(archive: Path) -> Attested:
    """Return what was attested of the image in an archive that `docker save` wrote.

    Raises:
        UsageError: it is none, or cut off.
    """
    try:
        with tarfile.open(archive) as opened:
            return SavedImage(opened).attested()
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{archive} can't be read as an image: {error}") from error


def _opened(blob: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=blob, mode="r|*")
    except tarfile.ReadError:
        raise UsageError(
            "a layer of the image is packed in a way that this Python can't read (zstd: from 3.14)",
            'build.compression = "none" or "gzip" in rebake.toml, then invoke rebuild',
        ) from None


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _drop(found: dict[str, ImageFile], path: str) -> None:
    for name in [one for one in found if one == path or one.startswith(f"{path}/")]:
        del found[name]
