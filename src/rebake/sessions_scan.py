"""The session `scan`: what is scanned here, in which parts, and where the reports go."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from msgspec import Struct
from msgspec.structs import replace

from rebake import __version__, sessions_attested, sessions_contexts
from rebake.checks.plan import Part as CheckPart
from rebake.errors import Interrupted, RebakeError, ScannerFailed, UsageError, did_you_mean
from rebake.process import run
from rebake.scan import (
    cargo_deny,
    compose_hardening,
    dockerfile_rules,
    document,
    snyk,
    tools,
    words,
)
from rebake.scan.findings import Finding, PartResult, Policy, ScanResult, ignores_of
from rebake.scan.run import Missing, Part, run_parts
from rebake.scan.workshop import Settings, Workshop, words_of
from rebake.sessions import Check, find_engine, say
from rebake.sessions_ledger import JSON, STRICT, Ledger, Options, masked, write

if TYPE_CHECKING:
    import nox

    from rebake.engine.endpoint import Endpoint
    from rebake.project.dockerfile import Dockerfile
    from rebake.project.project import Project

REPORTS = Path(".rebake") / "scan"
_KNOWN = (STRICT, JSON)
_DENY_S = 900.0
Say = Callable[[str], None]


class Asked(Struct, frozen=True):
    """What follows `--`.

    Attributes:
        images: images to look at instead of the project.
        as_json: print one document, and everything else to stderr.
        strict: a part that is missing fails.
    """

    images: tuple[str, ...]
    as_json: bool
    strict: bool

    @classmethod
    def of(cls, posargs: Sequence[str], environ: Mapping[str, str]) -> Asked:
        """Read it.

        Raises:
            UsageError: a flag that there is not.
        """
        for word in posargs:
            if word.startswith("-") and word not in _KNOWN:
                raise UsageError(f"scan takes no {word}", did_you_mean(word, _KNOWN))
        images = tuple(dict.fromkeys(word for word in posargs if not word.startswith("-")))
        strict = Options.of(posargs, environ).strict
        return cls(images, JSON in posargs, strict)


def scan_and_show(session: nox.Session, root: Path, ledger: Ledger) -> None:
    """Scan, show the result or leave it to the run's document, and end the session accordingly."""
    try:
        asked = Asked.of(session.posargs, os.environ)
        result = scan(root, asked, say=note if asked.as_json else say)
    except Interrupted:
        raise KeyboardInterrupt from None
    except RebakeError as error:
        ledger.scan_code = error.exit_code
        session.error(masked(str(error)))
    if asked.as_json:
        ledger.scan = document.json_of(result)
    else:
        write("\n" + text_of(result))
    if result.exit_code:
        ledger.scan_code = result.exit_code
        session.error(words.verdict(result))
    if all(part.state == "missing" for part in result.parts):
        session.skip("; ".join(dict.fromkeys(part.note for part in result.parts)))


def note(line: str) -> None:
    """Tell the user what is done, where stdout is kept for a document."""
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


def scan(root: Path, asked: Asked, *, say: Say) -> ScanResult:
    """Scan the project, or the images that were asked for, and write the reports.

    Args:
        root: the repository.
        asked: what to scan.
        say: told of each part's end, and of what takes long.

    Raises:
        RebakeError: the settings have faults, or the scanner is refused.
        Interrupted: it was broken off.
    """
    started, made_at = time.monotonic(), time.time()
    job = _Job(root, asked, say)
    say(f"scanner: {job.shown_scanner}")
    try:
        first = run_parts([Part("database", job.workshop.prepare)], job.policy, workers=1)
        parts = first if job.settings.kind != "snyk" else ()
        for part in parts:
            say(line_of(part))
        parts += run_parts(
            list(job.parts()), job.policy, workers=_workers(), finished=lambda r: say(line_of(r))
        )
    finally:
        job.workshop.close()
    result = ScanResult(
        parts, job.policy, job.images, time.monotonic() - started, made_at, asked.strict,
        words_of(job.scanner, job.workshop.database),
    )  # fmt: skip
    write_reports(root / REPORTS, result, ", ".join(asked.images) or job.project.slug)
    return result


def _workers() -> int:
    # Parts wait for programs as long as they compute.
    return max(2, min(6, (os.cpu_count() or 2) + 1))


def line_of(result: PartResult) -> str:
    """Return the line that tells of a part's end."""
    if result.state in {"missing", "broken"}:
        head = "skipped: missing" if result.state == "missing" else "COULD NOT BE DONE"
        return f"{result.name}: {head}: {result.note}"
    failing = len(result.failing)
    return f"{result.name}: {f'{failing} FAIL' if failing else 'ok'} ({result.seconds:.1f} s)"


def write_reports(folder: Path, result: ScanResult, project: str) -> None:
    """Write the scan as JSON, SARIF and HTML."""
    from rebake.report.json import write_document
    from rebake.scan import page

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("scan.json", document.json_of(result)),
        ("scan.sarif", document.sarif_of(result, __version__)),
    ):
        text = io.StringIO()
        write_document(content, text)
        _write(folder / name, text.getvalue())
    _write(folder / "scan.html", page.render(result, project, __version__))


def _write(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8", newline="\n")
    fresh.replace(file)


class _Job:
    """What one scan works with."""

    def __init__(self, root: Path, asked: Asked, say: Say) -> None:
        self._root = root
        self._asked = asked
        self._check = Check(root, Options(strict=asked.strict))
        self.project: Project = self._check.project
        self._say = say
        table = self.project.config.scan
        self.policy = Policy(
            limit=table.severity,
            ignore_unfixed=table.ignore_unfixed,
            ignores=ignores_of(table.ignore),  # type: ignore[arg-type]  # plain values there
            today=datetime.now().astimezone().date(),
        )
        self.settings = _settings(table)
        engine = find_engine(self.project, make=asked.strict)
        self._engine: Endpoint | None = None if isinstance(engine, str) else engine
        if gone := self._gone():  # before a scanner is built, which can take minutes
            say(f"there is no image {', '.join(gone)}: invoke build makes them")
        recipe = tools.RECIPES[self.settings.kind]
        self.scanner = tools.find(recipe, say=say, docker=self._engine, fetch=not table.offline)
        self.workshop = Workshop(
            root / REPORTS / "work", self.settings, self.scanner, self._engine, say
        )

    @property
    def shown_scanner(self) -> str:
        """The scanner in words."""
        if isinstance(self.scanner, str):
            return f"missing: {self.scanner}"
        return f"{self.settings.kind} {self.scanner.version} ({self.scanner.origin})"

    def _gone(self) -> list[str]:
        """The images that the engine does not have."""
        if self._engine is None:
            return []
        ask = [self._engine.command("image", "inspect", "--format", "x", i) for i in self.images]
        return [ref for ref, command in zip(self.images, ask, strict=True) if not run(command).ok]

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The images that are scanned."""
        prefix = self.project.compose_name("prod")
        mine = tuple(f"{prefix}-{service}:prod" for service in self.project.config.services)
        return self._asked.images or mine

    def parts(self) -> Iterator[Part]:
        """The parts of this scan; those that take longest come first."""
        if not self._asked.images:
            yield from self._files()
        for ref in self.images:
            shown = ref.removeprefix(f"{self.project.compose_name('prod')}-")
            yield Part(f"image {shown}", partial(self.workshop.scan_image, ref))
            yield Part(f"rules {shown}", partial(self.workshop.check_image, ref))
            if self.project.config.sign.attestations:
                find = partial(sessions_attested.check, self.project, self.workshop, ref)
                yield Part(f"attestations {shown}", find)

    def _files(self) -> Iterator[Part]:
        backend = self.project.backend
        if (backend / "Cargo.lock").is_file():
            yield Part("advisories", partial(self._deny, cargo_deny.ADVISORIES))
            if (backend / "deny.toml").is_file():
                yield Part("cargo deny", partial(self._deny, cargo_deny.TREE))
        if locks := self._lock_files:
            yield Part("lock-files", partial(self.workshop.scan_lock_files, locks))
        yield Part("contexts", lambda: sessions_contexts.check(self._case))
        yield Part("dockerfile rules", self._dockerfile_rules)
        if self.settings.kind == "trivy":
            yield Part("dockerfiles", lambda: self.workshop.scan_files(self._dockerfiles))
        if not self.project.runs_itself and self.project.compose_file("prod").is_file():
            yield Part("compose", self._compose)

    # --- what cargo knows ---

    def _deny(self, checks: tuple[str, ...]) -> list[Finding]:
        backend = self.project.config.backend.path
        argv = cargo_deny.arguments(checks, offline=self.settings.offline)
        part = CheckPart("cargo deny", "scan", tuple(argv), "cargo-deny", backend)
        tool = self._check.tool("cargo-deny", part)
        if isinstance(tool, str):
            raise Missing(tool)
        named = self.project.config.scan.advisory_repository
        env = cargo_deny.environment(named, self._root, os.environ)
        command = tool.command(argv, self.project.backend, env)
        command = replace(command, timeout_s=_DENY_S, what="cargo deny")
        return cargo_deny.read(run(command), f"{backend}/Cargo.lock")

    @property
    def _lock_files(self) -> dict[str, Path]:
        project = self.project
        has_ui = bool(project.config.ui.path)
        files = (project.backend / "Cargo.lock", *([project.ui_lock_file] if has_ui else []))
        # Says which packages are for development.
        beside = (project.ui / "package.json",) if has_ui else ()
        found = {self._shown(file): file for file in files if file.is_file()}
        return found | {self._shown(f): f for f in beside if found and f.is_file()}

    # --- Dockerfiles and the compose file ---

    def _dockerfile_rules(self) -> list[Finding]:
        from rebake.project.dockerfile import read_dockerfile

        found: list[Finding] = []
        for shown, file in self._dockerfiles.items():
            dockerfile: Dockerfile = read_dockerfile(file)
            found += dockerfile_rules.check(
                dockerfile, shown, self._unpinned, self._contexts, self._arguments
            )
        return found

    @property
    def _arguments(self) -> dict[str, str]:
        """What builds are given for the images that stages start from."""
        table = self.project.config.base_images
        return {
            "RUST_IMAGE": table.rust,
            "BUN_IMAGE": table.bun,
            "NODE_IMAGE": table.node if self.project.config.ui.manager == "npm" else "bun",
            "NGINX_IMAGE": table.nginx if self.project.config.ui.runtime == "nginx" else "bun",
        }

    def _unpinned(self, base: str) -> str:
        """Say why a base image is not pinned; empty where rebake holds it to a digest."""
        from rebake.engine import base_images

        if base not in self.project.base_images.values():
            return f"{base} is not pinned by digest"
        locked = base_images.read_lock(self.project.bake_file.parent / "base-images.lock.json")
        if base in locked or self._made_here(base):
            return ""
        return (
            f"{base} has no digest in base-images.lock.json (invoke base-images --pin writes it), "
            "and was not made on this machine"
        )

    def _made_here(self, ref: str) -> bool:
        """Whether an image was made from the machine's package archive: no registry moves it."""
        from rebake.engine import base_images

        if self._engine is None:
            return False
        found = base_images.survey(self._engine, [ref]).get(ref)
        return found is not None and bool(found.recipe)

    @cached_property
    def _dockerfiles(self) -> dict[str, Path]:
        """The Dockerfiles of the production images, by the path that is shown."""
        files = dict.fromkeys(self._named_files())
        return {self._shown(file): file for file in files if file.is_file()}

    def _named_files(self) -> Iterator[Path]:
        yield from self.project.dockerfiles.values()
        for build in self._builds:
            folder = Path(str(build.get("context") or ""))
            yield folder / str(build.get("dockerfile") or "Dockerfile")

    @property
    def _contexts(self) -> frozenset[str]:
        """The named contexts that builds are given."""
        named = {name for build in self._builds for name in build.get("additional_contexts") or ()}
        return frozenset(named | {"tools", "server"})

    @cached_property
    def _builds(self) -> tuple[Mapping[str, Any], ...]:
        if self.project.runs_itself or not self.project.compose_file("prod").is_file():
            return ()  # the engine would be looked for, and Compose started, to learn just that
        with suppress(ScannerFailed, Missing):
            services = self._resolved.get("services") or {}
            found = (service.get("build") for service in services.values())
            return tuple(build for build in found if isinstance(build, Mapping))
        return ()

    @cached_property
    def _resolved(self) -> Mapping[str, Any]:
        from rebake.doctor import compose
        from rebake.doctor.diagnosis import NotChecked

        try:
            resolved, fault = compose.resolved(self._case, "prod")
        except NotChecked as error:
            raise Missing(error.reason) from error
        if resolved is None:
            shown = self._shown(self.project.compose_file("prod"))
            raise ScannerFailed("docker compose", f"{shown} can't be read: {fault}")
        return resolved

    @cached_property
    def _case(self) -> Any:  # noqa: ANN401 - imported below
        from rebake.doctor.case import Case

        return Case(self.project, remember=False)

    def _compose(self) -> list[Finding]:
        from rebake.doctor.compose import health_checks

        shown = self._shown(self.project.compose_file("prod"))
        has_check = health_checks(self._case, self._resolved)
        return list(compose_hardening.check(self._resolved, shown, has_check))

    def _shown(self, path: Path) -> str:
        root = self._root
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _settings(table: Any) -> Settings:  # noqa: ANN401 - plain values
    from rebake.config.amounts import parse_age

    folder = Path(table.db_folder).expanduser() if table.db_folder else None
    return Settings(
        kind=table.scanner,
        cache=folder or platformdirs.user_cache_path("rebake") / "scan",
        offline=table.offline,
        repository=table.db_repository,
        max_age=timedelta(seconds=parse_age(table.db_max_age)) if table.db_max_age else None,
        token=bool(os.environ.get(snyk.TOKEN)),
    )


def text_of(result: ScanResult) -> str:
    """Return what is shown at the end, with the place of the reports."""
    return words.text_of(result) + f"reports: {(REPORTS / 'scan.html').as_posix()}, .json, .sarif\n"
