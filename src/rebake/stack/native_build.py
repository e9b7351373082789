"""Compiles the backend with cargo and follows it: crates done, complete diagnostics, binaries."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct, field

from rebake.errors import BuildFailed
from rebake.process import Command, Running, start
from rebake.stack.native_plan import NativePlan
from rebake.stack.native_state import write_file

OnLine = Callable[[str], None]
Stamp = tuple[int, int, int]

_BAR = re.compile(r"Building \[[^\]]*\]\s*(\d+)/(\d+)")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NOISE = re.compile(
    r"^\s+(Compiling|Fresh|Checking|Blocking|Updating|Downloading|Downloaded|Locking|Finished) "
)
_WAITS = re.compile(r"^\s+Blocking waiting for ")
_SKIPPED_FOLDERS = frozenset({"target", ".git", "node_modules"})
# Databases, and what editors leave beside a file while they write it.
_NO_SOURCE = re.compile(r"(\.db|\.db-\w+|\.sqlite3?|\.sw[a-z]|~|\.tmp)$|^(\.#|4913$)")
_WAIT_S = 0.05


class CargoEvents(Struct, frozen=True):
    """What a line of cargo's outputs says.

    Attributes:
        done: how many of `total` units are compiled; None when the line does not say.
        total: see there.
        texts: the lines for a person.
    """

    done: int | None = None
    total: int | None = None
    texts: tuple[str, ...] = ()


def read_line(line: str) -> CargoEvents:
    """Read a line of cargo's error output: what a terminal overwrites comes apart here."""
    done = total = None
    texts: list[str] = []
    for part in _ESCAPES.sub("", line).split("\r"):
        bar = _BAR.search(part)
        if bar:
            done, total = int(bar[1]), int(bar[2])
        elif part.strip():
            texts.append(part.rstrip())
    if not texts and done is None:
        texts = [""]  # an empty line inside a diagnostic
    return CargoEvents(done, total, tuple(texts))


def is_noise(text: str) -> bool:
    """Whether a line only reports progress."""
    return bool(_NOISE.match(text))


class CargoBuild:
    """A `cargo build` that runs beside us."""

    def __init__(self, plan: NativePlan, *, on_line: OnLine = lambda _line: None) -> None:
        """Start it.

        Args:
            plan: the plan whose binaries are built.
            on_line: told each line for a person, from another thread.

        Raises:
            ProgramMissing: cargo is not there.
        """
        self.total = 0
        self._bar = self._units = 0
        self.started = time.monotonic()
        self._on_line = on_line
        self.waits = ""  # what cargo waits for, in its own words
        self._executables: dict[str, Path] = {}
        self._texts: list[str] = []
        command = plan.build_command()
        self._folder = command.cwd
        self.running = start(command, on_stdout=self._message, on_stderr=self._progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self.running.poll()

    def stop(self) -> None:
        """Stop it; what is compiled already stays."""
        self.running.stop()

    def result(self) -> dict[str, Path]:
        """Wait for its end and return the binaries by name.

        Raises:
            BuildFailed: it failed; with the compiler's words, all of them.
        """
        returncode = self.running.wait()
        if returncode != 0:
            raise BuildFailed(
                step=f"cargo build (in {self._folder})",
                tail=self.diagnostics,
                message=f"exit code {returncode}",
                next_step="mend it and run the command again; what is compiled stays compiled",
            )
        return dict(self._executables)

    @property
    def diagnostics(self) -> Sequence[str]:
        """What cargo said, without the lines that only report progress."""
        return tuple(text for text in self._texts if not is_noise(text))

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    @property
    def done(self) -> int:
        """How many of `total` units are compiled."""
        return min(max(self._bar, self._units), self.total)

    def _message(self, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        reason = message.get("reason") if isinstance(message, dict) else None
        if reason in {"compiler-artifact", "build-script-executed"}:
            self._units += 1  # the bar comes only with the next line of text: count along
        if reason != "compiler-artifact":
            return
        target = message.get("target", {})
        if message.get("executable") and "bin" in target.get("kind", ()):
            self._executables[target["name"]] = Path(message["executable"])

    def _progress(self, line: str) -> None:
        events = read_line(line)
        if events.done is not None and events.total is not None:
            self._bar, self.total = events.done, events.total
        for text in events.texts:
            self.waits = text.strip() if _WAITS.match(text) else ""
            self._texts.append(text)
            self._on_line(text)


def wait_for(
    jobs: Sequence[CargoBuild | Running], on_tick: Callable[[], None] = lambda: None
) -> None:
    """Wait until all have ended; stop all of them when interrupted."""
    try:
        while any(job.poll() is None for job in jobs):
            on_tick()
            time.sleep(_WAIT_S)
    except BaseException:
        for job in jobs:
            job.stop()
        raise


def stamp(program: Path) -> Stamp | None:
    """What tells one build of a binary from the next."""
    try:
        status = program.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)


class SourceRecord(Struct, frozen=True):
    """The sources' digests at a build: cargo compares times, we compare contents.

    A file that was replaced by an older one with another content (restored, moved, unpacked) is
    touched before cargo runs, since cargo would hold it for unchanged.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    built_ns: int = 0

    @classmethod
    def load(cls, file: Path) -> SourceRecord:
        """Read it; an unreadable one counts as empty."""
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            digests = {str(path): str(digest) for path, digest in document["digests"].items()}
            return cls(digests, int(document["built_ns"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def freshen(self, folder: Path) -> SourceRecord:
        """Touch the files below `folder` that cargo would miss; return the record of now.

        The caller saves it when the build has succeeded, and not before.
        """
        started = time.time_ns()
        digests: dict[str, str] = {}
        for path in sources(folder):
            with contextlib.suppress(OSError):  # it went away just now: cargo will say so
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                before = self.digests.get(str(path))
                if before not in {None, digest} and path.stat().st_mtime_ns <= self.built_ns:
                    os.utime(path)
                digests[str(path)] = digest
        return SourceRecord(digests, started)

    def save(self, file: Path) -> None:
        """Keep it for the next build."""
        write_file(file, json.dumps({"built_ns": self.built_ns, "digests": dict(self.digests)}))


def is_source(path: Path, folder: Path) -> bool:
    """Whether a file below `folder` can be an input of the build."""
    parts = path.relative_to(folder).parts
    return not _SKIPPED_FOLDERS.intersection(parts) and not _NO_SOURCE.search(path.name)


def sources(folder: Path) -> Iterator[Path]:
    """The files below a folder that can be inputs of the build."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        yield from (Path(place) / name for name in files if not _NO_SOURCE.search(name))


def install_packages(plan: NativePlan, on_line: OnLine = lambda _line: None) -> Running:
    """Start the install of the UI's packages beside us."""
    command: Command = plan.install_command()
    return start(command, on_stdout=on_line, on_stderr=on_line)
