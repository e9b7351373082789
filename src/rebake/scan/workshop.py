"""The deeds of a scan: saves images, fetches the database, calls the scanner, reads its reports."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from filelock import FileLock
from msgspec import Struct
from msgspec.structs import replace

from rebake.checks.tools import Docker
from rebake.errors import DatabaseUnusable, ScannerFailed
from rebake.process import Outcome, run
from rebake.scan import database, grype, image_rules, snyk, trivy
from rebake.scan.archive import read_archive
from rebake.scan.findings import Finding
from rebake.scan.run import Missing
from rebake.scan.tools import LocalScanner, Scanner, ScannerInContainer

Say = Callable[[str], None]
_SAVE_S = 600.0
_SCAN_S = 900.0
_FETCH_S = 900.0


class Settings(Struct, frozen=True):
    """What `[scan]` says of the scanner and its database.

    Attributes:
        kind: `trivy`, `grype` or `snyk`.
        cache: the folder of its databases.
        offline: the network is never asked.
        repository: where Trivy's database is taken from; empty: its own place.
        max_age: an older database is an error; None: any age will do.
        token: whether SNYK_TOKEN is set.
    """

    kind: str
    cache: Path
    offline: bool = False
    repository: str = ""
    max_age: timedelta | None = None
    token: bool = False


class Workshop:
    """One scan: its folder, its scanner, the images that were saved.

    Args:
        folder: for archives and reports; what was in it goes.
        settings: of the scanner.
        scanner: the scanner, or why there is none.
        docker: the engine's client; None where there is no engine.
        say: told of what takes long.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        scanner: Scanner | str,
        docker: Docker | None,
        say: Say = lambda _line: None,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        settings.cache.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._settings = settings
        self._scanner = scanner
        if isinstance(scanner, ScannerInContainer):
            self._scanner = scanner.with_folders(folder, settings.cache)
        self._docker = docker
        self._say = say
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._archives: dict[str, Path] = {}
        self._numbers = count(1)
        self.database: database.Database | None = None

    def close(self) -> None:
        """Remove the archives: an image can be large."""
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- the database ---

    def prepare(self) -> list[Finding]:
        """See to it that the scanner's database is there and can be used.

        Raises:
            DatabaseUnusable: it can't be had, or it is broken, or too old.
            Missing: there is no scanner.
        """
        if self._settings.kind == "snyk":  # which asks its own service
            return []
        scanner = self._tool()
        with FileLock(str(self._settings.cache / "rebake.lock")):
            if not self._settings.offline and self._wants_news(scanner):
                self._say("fetching the vulnerability database")
                if self._settings.kind == "trivy":
                    self._fetch(scanner)
                else:
                    self._fetch_grypes(scanner)
            self.database = self._examine(scanner)
        return []

    def _look(self, scanner: Scanner) -> database.Database:
        """Look at the database that is there."""
        if self._settings.kind == "trivy":
            return database.examine(self._settings.cache)
        return grype.read_status(self._run_grype(scanner, grype.status()), self._settings.cache)

    def _wants_news(self, scanner: Scanner) -> bool:
        try:
            found = self._look(scanner)
        except DatabaseUnusable:
            return True
        return found.old(timedelta(days=1), datetime.now(UTC))

    def _fetch_grypes(self, scanner: Scanner) -> None:
        """Fetch it; Grype keeps the old one until the new one is whole."""
        outcome = self._run_grype(scanner, grype.fetch_database())
        try:
            self._look(scanner)
        except DatabaseUnusable as error:
            tail = " ".join(outcome.tail(2))
            raise DatabaseUnusable(error.path, f"can't be fetched: {tail}") from error

    def _fetch(self, scanner: Scanner) -> None:
        """Fetch it; what is broken goes first, since Trivy would keep it."""
        folder = database.folder_of(self._settings.cache)
        aside = folder.with_name("db.old")
        shutil.rmtree(aside, ignore_errors=True)
        if folder.exists():
            folder.replace(aside)
        words = trivy.fetch_database(self._settings.cache, self._settings.repository)
        try:
            outcome = run(scanner.command(words, timeout_s=_FETCH_S))
            database.examine(self._settings.cache)
            shutil.rmtree(aside, ignore_errors=True)
        except DatabaseUnusable as error:
            shutil.rmtree(folder, ignore_errors=True)
            if aside.exists():  # the old one may still do
                aside.replace(folder)
                return
            tail = " ".join(outcome.tail(2))
            raise DatabaseUnusable(error.path, f"can't be fetched: {tail}") from error

    def _examine(self, scanner: Scanner) -> database.Database:
        found = self._look(scanner)
        limit = self._settings.max_age
        if limit is not None and found.old(limit, datetime.now(UTC)):
            cache = self._settings.cache
            trivys = self._settings.kind == "trivy"
            raise DatabaseUnusable(
                database.folder_of(cache) / database.DESCRIPTION
                if trivys
                else grype.cache_of(cache),
                f"is of {found.updated:%Y-%m-%d}, older than scan.db_max_age allows",
            )
        return found

    # --- images ---

    def archive(self, ref: str) -> Path:
        """Save an image, once, and return the archive.

        Raises:
            ScannerFailed: the engine does not have it.
            Missing: there is no engine.
        """
        with self._guard:
            lock = self._locks.setdefault(ref, threading.Lock())
        with lock:
            if ref not in self._archives:
                self._archives[ref] = self._save(ref)
            return self._archives[ref]

    def _save(self, ref: str) -> Path:
        if self._docker is None:
            raise Missing("a Docker engine")
        file = self._folder / f"image-{next(self._numbers)}.tar"
        outcome = run(self._docker.command("save", "--output", file, ref, timeout_s=_SAVE_S))
        if not outcome.ok:
            raise ScannerFailed(
                "the scan", f"no image {ref}", tuple(outcome.tail(2)),
                "invoke build makes the images of this project; docker pull gets another",
            )  # fmt: skip
        return file

    def check_image(self, ref: str) -> list[Finding]:
        """Hold an image to our own rules."""
        return list(image_rules.check(read_archive(self.archive(ref), ref)))

    def scan_image(self, ref: str) -> list[Finding]:
        """Scan an image with the scanner.

        Raises:
            ScannerFailed: it did not scan.
            Missing: there is no scanner.
        """
        scanner, archive, output = self._tool(), self.archive(ref), self._report()
        match self._settings.kind:
            case "trivy":
                words = trivy.image(
                    archive, self._settings.cache, output,
                    offline=self._settings.offline, vulnerabilities=self.database is not None,
                )  # fmt: skip
                return trivy.read(self._run(scanner, words), output, ref)
            case "grype":
                self._must_have_database()
                outcome = self._run_grype(scanner, grype.image(archive, output))
                return grype.read(outcome, output, ref)
            case _:
                return snyk.read(self._run(scanner, snyk.image(archive)), ref)

    # --- files ---

    def scan_lock_files(self, files: Mapping[str, Path]) -> list[Finding]:
        """Look up every package of some lock-files.

        Args:
            files: the files by the path that is shown.
        """
        scanner, folder, output = self._tool(), self._copy(files), self._report()
        match self._settings.kind:
            case "trivy":
                self._must_have_database()
                words = trivy.lock_files(
                    folder, self._settings.cache, output, offline=self._settings.offline
                )
                found = trivy.read(self._run(scanner, words), output, "")
            case "grype":
                self._must_have_database()
                found = grype.read(
                    self._run_grype(scanner, grype.folder(folder, output)), output, ""
                )
            case _:
                found = snyk.read(self._run(scanner, snyk.folder(folder)), "")
        return [replace(one, target=one.place, place="") for one in found]

    def scan_files(self, files: Mapping[str, Path]) -> list[Finding]:
        """Look for misconfiguration and secrets in files, by Trivy."""
        scanner, folder, output = self._tool(), self._copy(files), self._report()
        words = trivy.files(folder, self._settings.cache, output)
        found = trivy.read(self._run(scanner, words), output, "")
        return [replace(one, target=one.place, place="") for one in found]

    # --- helpers ---

    def _tool(self) -> Scanner:
        if isinstance(self._scanner, str):
            raise Missing(self._scanner)
        if self._settings.kind == "snyk" and not self._settings.token:
            raise Missing("snyk (SNYK_TOKEN is not set)")
        return self._scanner

    def _must_have_database(self) -> None:
        if self.database is None:
            raise ScannerFailed(self._settings.kind, "there is no database that can be used")

    def _report(self) -> Path:
        return self._folder / f"report-{next(self._numbers)}.json"

    def _copy(self, files: Mapping[str, Path]) -> Path:
        folder = self._folder / f"files-{next(self._numbers)}"
        for shown, file in files.items():
            target = folder / shown
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(file, target)
            except OSError as error:
                raise ScannerFailed("the scan", f"{shown}: {error.strerror}") from error
        return folder

    def _run(self, scanner: Scanner, words: list[str]) -> Outcome:
        # In a folder of our own: a .trivyignore or trivy.yaml of the repository would be obeyed.
        command = scanner.command(words, cwd=self._folder, timeout_s=_SCAN_S, what="the scanner")
        return run(replace(command, env={**command.env, **trivy.environment(os.environ)}))

    def _run_grype(self, scanner: Scanner, words: list[str]) -> Outcome:
        settings = self._folder / "grype.yaml"
        settings.write_text(grype.SETTINGS, encoding="utf-8")
        env = grype.environment(self._settings.cache, settings, os.environ)
        limit = _FETCH_S if words == grype.fetch_database() else _SCAN_S
        command = scanner.command(words, cwd=self._folder, timeout_s=limit, what="the scanner")
        if isinstance(scanner, LocalScanner):
            return run(replace(command, env={**command.env, **env}))
        given = {name: value for name, value in env.items() if value is not None}
        flags = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
        place = command.argv.index("run") + 1
        argv = (*command.argv[:place], *flags, *command.argv[place:])
        return run(replace(command, argv=argv))


def words_of(scanner: Scanner | str, found: database.Database | None) -> dict[str, str]:
    """Return the facts that a report names: the scanner, and its database."""
    if isinstance(scanner, str):
        return {}
    facts = {"scanner": f"{scanner.version}, {scanner.origin}"}
    if found is not None:
        tables = f", {found.tables} tables" if found.tables else ""
        facts["database"] = f"{found.updated:%Y-%m-%d}{tables}"
    return facts
