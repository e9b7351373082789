"""Looks at Trivy's vulnerability database before Trivy does: what is broken must never be "clean".

Trivy answers a missing database with a download, and a cut-off one with a crash or, worse, with
nothing found. So its description (`metadata.json`) and the file itself are read first. The file is
a bbolt one (https://github.com/etcd-io/bbolt, page layout): two meta pages that say how long it is
and where its root is, and a tree of pages whose top level are Trivy's tables.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from rebake.errors import DatabaseUnusable

SCHEMA = 2
FILE, DESCRIPTION = "trivy.db", "metadata.json"
_MAGIC, _BBOLT = 0xED0CDAED, 2
_PAGE = struct.Struct("<QHHI")  # id, flags, count, overflow
_META = struct.Struct("<IIIIQQQQQQ")  # magic, version, page size, flags, root, sequence, free, …
_ELEMENT = struct.Struct("<IIII")  # of a leaf: flags, place, key's length, value's length
_CHILD = struct.Struct("<IIQ")  # of a branch: place, key's length, page
_BRANCH, _LEAF = 0x01, 0x02
# Trivy asks these for each package; without them it finds nothing and says so of nothing.
_TABLES = frozenset({b"vulnerability", b"data-source"})


class Database(Struct, frozen=True):
    """A database that can be used.

    Attributes:
        folder: the cache folder that holds it.
        updated: when it was made.
        tables: how many sources it has; 0 where that is not known.
    """

    folder: Path
    updated: datetime
    tables: int

    def old(self, limit: timedelta, now: datetime) -> bool:
        """Whether it is older than somebody wants to rely on."""
        return now - self.updated > limit


def folder_of(cache: Path) -> Path:
    """Return where Trivy keeps the database in a cache folder."""
    return cache / "db"


def examine(cache: Path) -> Database:
    """Read what is there.

    Raises:
        DatabaseUnusable: it is not there, it is cut off or damaged, or it is for another Trivy.
    """
    folder = folder_of(cache)
    updated = _description(folder / DESCRIPTION)
    file = folder / FILE
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
            names = set(_tables(m, file))
    except FileNotFoundError:
        raise DatabaseUnusable(file, "is not there") from None
    except (OSError, ValueError) as error:  # mmap refuses an empty file
        raise DatabaseUnusable(file, f"can't be read: {error}") from error
    except (struct.error, IndexError) as error:
        raise DatabaseUnusable(file, "is damaged: a page of it makes no sense") from error
    if missing := _TABLES - names:
        words = ", ".join(sorted(name.decode() for name in missing))
        raise DatabaseUnusable(file, f"has no table {words}: it is none of Trivy's, or half of one")
    return Database(cache, updated, len(names))


def _description(file: Path) -> datetime:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        schema = int(document["Version"])
        updated = _time(str(document["UpdatedAt"]))
    except FileNotFoundError:
        raise DatabaseUnusable(file, "is not there") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatabaseUnusable(file, f"does not describe a database: {error!r}") from error
    if schema != SCHEMA:
        raise DatabaseUnusable(file, f"is of schema {schema}, and this Trivy reads {SCHEMA}")
    return updated


def _time(text: str) -> datetime:
    """Read a time as Go writes it: with up to nine digits behind the second."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _tables(data: mmap.mmap, file: Path) -> Iterator[bytes]:
    size, root, pages = _newest(data, file)
    if pages * size > len(data):
        raise DatabaseUnusable(
            file, f"is cut off: it has {len(data)} bytes, and says that it has {pages * size}"
        )
    yield from _names(data, size, root, pages)


def _newest(data: mmap.mmap, file: Path) -> tuple[int, int, int]:
    """Return page size, root page and number of pages, from the newer good one of two metas."""
    found = []
    for place in (0, 4096, 16384, 65536, 8192, 32768):  # page 1 begins at one of the page sizes
        at = place + _PAGE.size
        if len(data) < at + _META.size + 8:
            continue
        meta = _META.unpack_from(data, at)
        magic, version, size, _, root, _, _, pages, transaction, checksum = meta
        if magic != _MAGIC or version != _BBOLT or place not in {0, size}:
            continue
        if checksum == _fnv1a(data[at : at + _META.size - 8]):
            found.append((transaction, size, root, pages))
    if not found:
        raise DatabaseUnusable(file, "is damaged: it does not begin like a database")
    _, size, root, pages = max(found)
    return size, root, pages


def _names(data: mmap.mmap, size: int, page: int, pages: int) -> Iterator[bytes]:
    """Yield the names in a tree of pages."""
    if not 1 < page < pages:
        raise IndexError(page)
    at = page * size
    _, flags, count, _ = _PAGE.unpack_from(data, at)
    for number in range(count):
        element = at + _PAGE.size + number * _ELEMENT.size
        if flags & _BRANCH:
            _, _, child = _CHILD.unpack_from(data, element)
            yield from _names(data, size, child, pages)
        elif flags & _LEAF:
            _, place, length, _ = _ELEMENT.unpack_from(data, element)
            yield data[element + place : element + place + length]
        else:
            raise IndexError(page)


def _fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
