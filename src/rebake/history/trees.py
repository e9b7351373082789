"""Lists of files as trees of small objects, each named by the digest of its content.

Ten thousand builds of a project differ in a few files each. Stored like git's trees, one object a
folder, a build that changed one file adds only the folders above that file.

An object's data is the zlib-packed JSON of a sorted list of entries: `[name, size, kind, hex]`,
where `kind` is a `FileKind`, or `tree` with the hex id of another object. The id is the SHA-256
of the JSON before packing.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from rebake.history.records import FileDigest, FileKind

Inputs = Mapping[str, Sequence[FileDigest]]
Load = Callable[[bytes], bytes]


class Tree(Struct, frozen=True):
    """The root's id, and the text of every object by its id (not packed yet)."""

    root: bytes
    objects: Mapping[bytes, bytes]


class Change(Struct, frozen=True):
    """One file that differs between two builds; `before` or `after` is None where it was not."""

    context: str
    path: str
    before: FileDigest | None
    after: FileDigest | None


def encode(value: object) -> tuple[bytes, bytes]:
    """Return the id of a JSON value and its text, not packed yet."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    return hashlib.sha256(text).digest(), text


def pack(text: bytes) -> bytes:
    """Return an object's text as it is stored."""
    return zlib.compress(text, 6)


def unpack_text(data: bytes) -> bytes:
    """Return the text of packed data."""
    return zlib.decompress(data)


def unpack(data: bytes) -> Any:  # noqa: ANN401 - as json.loads
    """Return the JSON value of packed data."""
    return json.loads(zlib.decompress(data))


def make(inputs: Inputs) -> Tree:
    """Make the tree of all contexts' files; the contexts are the root's folders."""
    root: dict[str, Any] = {}
    for context, files in inputs.items():
        top = root.setdefault(context, {})
        for file in files:
            *folders, name = file.path.split("/")
            node = top
            for folder in folders:
                node = node.setdefault(folder, {})
            node[name] = file
    objects: dict[bytes, bytes] = {}
    return Tree(_store(root, objects), objects)


def inputs_digest(inputs: Inputs) -> str:
    """Return one hex digest for all files of all contexts: paths, contents and kinds."""
    return make(inputs).root.hex()


def read(root: bytes, load: Load) -> dict[str, tuple[FileDigest, ...]]:
    """Return the files of each context, sorted by the bytes of their paths.

    Args:
        root: the root's id.
        load: gives an object's packed data by its id.
    """
    contexts: dict[str, tuple[FileDigest, ...]] = {}
    for name, _size, _kind, child in unpack(load(root)):
        files = sorted(_files(bytes.fromhex(child), "", load), key=lambda f: _bytes(f.path))
        contexts[name] = tuple(files)
    return contexts


def differences(before: bytes, after: bytes, load: Load) -> list[Change]:
    """Return the files that differ between two roots; equal folders are not even read."""
    changes: list[Change] = []
    old, new = _entries(before, load), _entries(after, load)
    for context in sorted(old.keys() | new.keys()):
        pair = (_tree_of(old.get(context)), _tree_of(new.get(context)))
        changes += [Change(context, path, was, now) for path, was, now in _compare(*pair, "", load)]
    return changes


def children_of_text(text: bytes) -> list[bytes]:
    """Return the ids of the objects that a tree object's text points to."""
    return [bytes.fromhex(digest) for _, _, kind, digest in json.loads(text) if kind == "tree"]


def files_of_text(text: bytes) -> list[bytes]:
    """Return the digests of the contents of the files that a tree object's text names."""
    return [bytes.fromhex(digest) for _, _, kind, digest in json.loads(text) if kind != "tree"]


def _store(node: Mapping[str, Any], objects: dict[bytes, bytes]) -> bytes:
    entries = []
    for name, value in node.items():
        if isinstance(value, FileDigest):
            entries.append([name, value.size, value.kind, value.sha256])
        else:
            entries.append([name, 0, "tree", _store(value, objects).hex()])
    digest, text = encode(sorted(entries))
    objects[digest] = text
    return digest


def _files(root: bytes, prefix: str, load: Load) -> Iterator[FileDigest]:
    for name, size, kind, digest in unpack(load(root)):
        if kind == "tree":
            yield from _files(bytes.fromhex(digest), f"{prefix}{name}/", load)
        else:
            yield FileDigest(prefix + name, digest, size, cast(FileKind, kind))


_Entry = tuple[int, str, str]  # size, kind, hex digest


def _entries(root: bytes | None, load: Load) -> dict[str, _Entry]:
    if root is None:
        return {}
    return {name: (size, kind, digest) for name, size, kind, digest in unpack(load(root))}


def _tree_of(entry: _Entry | None) -> bytes | None:
    return bytes.fromhex(entry[2]) if entry is not None and entry[1] == "tree" else None


def _compare(
    before: bytes | None, after: bytes | None, prefix: str, load: Load
) -> Iterator[tuple[str, FileDigest | None, FileDigest | None]]:
    if before == after:
        return
    old, new = _entries(before, load), _entries(after, load)
    for name in sorted(old.keys() | new.keys()):
        was, now, path = old.get(name), new.get(name), prefix + name
        if was == now:
            continue
        yield from _compare(_tree_of(was), _tree_of(now), path + "/", load)
        files = _file_of(path, was), _file_of(path, now)
        if files != (None, None):
            yield path, *files


def _file_of(path: str, entry: _Entry | None) -> FileDigest | None:
    if entry is None or entry[1] == "tree":
        return None
    return FileDigest(path, entry[2], entry[0], cast(FileKind, entry[1]))


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", errors="surrogateescape")
