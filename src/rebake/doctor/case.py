"""What the checks look at: facts about project and engine, each found out once and shared."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, overload

from msgspec import Struct

from rebake.doctor import memo
from rebake.doctor.diagnosis import Diagnosis, NotChecked
from rebake.engine import api, detect, private
from rebake.engine.detect import Detected, Surroundings
from rebake.engine.endpoint import Endpoint
from rebake.engine.ping import ping
from rebake.errors import NoEngine, ProgramMissing, RebakeError
from rebake.process import Command, run
from rebake.project.dockerfile import Dockerfile, read_dockerfile
from rebake.project.ignore import IgnoreMatcher, ignore_file, walk
from rebake.project.project import Project

ASK_LIMIT_S = 8.0  # for one call of a program
_T = TypeVar("_T")


class Fact(Generic[_T]):
    """A value of a case that several checks need.

    The first check that asks finds it out, the others wait for it. What it raised is raised to
    all of them.
    """

    def __init__(self, find: Callable[[Any], _T]) -> None:
        self._find = find
        self.__doc__ = find.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, case: None, owner: type) -> Fact[_T]: ...
    @overload
    def __get__(self, case: Case, owner: type) -> _T: ...
    def __get__(self, case: Case | None, owner: type) -> Fact[_T] | _T:
        if case is None:
            return self
        future, mine = case.slot(self._name)
        if mine:
            try:
                future.set_result(self._find(case))
            except BaseException as error:  # noqa: BLE001 - raised below, and to all who wait
                future.set_exception(error)
        return cast("_T", future.result())


class Context(Struct, frozen=True):
    """A folder that travels to the builder.

    Attributes:
        name: `backend`, `ui` or `tools`.
        ignore: its ignore file; None where it has none.
        files: what travels, relative to the folder, each with its size in bytes.
    """

    name: str
    folder: Path
    ignore: Path | None
    files: Mapping[Path, int]


class EngineInfo(Struct, frozen=True):
    """The engine's `/info`, and when it was asked.

    Attributes:
        before, after: seconds since 1970 by this machine's clock.
    """

    document: Mapping[str, Any]
    before: float
    after: float


class Case:
    """One project and its engine, as they are now.

    Args:
        project: the project.
        around: where engines are looked for; this process's own surroundings when None.
        remember: whether the engine that is found may be written down for the next time.
    """

    def __init__(
        self, project: Project, *, around: Surroundings | None = None, remember: bool = True
    ) -> None:
        self.project = project
        self._given = around
        self.remember = remember
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._slots: dict[str, Future[Any]] = {}

    def slot(self, name: str) -> tuple[Future[Any], bool]:
        """Return the place of a fact, and whether the caller is the one to fill it."""
        with self._lock:
            if name in self._slots:
                return self._slots[name], False
            return self._slots.setdefault(name, Future()), True

    def remembered(
        self,
        name: str,
        files: Iterable[Path],
        extra: object,
        find: Callable[[], Sequence[Diagnosis]],
    ) -> Sequence[Diagnosis]:
        """What `find` finds, or found when files, environment and client were the same.

        Raises:
            NotChecked: there is no docker client.
        """
        key = memo.key_of(files, self.around.environ, extra, self.client.docker)
        return memo.remembered(self.project.state, name, key, find, write=self.remember)

    def shown(self, path: Path) -> str:
        """A path as it is shown: from the project's root where it is inside."""
        root = self.project.root
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    @cached_property
    def around(self) -> Surroundings:
        """Where engines are looked for."""
        return self._given or Surroundings.here()

    # --- the engine ---

    @Fact
    def found(self) -> Detected | NoEngine:
        """The engine that would be used, or why there is none. Nothing is started."""
        try:
            if self.project.config.engine.kind == "private":
                return self._private()
            return detect.detect(self.around, remember=self.remember)
        except NoEngine as error:
            return error

    def _private(self) -> Detected:
        """Our own engine, where rebake.toml wants no other.

        Raises:
            NoEngine: it does not run, or can't be used.
        """
        endpoint = private.endpoint(self.around.home)
        if ping(endpoint.docker_host) is None:
            raise NoEngine("the private engine does not run", next_step="invoke engine start")
        return detect.examine(endpoint)

    @property
    def engine(self) -> Detected:
        """The engine that would be used.

        Raises:
            NotChecked: there is none.
        """
        found = self.found
        if isinstance(found, NoEngine):
            reason = "the engine can't be used" if found.found_unusable else "no engine runs"
            raise NotChecked(reason, "see the finding `engine`: invoke doctor --check engine")
        return found

    @Fact
    def info(self) -> EngineInfo:
        """What the engine says of itself.

        Raises:
            NotChecked: there is none, or it does not answer.
        """
        endpoint = self.engine.endpoint
        before = time.time()
        answer = api.ask(endpoint.docker_host, "/info")
        after = time.time()
        if answer is not None and answer.ok and isinstance(answer.document, dict):
            return EngineInfo(answer.document, before, after)
        before = time.time()
        outcome = run(endpoint.command("system", "info", "--format", "json", timeout_s=ASK_LIMIT_S))
        document = read_json(outcome.stdout) if outcome.ok else None
        if not isinstance(document, dict):
            raise NotChecked("the engine does not tell about itself", "invoke engine status")
        return EngineInfo(document, before, time.time())

    @property
    def same_machine(self) -> bool:
        """Whether the engine's folders are folders of this machine."""
        return self.data_folder is not None

    @property
    def data_folder(self) -> Path | None:
        """Where the engine keeps its data; None when that is on another (virtual) machine."""
        endpoint = self.engine.endpoint
        if not endpoint.docker_host.startswith("unix://") or self.virtual_machine:
            return None
        folder = Path(str(self.info.document.get("DockerRootDir") or ""))
        return folder if folder.is_absolute() and folder.is_dir() else None

    @property
    def virtual_machine(self) -> str:
        """The program that runs the engine in a virtual machine; empty for any other engine."""
        system = str(self.info.document.get("OperatingSystem") or "")
        if "Docker Desktop" in system:
            return "Docker Desktop"
        kinds = {"docker-desktop": "Docker Desktop", "colima": "Colima", "orbstack": "OrbStack"}
        return kinds.get(self.engine.endpoint.kind, "")

    @Fact
    def builders(self) -> tuple[Mapping[str, Any], ...]:
        """The builders that buildx knows, with their nodes and policies.

        Raises:
            NotChecked: buildx does not tell.
        """
        command = self.engine.endpoint.command(
            "buildx", "ls", "--format", "json", timeout_s=ASK_LIMIT_S
        )
        try:
            outcome = run(command)
        except RebakeError as error:
            raise NotChecked(error.what, "docker buildx ls") from error
        found = [read_json(line) for line in outcome.stdout.splitlines() if line.strip()]
        if not outcome.ok or not all(isinstance(entry, dict) for entry in found) or not found:
            raise NotChecked(
                "this buildx does not list its builders as JSON", "update buildx: 0.13 or newer"
            )
        return tuple(cast("list[Mapping[str, Any]]", found))

    @property
    def builder(self) -> Mapping[str, Any]:
        """The builder that builds go to.

        Raises:
            NotChecked: buildx does not tell.
        """
        found = next((entry for entry in self.builders if entry.get("Current")), None)
        if found is None:
            raise NotChecked("buildx has no current builder", "docker buildx use default")
        return found

    @Fact
    def client(self) -> Endpoint:
        """A docker client, with the engine where there is one: some questions need none.

        Raises:
            NotChecked: there is no client.
        """
        if isinstance(self.found, Detected):
            return self.found.endpoint
        clients = detect.clients(self.around)
        if not clients:
            raise NotChecked("there is no docker client here", "invoke engine install")
        return clients[0]

    # --- the project ---

    @Fact
    def contexts(self) -> tuple[Context, ...]:
        """The folders that travel to the builder.

        Raises:
            ProjectError: a folder or an ignore file can't be read.
        """
        project = self.project
        folders = {**project.folders, "tools": project.bake_file.parent / "tools"}
        return tuple(
            _context(name, folder, project.dockerfiles.get(name, folder / "Dockerfile"))
            for name, folder in folders.items()
            if folder.is_dir()
        )

    @Fact
    def dockerfiles(self) -> tuple[Dockerfile, ...]:
        """The Dockerfiles of both halves and beside the bake file.

        Raises:
            ProjectError: one can't be read.
        """
        project = self.project
        folders = dict.fromkeys([*project.folders.values(), project.bake_file.parent, project.root])
        found = {
            file: None
            for folder in folders
            for pattern in ("Dockerfile", "Dockerfile.*", "*.Dockerfile")
            for file in sorted(folder.glob(pattern))
            if file.is_file() and not file.name.endswith(".dockerignore")
        }
        return tuple(read_dockerfile(file) for file in found)

    def dockerfile(self, folder: Path, name: str = "Dockerfile") -> Dockerfile | None:
        """The Dockerfile of that name in a folder, or None."""
        return next((one for one in self.dockerfiles if one.path == folder / name), None)

    def stop(self) -> None:
        """Start no more programs: the user breaks the run off."""
        self._stopped.set()

    def output(self, command: Command) -> tuple[str, str]:
        """Run a short command; return its output, and what went wrong (empty when nothing did).

        Raises:
            NotChecked: the program is not there, or the run is being broken off.
        """
        if self._stopped.is_set():
            raise NotChecked("broken off")
        try:
            outcome = run(command)
        except ProgramMissing as error:
            raise NotChecked(error.what, "invoke engine install") from error
        if outcome.ok:
            return outcome.stdout, ""
        lines = [line for line in outcome.tail(4) if line.strip()]
        return "", " ".join(lines) or f"exit code {outcome.returncode}"


def read_json(text: str) -> Any:  # noqa: ANN401 - as json.loads gives it
    """The value of a JSON text; None when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _context(name: str, folder: Path, dockerfile: Path) -> Context:
    ignore = ignore_file(folder, dockerfile)
    sizes = {
        path: (folder / path).lstat().st_size for path in walk(folder, IgnoreMatcher.load(ignore))
    }
    return Context(name, folder, ignore, sizes)
