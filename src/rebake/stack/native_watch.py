"""Tells when sources change: events where the file system delivers them, else polling."""

from __future__ import annotations

import contextlib
import platform
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rebake.stack.native_build import is_source, sources

OnChange = Callable[[frozenset[Path]], None]
OnNote = Callable[[str], None]

_QUIET_MS = 60  # a burst of events (a save, a checkout) is one change
_LONGEST_MS = 1000
_POLL_S = 0.4
_WAKE_MS = 500


class Watcher:
    """Watches the backend's sources and single files in threads of its own."""

    def __init__(
        self,
        backend: Path,
        files: tuple[Path, ...],
        on_change: OnChange,
        *,
        polling: bool = False,
        on_note: OnNote = lambda _line: None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            backend: the cargo workspace's folder; what cargo writes there is left out.
            files: single files to watch too.
            on_change: told the changed files, from another thread.
            polling: look at the files instead of waiting for events.
            on_note: told what a person should know.
        """
        self._backend = backend
        self._files = files
        self._on_change = on_change
        self._polling = polling or _is_windows_drive(backend)
        self._on_note = on_note
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to watch."""
        works = (self._poll,) if self._polling else (self._watch_folders, self._watch_top)
        for work in works:
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2 * _WAKE_MS / 1000)

    def _watch_folders(self) -> None:
        """The source folders, with all below them.

        `target` is not among them: cargo's own thousands of writes must not wake us, and a watch
        on the whole backend can't leave it out.
        """
        while self._events_come():
            folders = _source_folders(self._backend)
            if not folders:
                self._stop.wait(_WAKE_MS / 1000)
                continue
            for changes in self._changes(folders, recursive=True):
                if changes:
                    self._on_change(changes)
                if _source_folders(self._backend) != folders:
                    break  # watch the new one too

    def _watch_top(self) -> None:
        """Files right in the backend's folder, and the single files."""
        folders = list(dict.fromkeys((self._backend, *(file.parent for file in self._files))))
        while self._events_come():
            for changes in self._changes(folders, recursive=False):
                wanted = frozenset(
                    path
                    for path in changes
                    if path in self._files or (path.parent == self._backend and not path.is_dir())
                )
                if wanted:
                    self._on_change(wanted)

    def _events_come(self) -> bool:
        return not self._stop.is_set() and not self._polling

    def _poll(self) -> None:
        """Look at the files again and again.

        By ourselves, since watchfiles' own polling compares whole seconds and so misses the
        second of two saves.
        """
        before = self._snapshot()
        while not self._stop.wait(_POLL_S):
            now = self._snapshot()
            changed = {
                path for path in before.keys() | now.keys() if before.get(path) != now.get(path)
            }
            before = now
            if changed:
                self._on_change(frozenset(changed))

    def _snapshot(self) -> dict[Path, tuple[int, int, int]]:
        found: dict[Path, tuple[int, int, int]] = {}
        for path in (*sources(self._backend), *self._files):
            with contextlib.suppress(OSError):
                status = path.stat()
                found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found

    def _changes(self, folders: list[Path], *, recursive: bool) -> Iterator[frozenset[Path]]:
        """The changed files, again and again; an empty set now and then."""
        from watchfiles import watch

        try:
            for changes in watch(
                *folders,
                watch_filter=lambda _kind, path: self._counts(Path(path)),
                debounce=_LONGEST_MS,
                step=_QUIET_MS,
                stop_event=self._stop,
                rust_timeout=_WAKE_MS,
                yield_on_timeout=True,
                force_polling=False,
                recursive=recursive,
                ignore_permission_denied=True,
            ):
                if self._polling:
                    return
                yield frozenset(Path(path) for _, path in changes)
        except OSError as error:  # no watches left, or a folder went away
            self._stop.wait(_WAKE_MS / 1000)
            if all(folder.is_dir() for folder in folders) and self._events_come():
                self._polling = True
                self._on_note(f"no file events here ({error}): looking at the files instead")
                self._poll()

    def _counts(self, path: Path) -> bool:
        if path in self._files:
            return True
        return path.is_relative_to(self._backend) and is_source(path, self._backend)


def _is_windows_drive(folder: Path) -> bool:
    """Whether this is Windows' file system seen from its Linux: it delivers no events."""
    return "microsoft" in platform.release().lower() and folder.parts[1:2] == ("mnt",)


def _source_folders(backend: Path) -> list[Path]:
    try:
        found = [path for path in backend.iterdir() if path.is_dir()]
    except OSError:
        return []
    return sorted(path for path in found if is_source(path, backend))
