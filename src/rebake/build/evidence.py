"""Gathers what tells the causes of a build's steps afterwards (`history.evidence`).

It is read after the build, and only what no earlier build had: of a file that was edited its lines,
of a lock file its packages. The sources may be edited while a build runs, so what is read counts
only if it still has the digest that the build was made from.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from rebake import __version__
from rebake.build import targets
from rebake.build.modes import modes_of
from rebake.build.plan import RECIPE, BuildPlan
from rebake.engine import build_cache
from rebake.engine.endpoint import Endpoint
from rebake.engine.host_settings import FILES
from rebake.history.evidence import BakeTarget, Evidence, FileFacts, line_digests
from rebake.history.records import FileDigest, keyed_digest
from rebake.history.store import History
from rebake.project.lockfiles import BUN, CARGO, parse_lock
from rebake.project.manifests import parse_manifest
from rebake.project.project import Project

_TABLES = ("backend", "base_images", "build", "cache", "docker", "project", "secrets", "ui")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY")
_LONGEST = 512 * 1024  # bytes of a file whose lines are told apart
_TEXTS = (".dockerignore", ".hcl")
KEY = "targets"  # the setting that holds what the bake targets depend on

Inputs = Mapping[str, Sequence[FileDigest]]


class Collector:
    """The evidence of one build: begun before it, so that bake is asked while it runs.

    No build fails for the lack of it.

    Args:
        project: the project.
        endpoint: the engine.
        store: the history, for what is known already.
        engine: the engine's versions by name.

    Attributes:
        target_was_empty: whether the step found the cache mount empty that it compiles in.
    """

    def __init__(
        self, project: Project, endpoint: Endpoint, store: History, engine: Mapping[str, str]
    ) -> None:
        self._project, self._endpoint, self._store, self._engine = project, endpoint, store, engine
        self._targets: Future[Mapping[str, BakeTarget]] = Future()
        self._targets.set_result({})
        self._key = ""
        self._mounts: Future[frozenset[str] | None] = Future()
        self.target_was_empty = False

    def begin(self, plan: BuildPlan) -> None:
        """Ask which cache mounts there are, and for the bake targets, unless that is known."""
        if (mounts := self._expected_mounts(plan)) is not None:
            self._mounts.set_result(mounts)
        else:
            # Not awaited: the engine measures each mount for the answer.
            pool = ThreadPoolExecutor(max_workers=1)
            self._mounts = pool.submit(build_cache.mounts, self._endpoint)
            pool.shutdown(wait=False)
        known: Mapping[str, BakeTarget] | None = {}
        with contextlib.suppress(sqlite3.Error):
            self._key, known = known_targets(self._project, plan, self._store)
        if known is not None:
            self._targets = Future()
            self._targets.set_result(known)
            return
        pool = ThreadPoolExecutor(max_workers=1)
        self._targets = pool.submit(targets.ask, plan, self._endpoint)
        pool.shutdown(wait=False)

    @property
    def targets_known(self) -> Mapping[str, BakeTarget] | None:
        """The bake targets where they are known by now; None while bake is being asked."""
        return self._targets.result() if self._targets.done() else None

    @property
    def targets(self) -> Mapping[str, BakeTarget]:
        """The bake targets; waits for the answer. Empty where bake does not tell."""
        return self._targets.result()

    def _expected_mounts(self, plan: BuildPlan) -> frozenset[str] | None:
        """The mounts of the last build, where the step itself tells that one is lost."""
        if not plan.refuse_empty:
            return None
        with contextlib.suppress(sqlite3.Error):
            last = self._store.last_evidence(self._project.cache_id, plan.mode)
            start = f"{self._project.cache_id}-target-release-"
            if last is not None and any(mount.startswith(start) for mount in last.mounts or ()):
                return frozenset(last.mounts or ())
        return None

    def gather(
        self,
        plan: BuildPlan,
        inputs: Inputs,
        modes: Mapping[str, Mapping[str, str]],
        crates: Sequence[str] | None,
    ) -> Evidence | None:
        """Return the evidence of the build that has begun; None where the history can't be read.

        Args:
            plan: what was built.
            inputs: the files that it was built from.
            modes: what `modes_by_half` returned before it.
            crates: what cargo compiled, as `name@version`; None where no step told.
        """
        try:
            key = self._store.key
            files = located(plan, inputs)
            new = self._store.unknown_files(file.sha256 for _, file in files)
        except sqlite3.Error:
            return None
        settings = settings_of(self._project, plan, key, self._endpoint.docker_host, self._engine)
        start = self._project.cache_id + "-"
        there = self._mounts.result()
        mounts = None if there is None else [m for m in there if m.startswith(start)]
        if mounts is not None and self.target_was_empty:
            mounts = [m for m in mounts if not m.startswith(f"{start}target-release-")]
        return Evidence(
            settings=settings | {KEY: self._key},
            targets=self._targets.result(),
            mounts=None if mounts is None else tuple(sorted(mounts)),
            crates=None if crates is None else tuple(crates),
            modes=modes,
            facts=facts_of([(place, file) for place, file in files if file.sha256 in new], key),
        )


def located(plan: BuildPlan, inputs: Inputs) -> list[tuple[Path, FileDigest]]:
    """Return the files of a build, each with the folder that it is in."""
    folders: dict[str, Path] = {RECIPE: plan.root}
    folders.update({str(half): folder for half, folder in plan.folders.items()})
    return [(folders[half], file) for half, some in inputs.items() for file in some]


def modes_by_half(plan: BuildPlan, inputs: Inputs) -> dict[str, Mapping[str, str]]:
    """Return the modes of each half's context."""
    return {
        str(half): modes_of(plan.folders[half], inputs[half], plan.dockerfiles.get(half))
        for half in plan.halves
    }


def known_targets(
    project: Project, plan: BuildPlan, store: History
) -> tuple[str, Mapping[str, BakeTarget] | None]:
    """Return what the bake targets depend on, and the last build's where that is the same."""
    try:
        text = plan.bake_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "", {}
    key = targets.key_of(plan, text)
    last = store.last_evidence(project.cache_id, plan.mode)
    if last is not None and last.settings.get(KEY) == key and last.targets:
        return key, last.targets
    return key, None


def facts_of(files: Iterable[tuple[Path, FileDigest]], key: bytes) -> dict[str, FileFacts]:
    """Read files (each with the folder that it is in) and return what is known of them."""
    found: dict[str, FileFacts] = {}
    for folder, file in files:
        if file.kind == "link" or file.sha256 in found:
            continue
        with contextlib.suppress(OSError):
            content = (folder / file.path).read_bytes()
            if hashlib.sha256(content).hexdigest() == file.sha256:
                found[file.sha256] = file_facts(file.path, content, key)
    return found


def file_facts(path: str, content: bytes, key: bytes) -> FileFacts:
    """Return what is known of one file.

    Args:
        path: its path; the name tells what it is.
        content: what it holds.
        key: for the digests of its lines.
    """
    name = path.rpartition("/")[2]
    if len(content) > _LONGEST or b"\0" in content[:8000]:
        return FileFacts()
    text = content.decode("utf-8", errors="surrogateescape")
    kept = name.endswith(_TEXTS) or name.partition(".")[0] == "Dockerfile"
    return FileFacts(
        lines=line_digests(content, key),
        text=text if kept else None,
        lock=parse_lock(name, text) if name in {CARGO, BUN} else None,
        manifest=parse_manifest(text) if name == "Cargo.toml" else None,
    )


def settings_of(
    project: Project,
    plan: BuildPlan,
    key: bytes,
    address: str,
    engine: Mapping[str, str],
) -> dict[str, str]:
    """Return what decides beside the files, by name; of secrets, only whether they are others."""
    found = {
        name: str(value)
        for name, value in project.loaded.values().items()
        if name.partition(".")[0] in _TABLES
    }
    found["engine.address"] = address
    found["engine.version"] = engine.get("engine", "")
    found["rebake"] = __version__
    flags = ["--no-cache"] * plan.no_cache + ["rebuild"] * ("REBUILD" in plan.variables)
    if flags:
        found["flags"] = " ".join(flags)
    proxies = [name for name in _PROXIES if name in plan.variables]
    if proxies:
        found["proxies"] = " ".join(proxies)
    folder = Path(plan.variables["REBAKE_HOST_SETTINGS"])
    for name in FILES:
        with contextlib.suppress(OSError):
            if text := (folder / name).read_text(encoding="utf-8", errors="surrogateescape"):
                found[f"host-settings.{name}"] = keyed_digest(key, text)
    return found
