"""Finds the engine to use, in a fixed order, and checks that it is good enough.

DOCKER_HOST, the docker context, the default socket, Docker Desktop, Colima, OrbStack, Podman, and
last our own private engine. Every candidate is really asked. A result is remembered; it is used
again for as long as the engine answers a ping and nothing that led to it has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
from msgspec import Struct
from msgspec.structs import replace

from rebake import process
from rebake.engine import detect_memory, versions
from rebake.engine.endpoint import Endpoint, Kind
from rebake.engine.home import Home
from rebake.engine.ping import ping
from rebake.engine.versions import Versions
from rebake.errors import NoEngine, ProgramMissing, TimedOut
from rebake.process import Command

ASK_LIMIT_S = 5.0
_PING_LIMIT_S = 1.0
_WINDOWS = sys.platform == "win32"


class Candidate(Struct, frozen=True):
    """A place where an engine may be.

    Attributes:
        named: the user named it, so nothing else will do when it does not answer.
    """

    kind: Kind
    docker_host: str
    named: bool = False


class Detected(Struct, frozen=True):
    """An engine that answers and is good enough."""

    endpoint: Endpoint
    versions: Versions
    driver: str = ""
    tried: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """The part of `--json` for the engine in use."""
        return {
            **self.endpoint.document(),
            "state": "running",
            "versions": self.versions.document(),
            "storage_driver": self.driver,
        }


class Surroundings(Struct, frozen=True):
    """What detection depends on; made from the real machine by `here`, or by a test."""

    environ: Mapping[str, str]
    user_home: Path
    home: Home
    cache: Path
    platform: str = sys.platform

    @classmethod
    def here(cls) -> Surroundings:
        """Return those of this process."""
        return cls(
            environ=os.environ,
            user_home=Path.home(),
            home=Home.default(),
            cache=platformdirs.user_cache_path("rebake") / "engines.json",
        )

    @property
    def docker_config(self) -> Path:
        """The folder of the client's configuration."""
        return Path(self.environ.get("DOCKER_CONFIG") or self.user_home / ".docker")


def detect(
    surroundings: Surroundings | None = None, *, fresh: bool = False, remember: bool = True
) -> Detected:
    """Find the engine to use.

    Args:
        surroundings: where to look; this process's own when None.
        fresh: do not use a remembered result.
        remember: write the result down for the next time.

    Raises:
        NoEngine: none answers, or none is good enough; it lists what was tried.
    """
    around = surroundings or Surroundings.here()
    places = candidates(around)
    if not fresh and (known := detect_memory.recall(around, places)) is not None:
        return Detected(*known)
    tried: list[str] = []
    fault = ""
    for place in places:
        found, word = _ask(place, around)
        if found is not None:
            result = replace(found, tried=tuple(tried))
            if remember:
                detect_memory.remember(around, place, result)
            return result
        tried.append(f"{place.kind}: {place.docker_host}: {word}")
        if not word.startswith(_SILENT) and not fault:
            fault = f"{place.docker_host}: {word}"
        if place.named:
            break
    raise _none(around, tried, fault, named=bool(places) and places[0].named)


def examine(endpoint: Endpoint) -> Detected:
    """Ask one engine that is known to run.

    Raises:
        NoEngine: it does not answer, or is not good enough.
    """
    found, word = _ask_with(endpoint)
    if found is None:
        raise NoEngine(f"{endpoint.docker_host}: {word}", found_unusable=True)
    return found


def candidates(around: Surroundings) -> list[Candidate]:
    """Return where to look, in order; places that can't exist on this system are left out."""
    found: list[Candidate] = []
    env = around.environ
    if env.get("DOCKER_HOST"):
        host = env["DOCKER_HOST"]
        kind: Kind = "private" if host == around.home.docker_host else "host-env"
        return [Candidate(kind, host, named=True)]
    context = _context(around)
    if context is not None:
        found.append(context)
        if context.named:
            return found
    found += [Candidate(kind, host) for kind, host in _usual_places(around)]
    if around.platform.startswith("linux"):
        found.append(Candidate("private", around.home.docker_host))
    seen: set[str] = set()
    return [
        place
        for place in found
        if place.docker_host not in seen and not seen.add(place.docker_host)  # type: ignore[func-returns-value]
    ]


def context_host(config_folder: Path, name: str) -> str:
    """Return the engine's address of a docker context; empty when there is no such context."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    file = config_folder / "contexts" / "meta" / digest / "meta.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return str(document["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def clients(around: Surroundings) -> list[Endpoint]:
    """Return the clients that could be used: the one on PATH, then our own unpacked one.

    Each as an endpoint without an address.
    """
    from rebake.engine import private

    found = []
    on_path = process.which("docker", around.environ.get("PATH"))
    own = private.endpoint(around.home)
    if on_path is not None and on_path.resolve() != own.docker.resolve():
        found.append(Endpoint("default", "", on_path))
    if own.docker.is_file():
        found.append(replace(own, kind="default", docker_host=""))
    return found


_SILENT = "no answer"
_INFO = "{{.Driver}}{{range .ClientInfo.Plugins}}{{println}}{{.Name}} {{.Path}}{{end}}"


def _ask(place: Candidate, around: Surroundings) -> tuple[Detected | None, str]:
    """Ask one candidate; return what was found, or a word about why not."""
    local = place.docker_host.startswith(("unix://", "npipe://"))
    if local and ping(place.docker_host, _PING_LIMIT_S) is None:
        return None, _why_silent(place.docker_host)
    tools = clients(around)
    if place.kind == "private":
        from rebake.engine import private

        tools = [private.endpoint(around.home)]
    if not tools:
        return None, "the engine answers, but there is no docker client: invoke engine install"
    words: list[str] = []
    for tool in tools:
        found, word = _ask_with(replace(tool, kind=place.kind, docker_host=place.docker_host))
        if found is not None:
            return found, ""
        words.append(word)
        if word.startswith(_SILENT):
            break
    return None, words[0]


def _ask_with(endpoint: Endpoint) -> tuple[Detected | None, str]:
    questions = (
        endpoint.command("version", "--format", "json", timeout_s=ASK_LIMIT_S),
        endpoint.command("buildx", "version", timeout_s=ASK_LIMIT_S),
        endpoint.command("compose", "version", "--short", timeout_s=ASK_LIMIT_S),
        endpoint.command("system", "info", "--format", _INFO, timeout_s=ASK_LIMIT_S),
    )
    with ThreadPoolExecutor(max_workers=len(questions)) as pool:
        version, buildx, compose, info = pool.map(_stdout, questions)
    found = versions.parse_version_json(version)
    if found is None:
        return None, f"{_SILENT} to `docker version` within {ASK_LIMIT_S:.0f} s"
    found = replace(
        found, buildx=versions.parse_buildx(buildx), compose=versions.parse_compose(compose)
    )
    faults = versions.faults(found, compose_v1=process.which("docker-compose") is not None)
    if faults:
        return None, f"engine {found.engine} answers, but " + "; ".join(faults)
    driver, _, plugins = info.strip().partition("\n")
    return Detected(replace(endpoint, buildx=_program("buildx", plugins)), found, driver), ""


def _program(plugin: str, listed: str) -> Path | None:
    """Return the program of a plugin of the client, from lines of name and path."""
    for line in listed.splitlines():
        name, _, path = line.partition(" ")
        if name == plugin and path and Path(path).is_file():
            return Path(path)
    return None


def _stdout(command: Command) -> str:
    try:
        outcome = process.run(command)
    except (ProgramMissing, TimedOut):
        return ""
    # `docker version` prints the client's part even when no engine answers.
    return outcome.stdout if outcome.ok else ""


def _why_silent(docker_host: str) -> str:
    path = Path(docker_host.removeprefix("unix://"))
    if docker_host.startswith("unix://"):
        try:
            if not path.exists():
                return f"{_SILENT} (no such socket)"
        except PermissionError:
            return "not allowed to use this socket"
        if not os.access(path, os.R_OK | os.W_OK):
            return "not allowed to use this socket (is the user in the group docker?)"
    return _SILENT


def _context(around: Surroundings) -> Candidate | None:
    env_name = around.environ.get("DOCKER_CONTEXT", "")
    name = env_name
    if not name:
        try:
            text = (around.docker_config / "config.json").read_text(encoding="utf-8")
            name = str(json.loads(text).get("currentContext") or "")
        except (OSError, ValueError, AttributeError):
            name = ""
    if not name or name == "default":
        return None
    host = context_host(around.docker_config, name)
    if not host:
        return Candidate("context", f"context {name} (not found)", named=True) if env_name else None
    return Candidate("context", host, named=bool(env_name))


def _usual_places(around: Surroundings) -> list[tuple[Kind, str]]:
    home = around.user_home
    if around.platform == "win32":
        return [
            ("default", "npipe:////./pipe/docker_engine"),
            ("docker-desktop", "npipe:////./pipe/dockerDesktopLinuxEngine"),
            ("podman", "npipe:////./pipe/podman-machine-default"),
        ]
    run = around.environ.get("XDG_RUNTIME_DIR", "")
    places: list[tuple[Kind, Path | None]] = [
        ("default", Path("/var/run/docker.sock")),
        ("default", Path(run, "docker.sock") if run else None),
        ("docker-desktop", home / ".docker/run/docker.sock"),
        ("docker-desktop", home / ".docker/desktop/docker.sock"),
        ("colima", home / ".colima/default/docker.sock"),
        ("colima", home / ".config/colima/default/docker.sock"),
        ("orbstack", home / ".orbstack/run/docker.sock"),
        ("podman", Path(run, "podman/podman.sock") if run else None),
        ("podman", home / ".local/share/containers/podman/machine/podman.sock"),
        ("podman", Path("/run/podman/podman.sock")),
    ]
    return [(kind, f"unix://{path}") for kind, path in places if path is not None]


def _none(around: Surroundings, tried: Sequence[str], fault: str, *, named: bool) -> NoEngine:
    if fault:
        reason = f"the Docker engine can't be used: {fault}"
        return NoEngine(
            reason,
            next_step="install what is named above",
            tried=tuple(tried),
            found_unusable=True,
        )
    if named:
        return NoEngine(
            "the engine that DOCKER_HOST or DOCKER_CONTEXT names does not answer",
            next_step="start it, or unset the variable",
            tried=tuple(tried),
            found_unusable=True,
        )
    from rebake.engine import install

    try:
        if around.platform == sys.platform:
            install.require_supported_system()
        next_step = "invoke engine start (sets up a private one for this user)"
        reason = "no Docker engine answers"
    except NoEngine as error:
        reason, next_step = error.reason, error.next_step
    return NoEngine(reason, next_step=next_step, tried=tuple(tried))
