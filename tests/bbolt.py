"""Writes a bbolt file: what vulnerability databases are made of. For tests, and small ones.

By the documented layout (https://github.com/etcd-io/bbolt, `internal/common/page.go`, `meta.go`,
`bucket.go`): pages of 4096 bytes; two meta pages, a free list, then one leaf page with all buckets
inline, which may run over several pages.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SIZE = 4096
_HEADER, _META, _ELEMENT = struct.Struct("<QHHI"), struct.Struct("<4I5Q"), struct.Struct("<4I")
_META_FLAG, _FREE_FLAG, _LEAF_FLAG, _BRANCH_FLAG = 0x04, 0x10, 0x02, 0x01
_FIRST = 3  # pages before it: meta, meta, free list


class Bucket(dict[str, Any]):
    """A table; any other value is kept as JSON."""


def _leaf(bucket: Mapping[str, Any], page: int = 0, overflow: int = 0) -> bytes:
    entries = []
    for key, value in sorted((key.encode(), value) for key, value in bucket.items()):
        if isinstance(value, Bucket):
            # An inline bucket: its root is page 0, and its own leaf follows.
            entries.append((1, key, struct.pack("<QQ", 0, 0) + _leaf(value)))
        else:
            entries.append((0, key, json.dumps(value).encode()))
    elements, data = b"", b""
    for number, (flag, key, value) in enumerate(entries):
        to_data = (len(entries) - number) * _ELEMENT.size + len(data)
        elements += _ELEMENT.pack(flag, to_data, len(key), len(value))
        data += key + value
    return _HEADER.pack(page, _LEAF_FLAG, len(entries), overflow) + elements + data


def _fnv1a(data: bytes) -> int:
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


def _tree(root: Bucket) -> bytes:
    """One leaf page, and what runs over."""
    pages = -(-len(_leaf(root)) // SIZE)
    return _leaf(root, _FIRST, pages - 1).ljust(pages * SIZE, b"\0")


def _branched(root: Bucket) -> bytes:
    """A branch page with a leaf page for each half, as a large file has them."""
    names = sorted(root)
    pages, children = b"", []
    for half in (names[: len(names) // 2], names[len(names) // 2 :]):
        part = Bucket({name: root[name] for name in half})
        number = _FIRST + 1 + len(pages) // SIZE
        over = -(-len(_leaf(part)) // SIZE) - 1
        pages += _leaf(part, number, over).ljust((over + 1) * SIZE, b"\0")
        children.append((half[0].encode(), number))
    elements, keys = b"", b""
    for place, (key, number) in enumerate(children):
        to_key = (len(children) - place) * 16 + len(keys)
        elements += struct.pack("<IIQ", to_key, len(key), number)
        keys += key
    head = _HEADER.pack(_FIRST, _BRANCH_FLAG, len(children), 0)
    return (head + elements + keys).ljust(SIZE, b"\0") + pages


def bytes_of(root: Bucket, *, branched: bool = False) -> bytes:
    """The whole file."""
    tree = _branched(root) if branched else _tree(root)
    pages = len(tree) // SIZE
    file = bytearray()
    for number in (0, 1):
        meta = _META.pack(0xED0CDAED, 2, SIZE, 0, _FIRST, 0, 2, _FIRST + pages, number)
        meta += struct.pack("<Q", _fnv1a(meta))
        file += (_HEADER.pack(number, _META_FLAG, 0, 0) + meta).ljust(SIZE, b"\0")
    file += _HEADER.pack(2, _FREE_FLAG, 0, 0).ljust(SIZE, b"\0")
    return bytes(file) + tree


CRATE, PACKAGE, DEBIAN = "CVE-2099-0001", "CVE-2099-0002", "CVE-2099-0003"


def tiny() -> Bucket:
    """One hole in a crate, one in an npm package, one in a package of Debian 12."""
    sources = {
        "cargo::Open Source Vulnerability": "osv",
        "npm::GitHub Security Advisory Npm": "ghsa",
        "debian 12": "debian",
    }
    # Inline buckets must stay small; a real one has pages of its own, and the same reader.
    return Bucket(
        {
            "data-source": Bucket(
                {name: {"ID": kind, "Name": kind, "URL": "https://example.org/"}
                 for name, kind in sources.items()}
            ),
            "cargo::Open Source Vulnerability": Bucket(
                {"ammonia": Bucket({CRATE: {"PatchedVersions": [">= 2.1.0"]}})}
            ),
            "npm::GitHub Security Advisory Npm": Bucket(
                {"lodash": Bucket({PACKAGE: {"PatchedVersions": ["4.17.12"],
                                             "VulnerableVersions": ["< 4.17.12"]}})}
            ),
            "debian 12": Bucket(
                {"bash": Bucket({DEBIAN: {"FixedVersion": "99.0", "Severity": 3}})}
            ),
            "vulnerability": Bucket(
                {
                    CRATE: {"Title": "a hole in a crate", "Severity": "HIGH",
                            "VendorSeverity": {"nvd": 3}},
                    PACKAGE: {"Title": "a hole in a package", "Severity": "CRITICAL",
                              "VendorSeverity": {"ghsa": 4}},
                    DEBIAN: {"Title": "a hole in Debian", "Severity": "HIGH",
                             "VendorSeverity": {"debian": 3}},
                }
            ),
        }
    )  # fmt: skip


def write_database(
    cache: Path, root: Bucket | None = None, *, schema: int = 2, age: timedelta = timedelta()
) -> Path:
    """Write a database of Trivy's into a cache folder; return its file."""
    folder = cache / "db"
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC) - age
    times = {"NextUpdate": now + timedelta(days=1), "UpdatedAt": now, "DownloadedAt": now}
    described = {"Version": schema} | {
        name: f"{moment:%Y-%m-%dT%H:%M:%S.%f}123Z" for name, moment in times.items()
    }
    (folder / "metadata.json").write_text(json.dumps(described))
    (folder / "trivy.db").write_bytes(bytes_of(tiny() if root is None else root))
    return folder / "trivy.db"
