"""Remembers digests of files by their `stat`, and trusts them only where that is safe.

The rule: a digest is used again only when path, device, inode, size, modification time and
status-change time (ctime) are all what they were. No program can set ctime, so an edit that
keeps size and modification time shows. Never trusted:

- entries whose file was changed less than `RACY_S` before it was hashed, or "in the future": a
  second edit within the clock's grain would leave the same times (git's "racy" rule). They are
  not even stored;
- anything on a file system that is not known to keep a real ctime (network shares, FAT, FUSE,
  the shared folders of virtual machines);
- everything on Windows: what Python calls ctime there is the time of creation, so an edit that
  restores the modification time would not show. There each file is hashed each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

RACY_S = 2.0
_MAGIC = b"rebake-digests 1 "
_KEPT = 50_000  # entries; the oldest used go first
# File systems that set ctime on every change by themselves.
_TRUSTED = frozenset(
    {"apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "overlay", "tmpfs"}
    | {"ufs", "xfs", "zfs"}
)


class Stamp(NamedTuple):
    """What `stat` says about a file's content. Times in nanoseconds since 1970."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Take it from a `stat` result."""
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


class DigestCache:
    """Digests by absolute path, kept in one file. Safe to use from several threads.

    Several processes may use one file: the last one to save wins, and what is lost is hashed
    again. A file that is damaged is renamed to `<name>.<time>.bad` and a new one is begun.

    Args:
        file: where it is kept, in the user's cache folder.
        root: the context whose files are asked for; only files on its device are cached.
        trusted: whether ctime can be trusted there; found out from the file system when None.
    """

    def __init__(self, file: Path, root: Path, *, trusted: bool | None = None) -> None:
        self._file = file
        self.trusted = _has_real_ctime(root) if trusted is None else trusted
        self._device = root.stat().st_dev if self.trusted else -1
        self._entries: dict[str, list[Any]] = self._load() if self.trusted else {}
        self._used: dict[str, list[Any]] = {}
        self._changed = False

    @staticmethod
    def now() -> int:
        """Nanoseconds since 1970; take it before a file is read, and give it to `put`."""
        return time.time_ns()

    def get(self, path: str, stamp: Stamp) -> str | None:
        """Return the SHA-256 (hex) of a file in exactly this state, or None when not sure."""
        if not self.trusted or stamp.device != self._device:
            return None
        entry = self._entries.get(path)
        if entry is None or entry[:5] != list(stamp):
            return None
        self._used[path] = entry
        return str(entry[5])

    def put(self, path: str, stamp: Stamp, sha256: str, moment_ns: int) -> None:
        """Remember a digest.

        Args:
            path: absolute path.
            stamp: the file's state, the same before and after it was read.
            sha256: hex digest.
            moment_ns: `now()` from before it was read.
        """
        if not self.trusted or stamp.device != self._device:
            return
        if max(stamp.mtime_ns, stamp.ctime_ns) + int(RACY_S * 1e9) > moment_ns:
            return
        self._used[path] = [*stamp, sha256]
        self._changed = True

    def save(self) -> None:
        """Write the cache to its file (to a temporary one, then renamed). Never fails a build."""
        if not self._changed:
            return
        others = [(p, e) for p, e in self._entries.items() if p not in self._used]
        kept = dict([*others, *self._used.items()][-_KEPT:])
        body = json.dumps(kept, separators=(",", ":")).encode()
        head = _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n"
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=self._file.name, dir=self._file.parent)
            try:
                with os.fdopen(handle, "wb") as out:
                    out.write(head + body)
                Path(name).replace(self._file)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        self._changed = False

    def _load(self) -> dict[str, list[Any]]:
        try:
            data = self._file.read_bytes()
        except OSError:
            return {}
        head, _, body = data.partition(b"\n")
        if head == _MAGIC + hashlib.sha256(body).hexdigest().encode():
            with contextlib.suppress(ValueError):
                entries = json.loads(body)
                if isinstance(entries, dict):
                    return entries
        with contextlib.suppress(OSError):
            self._file.rename(self._file.with_name(f"{self._file.name}.{time.time_ns()}.bad"))
        return {}


def _has_real_ctime(root: Path) -> bool:
    if sys.platform == "win32":
        return False
    import psutil  # not free to import

    try:
        place = root.resolve(strict=True)
        mounts = psutil.disk_partitions(all=True)
    except (OSError, psutil.Error):
        return False
    # The last mount of the longest matching path is the one that is seen.
    kind, length = "", -1
    for mount in mounts:
        if len(mount.mountpoint) >= length and place.is_relative_to(mount.mountpoint):
            kind, length = mount.fstype, len(mount.mountpoint)
    return kind in _TRUSTED
