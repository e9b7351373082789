"""What a task works with: the project, the engine, and the reporter, each made when first asked."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from rebake.results import Mode

if TYPE_CHECKING:
    from rebake.engine.client import EngineClient
    from rebake.engine.detect import Detected
    from rebake.project.project import Project
    from rebake.project.secrets import Declared
    from rebake.report.terminal import Reporter


class Session:
    """One run of one task."""

    def __init__(
        self,
        task: str,
        *,
        progress: str = "auto",
        as_json: bool = False,
        dry_run: bool = False,
        folder: Path | None = None,
    ) -> None:
        self.task = task
        self.progress = progress
        self.as_json = as_json
        self.dry_run = dry_run
        self.started = time.monotonic()
        self._folder = folder
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if "reporter" in self.__dict__:
            self.reporter.close()

    @property
    def seconds(self) -> float:
        """Seconds since the task began."""
        return time.monotonic() - self.started

    @cached_property
    def project(self) -> Project:
        """The project at or above the current folder."""
        from rebake.project.project import open_project

        found = open_project(self._folder, kept=True, dry_run=self.dry_run)
        table = found.config.secrets
        for declared in (table.build, table.run):
            if declared:
                from rebake.project.secrets import learn_all

                learn_all(cast("Declared", declared), found.root, os.environ)
        return found

    @cached_property
    def reporter(self) -> Reporter:
        """Shows what goes on, on stderr."""
        from rebake.report.terminal import make_reporter

        # stdout is for one JSON document then.
        results = sys.stderr if self.as_json else None
        return make_reporter(self.progress, sys.stderr, os.environ, results=results)

    def say(self, text: str) -> None:
        """Tell the user what goes on."""
        self.reporter.say(text)

    def note(self, text: str) -> None:
        """Tell the user something that belongs to the result too."""
        self.notes.append(text)
        self.reporter.say(text)

    @cached_property
    def detected(self) -> Detected:
        """The engine to use, started or installed when that is our part.

        Raises:
            NoEngine: there is none, and none can be made.
        """
        from rebake.tasks.wiring import find_engine

        return find_engine(self)

    @cached_property
    def client(self) -> EngineClient:
        """The typed calls to the engine."""
        from rebake.engine.client import EngineClient

        return EngineClient(self.detected.endpoint)

    @cached_property
    def host_settings(self) -> Path:
        """The folder with the host's CA bundle and package-manager settings, brought up to date.

        A dry run only names it.
        """
        from rebake.engine.host_settings import write
        from rebake.project.project import state_home

        folder = state_home() / "host-settings"
        return folder if self.dry_run else write(folder)

    def services(self, words: Sequence[str]) -> tuple[str, ...]:
        """The services that were asked for; all of them when none was."""
        return self.project.services(list(words))

    def show_commands(
        self, commands: Sequence[Sequence[str]], mode: Mode | None = None
    ) -> dict[str, object]:
        """Print the commands of a dry run, and return them as the document."""
        import shlex

        from rebake.redact import Redactor
        from rebake.results import SCHEMA_VERSION

        redactor = Redactor.from_environment()
        shown = [redactor.argv(argv) for argv in commands]
        if not self.as_json:
            from rebake.report.terminal import print_result

            for argv in shown:
                print_result(shlex.join(argv))
        return {
            "schema_version": SCHEMA_VERSION,
            **({"mode": mode} if mode else {}),
            "dry_run": True,
            "commands": shown,
        }
