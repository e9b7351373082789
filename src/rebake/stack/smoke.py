"""The smoke tests of the production images: does what is shipped start, answer, keep and stop?

The images are built through rebake, which skips what is there, and run by the production compose
file, with its hardening, under a name, a volume and ports of their own. Nothing of it is left.
"""

from __future__ import annotations

import http
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout
from msgspec import Struct, field
from msgspec.structs import replace

from rebake.engine.endpoint import Endpoint
from rebake.errors import Busy, CommandFailed
from rebake.process import Command, Outcome, run, start
from rebake.project.project import Project
from rebake.stack.plan import compose_words, down_words, variable_name
from rebake.stack.smoke_requests import HalfSent, ask, round_trip

_BUILD_S = 1500.0
_RUN_S = 60.0
_STOP_S = 60.0
_NOTICED_S = 3.0  # after SIGTERM, until a service takes no new request any more
_POLL_S = 0.05
_LOG_TAIL = 30
_HARDENED = ("--network", "none", "--read-only", "--cap-drop", "ALL")
_NO_MORE_RIGHTS = ("--security-opt", "no-new-privileges:true")


class Findings(Struct):
    """What the tests found, one line each."""

    lines: list[str] = field(default_factory=list)
    failed: bool = False

    def add(self, what: str, fault: str) -> None:
        """Note a test; an empty fault means that it passed."""
        self.failed |= bool(fault)
        self.lines.append(f"FAILED: {what}: {fault}" if fault else f"ok: {what}")


def run_smoke(project: Project, endpoint: Endpoint) -> Outcome:
    """Build the production images, run them, and put them through the tests.

    Args:
        project: the project.
        endpoint: the engine.

    Returns:
        A line for each test, `ok: …` or `FAILED: …`; exit code 1 when one failed.

    Raises:
        Busy: another run of these tests is going on for this folder.
        CommandFailed: the images could not be built, or not started.
    """
    started = time.monotonic()
    found = Findings()
    project.state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(project.state / "smoke.lock")
    try:
        with lock.acquire(timeout=0):
            images = _build(project)
            scratch = project.root / ".rebake"
            scratch.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=scratch, prefix="smoke-") as folder:
                _Smoke(project, endpoint, images, Path(folder), found).run()
    except Timeout:
        raise Busy(f"the smoke tests of {project.root}", "another run of them") from None
    text = "".join(f"{line}\n" for line in found.lines)
    return Outcome(("smoke",), int(found.failed), text, "", time.monotonic() - started)


def override_document(refs: Mapping[str, str]) -> str:
    """The compose file that lays these images over those of the project's own file. Pure."""
    return json.dumps({"services": {name: {"image": ref} for name, ref in refs.items()}}, indent=2)


def ports_of(text: str) -> dict[str, int]:
    """Each service's port on this machine, from `docker compose ps --format json`. Pure."""
    found = {}
    for line in text.splitlines():
        if line.strip():
            entry = json.loads(line)
            ports = [p["PublishedPort"] for p in entry.get("Publishers") or ()]
            if any(ports):
                found[str(entry["Service"])] = next(int(port) for port in ports if port)
    return found


def exit_codes_of(text: str) -> dict[str, int]:
    """Each ended container's exit code, from `docker compose ps --all --format json`. Pure."""
    entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    return {e["Service"]: int(e.get("ExitCode", 0)) for e in entries if e.get("State") == "exited"}


def _not_ok(url: str) -> str:
    answer = ask("GET", url)
    return "" if answer.status == http.HTTPStatus.OK else f"{url} answers {answer}"


def _takes_no_more(url: str) -> bool:
    """Wait until a service that was told to stop refuses new requests."""
    deadline = time.monotonic() + _NOTICED_S
    while time.monotonic() < deadline:
        if not ask("GET", url, timeout_s=_NOTICED_S).status:
            return True
        time.sleep(_POLL_S)
    return False


def _build(project: Project) -> Mapping[str, Mapping[str, str]]:
    """Build what is not there yet; return ref and build id of each service's image."""
    words = (sys.executable, "-P", "-m", "rebake.cli", "build", "--json", "--progress", "quiet")
    command = Command.of(*words, cwd=project.root, timeout_s=_BUILD_S, what="rebake build")
    outcome = run(command).check("invoke build shows all of it")
    images: Mapping[str, Mapping[str, str]] = json.loads(outcome.stdout)["images"]
    return images


class _Smoke:
    """One run of the tests."""

    def __init__(
        self,
        project: Project,
        endpoint: Endpoint,
        images: Mapping[str, Mapping[str, str]],
        folder: Path,
        found: Findings,
    ) -> None:
        self._project = project
        self._endpoint = endpoint
        self._services = [name for name in project.config.services if name in images]
        self._images = images
        self._found = found
        self._name = f"{project.name}-smoke"
        self._file = project.compose_file("prod")
        self._override = folder / "compose.json"
        refs = {name: image["ref"] for name, image in images.items()}
        self._override.write_text(override_document(refs), encoding="utf-8")
        # Port 0: any free one, chosen by the engine at the moment when it takes it.
        self._variables = {
            "BIND_ADDRESS": "127.0.0.1",
            **{f"{variable_name(name)}_PORT": "0" for name in images},
        }

    def run(self) -> None:
        """All tests, whatever becomes of the others; what cannot be started ends them."""
        for service, image in self._images.items():
            self._found.add(f"{service} --version tells its build id", self._version(image))
        self._down()  # what a run left that was killed
        try:
            self._up()
            urls = self._urls()
            for service in self._services:
                if service in urls:
                    fault = _not_ok(f"{urls[service]}/healthz")
                    self._found.add(f"{service} answers /healthz", fault)
            takers = self._round_trips(urls)
            for service in reversed(self._services):
                self._stop(service, urls.get(service, ""), under_way=service in takers)
        finally:
            self._down()

    def _version(self, image: Mapping[str, str]) -> str:
        words = ("run", "--rm", *_HARDENED, *_NO_MORE_RIGHTS, image["ref"], "--version")
        outcome = run(self._endpoint.command(*words, timeout_s=_RUN_S))
        if not outcome.ok:
            return f"exit code {outcome.returncode}: {' '.join(outcome.tail(3))}"
        expected = image["build_id"]
        return "" if expected in outcome.stdout else f"{outcome.stdout.strip()}, not {expected}"

    def _up(self) -> None:
        limit = self._project.config.prod.start_timeout_s
        outcome = self._compose(
            *("up", "--detach", "--no-build", "--pull", "never"),
            *("--wait", "--wait-timeout", str(limit), *self._images),
            timeout_s=limit + _RUN_S,
        )
        if not outcome.ok:
            logs = self._compose("logs", "--no-color", "--tail", str(_LOG_TAIL)).stdout
            tail = [*outcome.tail(), *logs.splitlines()]
            raise CommandFailed(outcome.argv, outcome.returncode, tail)
        self._found.add("all services become healthy", "")

    def _urls(self) -> dict[str, str]:
        ports = ports_of(self._compose("ps", "--format", "json").check().stdout)
        return {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}

    def _round_trips(self, urls: Mapping[str, str]) -> Sequence[str]:
        """Test each service that has the resource; return them."""
        table = self._project.config.smoke
        if not table.resource:
            return ()
        takers = [name for name, url in urls.items() if ask("GET", url + table.resource).good]
        if not takers:
            self._found.add("create, read, delete", f"no service answers GET {table.resource}")
        for service in takers:
            fault = round_trip(urls[service], table.resource, table.body)
            self._found.add(f"{service}: create, read, delete of {table.resource}", fault)
        return takers

    def _stop(self, service: str, url: str, *, under_way: bool) -> None:
        """Stop one service; a request that it has under way must end well."""
        stop = (*self._file_words(), "stop", service)
        command = self._endpoint.command(*stop, env=self._variables, timeout_s=_STOP_S)
        if under_way:
            fault = self._stop_during_a_request(command, url)
            self._found.add(f"{service} stops, and answers the request under way", fault)
        else:
            run(command).check()
        codes = exit_codes_of(self._compose("ps", "--all", "--format", "json").check().stdout)
        code = codes.get(service)
        fault = "" if code == 0 else f"exit code {code}" if code else "it still runs"
        self._found.add(f"{service} ends with 0 on SIGTERM", "" if code == 0 else fault)

    def _stop_during_a_request(self, command: Command, url: str) -> str:
        table = self._project.config.smoke
        try:
            with HalfSent(url, table.resource, table.body) as request:
                running = start(command)
                try:
                    noticed = _takes_no_more(f"{url}/healthz")
                    answer = request.finish()
                finally:
                    running.wait(_STOP_S)
        except OSError as error:
            return f"POST {table.resource}: {error}"
        if not answer.good:
            return f"POST {table.resource} answers {answer}"
        return "" if noticed else "it goes on taking new requests after SIGTERM"

    def _down(self) -> None:
        words = down_words(self._name, self._file, volumes=True)
        command = self._endpoint.command(*words, env=self._variables, timeout_s=_STOP_S)
        # Ctrl-C stops what runs, which this may be: once more, then.
        if not run(command).ok:
            run(command).check(f"docker compose --project-name {self._name} down --volumes")

    def _compose(self, *words: str, timeout_s: float = _RUN_S) -> Outcome:
        command = self._endpoint.command(*self._file_words(), *words, env=self._variables)
        return run(replace(command, timeout_s=timeout_s))

    def _file_words(self) -> tuple[str, ...]:
        return compose_words(self._name, self._file, "--file", str(self._override))
