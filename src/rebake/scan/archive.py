"""Reads what `docker save` writes: an image's settings, its history, and the files of its layers.

The engine writes the same index, `manifest.json`, for either image store
(https://docs.docker.com/reference/cli/docker/image/save/). Layers may be packed with gzip; for
zstd, Python needs to be 3.14 or newer, or the program `zstd` to be there.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, cast

from msgspec import Struct, field

from rebake.errors import ScannerFailed
from rebake.process import Command, run, which
from rebake.scan.secret_patterns import by_content, by_name

_LARGEST = 1_000_000  # bytes of a file that is looked into
_MOST = 200_000_000  # bytes of all of them
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_ZSTD = b"\x28\xb5\x2f\xfd"


class Entry(Struct, frozen=True):
    """A file of an image as a container sees it; `link` is where a symbolic link points to."""

    mode: int
    size: int
    link: str = ""


class Planted(Struct, frozen=True):
    """Something in a layer that looks like a secret; `what` never says the secret itself."""

    layer: int
    path: str
    what: str
    line: int | None = None


class ImageContent(Struct, frozen=True):
    """An image.

    Attributes:
        ref: its name.
        config: the part `config` of its settings: user, health check, variables, labels.
        history: the lines that made it, the oldest first.
        files: what a container sees, by path without a leading slash; no folders.
        planted: what looks like a secret in any layer, deleted by a later one or not.
    """

    ref: str
    config: Mapping[str, Any]
    history: tuple[str, ...] = ()
    files: Mapping[str, Entry] = field(default_factory=dict)
    planted: tuple[Planted, ...] = ()


def read_archive(file: Path, ref: str) -> ImageContent:
    """Read an image out of an archive.

    Raises:
        ScannerFailed: it is none, it is cut off, or a layer is packed in a way that we can't read.
    """
    try:
        with tarfile.open(file) as archive:
            settings, layers = _index(archive)
            laid = _Layers()
            for number, name in enumerate(layers, 1):
                with closing(_unpacked(archive, name)) as layer:
                    laid.lay(layer, number)
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ScannerFailed("the image rules", f"{ref} can't be read: {error}") from error
    history = tuple(str(line.get("created_by") or "") for line in settings.get("history") or ())
    return ImageContent(ref, settings.get("config") or {}, history, laid.files, tuple(laid.planted))


def _index(archive: tarfile.TarFile) -> tuple[Mapping[str, Any], Sequence[str]]:
    entry = json.loads(_read(archive, "manifest.json"))[0]
    settings = json.loads(_read(archive, str(entry["Config"])))
    return settings, [str(name) for name in entry["Layers"] or ()]


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    return _member(archive, name).read()


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


def _unpacked(archive: tarfile.TarFile, name: str) -> tarfile.TarFile:
    packed = _member(archive, name)
    start = packed.read(len(_ZSTD))
    packed.seek(0)
    if start == _ZSTD:
        return tarfile.open(fileobj=io.BytesIO(_from_zstd(packed.read())))
    return tarfile.open(fileobj=packed)


def _from_zstd(packed: bytes) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return _by_program(packed)
    return cast("bytes", zstd.decompress(packed))


def _by_program(packed: bytes) -> bytes:
    import tempfile

    program = which("zstd")
    if program is None:
        raise ValueError("a layer is packed with zstd: install the program zstd, or Python 3.14")
    with tempfile.TemporaryDirectory(prefix="rebake-layer-") as folder:
        source, target = Path(folder) / "layer.zst", Path(folder) / "layer.tar"
        source.write_bytes(packed)
        if not run(Command.of(program, "-d", "-q", "-f", source, "-o", target)).ok:
            raise ValueError("a layer is no whole zstd file")
        return target.read_bytes()


class _Layers:
    """Lays layers over one another, and looks into their files on the way."""

    def __init__(self) -> None:
        self.files: dict[str, Entry] = {}
        self.planted: list[Planted] = []
        self._budget = _MOST

    def lay(self, layer: tarfile.TarFile, number: int) -> None:
        """Lay a layer over the files so far."""
        fresh: dict[str, Entry] = {}
        for member in layer:
            path = _clean(member.name)
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                _drop(self.files, folder, keep_itself=True)
            elif name.startswith(_WHITEOUT):
                gone = name.removeprefix(_WHITEOUT)
                _drop(self.files, f"{folder}/{gone}" if folder else gone)
            elif path and not member.isdir():
                link = member.linkname if member.issym() else ""
                fresh[path] = Entry(member.mode, member.size, link)
                if member.isreg():
                    self._look_into(layer, member, number, path)
        self.files.update(fresh)

    def _look_into(
        self, layer: tarfile.TarFile, member: tarfile.TarInfo, number: int, path: str
    ) -> None:
        """Note what looks like a secret in a file."""
        name = path.rpartition("/")[2]
        if by_name(name) and member.size:
            what = "a file whose name says that it holds secrets"
            self.planted.append(Planted(number, path, what))
        if member.size > min(_LARGEST, self._budget):
            return
        content = layer.extractfile(member)
        if content is not None:
            self._budget -= member.size
            found = by_content(name, content.read())
            self.planted += [Planted(number, path, what, line) for line, what in found]


def _drop(files: dict[str, Entry], path: str, *, keep_itself: bool = False) -> None:
    below = f"{path}/" if path else ""
    for name in [name for name in files if name.startswith(below)]:
        del files[name]
    if not keep_itself:
        files.pop(path, None)


def _clean(path: str) -> str:
    parts = [part for part in path.split("/") if part not in {"", "."}]
    return "/".join(parts)


def executables(content: ImageContent) -> Iterator[tuple[str, str]]:
    """Yield folder and name of each file that can be run from a folder of programs."""
    for path, entry in content.files.items():
        folder, _, name = path.rpartition("/")
        if folder.rpartition("/")[2] in {"bin", "sbin"} and (entry.link or entry.mode & 0o111):
            yield folder, name
