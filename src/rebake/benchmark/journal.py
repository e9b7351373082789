"""Keeps what a benchmark has measured, so that one that was stopped can go on.

Whole scenarios alone are kept: what is compared with each other was measured side by side, in one
sitting.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Struct, field

from rebake.benchmark.repeats import Repeats
from rebake.benchmark.statistics import Result
from rebake.errors import UsageError

FILE = "benchmark.part.json"


class Part(Struct, frozen=True):
    """What one scenario gave; see `document.Finding`."""

    results: Sequence[Result] = ()
    bake_runs_s: Sequence[float] = ()
    not_run: Sequence[tuple[str, str, str]] = ()
    notes: Sequence[str] = ()

    def document(self) -> dict[str, object]:
        """As it is kept."""
        return {
            "results": [result.document() for result in self.results],
            "bake_runs_s": list(self.bake_runs_s),
            "not_run": [list(entry) for entry in self.not_run],
            "notes": list(self.notes),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read one that was kept.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        return cls(
            tuple(Result.of(entry) for entry in document["results"]),
            tuple(float(value) for value in document["bake_runs_s"]),
            tuple((str(a), str(b), str(c)) for a, b, c in document["not_run"]),
            tuple(str(note) for note in document["notes"]),
        )


class Asked(Struct, frozen=True):
    """What a benchmark was asked for, and where.

    Attributes:
        repeats: how many samples of each pair.
        sizes: of generated workspaces; none for the project itself.
        engine: its address.
        rebake: the version.
    """

    scenarios: tuple[str, ...]
    subjects: tuple[str, ...]
    repeats: Repeats
    sizes: tuple[int, ...]
    engine: str
    rebake: str

    def document(self) -> dict[str, object]:
        """As it is kept."""
        return dict[str, object](msgspec.to_builtins(self))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read one that was kept.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        return cls(
            tuple(map(str, document["scenarios"])),
            tuple(map(str, document["subjects"])),
            msgspec.convert(document["repeats"], Repeats),
            tuple(map(int, document["sizes"])),
            str(document["engine"]),
            str(document["rebake"]),
        )


class Journal(Struct):
    """The file of one benchmark that has not come to its end.

    Attributes:
        sittings: how often it was begun or gone on with.
        parts: by size (0: the project itself) and scenario.
        sources: a digest of the project's files, by size.
    """

    file: Path
    asked: Asked
    sittings: int = 1
    parts: dict[int, dict[str, Part]] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)

    @classmethod
    def resume(cls, file: Path) -> Self:
        """Read the file of a benchmark that was stopped.

        Raises:
            UsageError: there is none, or it can't be read.
        """
        try:
            document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return cls(
                file,
                Asked.of(document["asked"]),
                int(document["sittings"]) + 1,
                {
                    int(size): {str(name): Part.of(one) for name, one in parts.items()}
                    for size, parts in document["parts"].items()
                },
                {int(size): str(digest) for size, digest in document["sources"].items()},
            )
        except FileNotFoundError:
            raise UsageError(
                "no benchmark of this project was stopped", "invoke benchmark, without that flag"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = type(error).__name__
            raise UsageError(
                f"{file} can't be read ({reason})", "invoke benchmark, without that flag"
            ) from None

    @property
    def kept(self) -> int:
        """How many scenarios are kept."""
        return sum(len(parts) for parts in self.parts.values())

    def check_place(self, engine: str, rebake: str) -> None:
        """Refuse to go on elsewhere.

        Raises:
            UsageError: it was begun with another engine, or another version of rebake.
        """
        for what, then, now in (
            ("engine", self.asked.engine, engine),
            ("rebake", self.asked.rebake, rebake),
        ):
            if then != now:
                raise UsageError(
                    f"it was stopped: the {what} was {then} then, and is {now} now: "
                    "the results could not be compared",
                    "invoke benchmark, without that flag",
                )

    def book(self, size: int, sources: str) -> Book:
        """Return what is kept of one size.

        Args:
            size: of a generated workspace; 0 for the project itself.
            sources: a digest of the project's files.

        Raises:
            UsageError: the project's files were others then.
        """
        if self.sources.setdefault(size, sources) != sources:
            raise UsageError(
                "--resume: the project's files have changed since: "
                "the results could not be compared",
                "invoke benchmark, without that flag",
            )
        return Book(self, self.parts.setdefault(size, {}))

    def write(self) -> None:
        """Write the file, whole or not at all."""
        document = {
            "asked": self.asked.document(),
            "sittings": self.sittings,
            "parts": {
                str(size): {name: part.document() for name, part in parts.items()}
                for size, parts in self.parts.items()
            },
            "sources": {str(size): digest for size, digest in self.sources.items()},
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.file)

    def forget(self) -> None:
        """Remove the file: the benchmark has come to its end."""
        with contextlib.suppress(FileNotFoundError):
            self.file.unlink()


class Book(Struct, frozen=True):
    """What is kept of the scenarios of one size."""

    journal: Journal
    parts: dict[str, Part]

    def part(self, scenario: str) -> Part | None:
        """What a scenario gave, when it came to its end."""
        return self.parts.get(scenario)

    def keep(self, scenario: str, part: Part) -> None:
        """Write down what a scenario gave."""
        self.parts[scenario] = part
        self.journal.write()
