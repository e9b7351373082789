"""The three steps of everyday work, timed against limits: cold build, hot rebuild, `/healthz`.

They run on a copy of the project, under a name of its own. So the cold build is one (there is no
mount, layer or record of that name), and neither the caches nor the files of the project itself,
nor a stack of it that runs, are touched.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from urllib.parse import urlsplit

from msgspec import Struct

from rebake.benchmark.edits import Sources, edited
from rebake.benchmark.rebake_subject import RebakeSubject
from rebake.benchmark.subject import Site, failure
from rebake.errors import UsageError
from rebake.process import run
from rebake.results import SCHEMA_VERSION

Say = Callable[[str], None]
_POLL_S = 0.1
_ANSWER_TIMEOUT_S = 5.0
# Seconds that each step may take, by the variable that sets another limit.
LIMITS = {"COLD_MAX_S": 300.0, "HOT_MAX_S": 30.0, "HEALTH_MAX_S": 60.0}


class Step(Struct, frozen=True):
    """One step: how long it took, how long it may take, and what was wrong with what it gave."""

    name: str
    seconds: float
    limit_s: float
    fault: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was right and quick enough."""
        return not self.fault and self.seconds <= self.limit_s

    def document(self) -> dict[str, object]:
        """The entry in `steps`."""
        return {
            "name": self.name,
            "seconds": round(self.seconds, 3),
            "limit_s": self.limit_s,
            "ok": self.ok,
            "fault": self.fault,
        }


HEADER = ("step", "took", "limit", "kept")


def rows(steps: list[Step]) -> list[tuple[str, ...]]:
    """Rows of the table."""
    return [
        (
            step.name,
            f"{step.seconds:.1f} s",
            f"{step.limit_s:g} s",
            "yes" if step.ok else f"NO{f': {step.fault}' if step.fault else ''}",
        )
        for step in steps
    ]


def document(steps: list[Step], seconds: float) -> dict[str, object]:
    """The document of `--json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "ok": all(step.ok for step in steps),
        "steps": [step.document() for step in steps],
        "seconds": round(seconds, 3),
    }


def limits_from(environ: Mapping[str, str]) -> dict[str, float]:
    """Read the limits from the environment.

    Raises:
        UsageError: one is no positive number.
    """
    found = {}
    for name, usual in LIMITS.items():
        text = environ.get(name, "")
        try:
            found[name] = float(text) if text else usual
        except ValueError:
            raise UsageError(f"{name}={text!r} is not a number", "seconds, such as 30") from None
        if not found[name] > 0:
            raise UsageError(f"{name}={text!r}: more than 0", "seconds, such as 30")
    return found


def run_workflow(site: Site, limits: Mapping[str, float], say: Say) -> list[Step]:
    """Take the three steps.

    Args:
        site: a run of its own.
        limits: as `limits_from` gives them.
        say: told what goes on.

    Raises:
        BuildFailed, EngineLost: a build or the stack failed.
    """
    ports = {
        f"REBAKE_PROD_PORTS_{name.upper().replace('-', '_')}": str(port)
        for name, port in _free_ports(site.layout.images).items()
    }
    subject = RebakeSubject(site, environment=ports)
    texts = [f"{site.run}-edit-{number}" for number in (1, 2)]
    subject.copy.say(Sources(code=texts[0], shared=texts[0], ui=texts[0]))
    with site.made.building():
        say("a cold build, under a name without caches")
        cold = subject.build("all")
        steps = [_built("cold build", cold.seconds, limits["COLD_MAX_S"], subject)]
        subject.copy.say(edited(subject.copy.sources, "code", texts[1]))
        say("a rebuild after an edit of one line")
        hot = subject.build("code")
        steps.append(_built("hot rebuild", hot.seconds, limits["HOT_MAX_S"], subject))
        say("starting the stack")
        try:
            steps.append(_healthy(site, subject, limits["HEALTH_MAX_S"]))
        finally:
            run(subject.command("down", "--volumes"))
    return steps


def _built(name: str, seconds: float, limit_s: float, subject: RebakeSubject) -> Step:
    return Step(name, seconds, limit_s, "; ".join(subject.faults()))


def _healthy(site: Site, subject: RebakeSubject, limit_s: float) -> Step:
    """Start the production stack and ask every service for its health."""
    began = time.monotonic()
    command = subject.command("prod", "--detach", "--json")
    outcome = run(command)
    if not outcome.ok:
        raise failure(site.endpoint, "rebake prod", outcome, outcome.tail())
    urls: Mapping[str, str] = json.loads(outcome.stdout)["urls"]
    waiting = dict(urls)
    fault = ""
    while waiting:
        for name, url in list(waiting.items()):
            fault = _fault_of(name, url)
            if not fault:
                del waiting[name]
        if waiting and time.monotonic() - began > limit_s:
            break
        if waiting:
            time.sleep(_POLL_S)
    return Step("/healthz", time.monotonic() - began, limit_s, fault if waiting else "")


def _fault_of(name: str, url: str) -> str:
    """What is wrong with a service's `/healthz`; empty when all is well."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=_ANSWER_TIMEOUT_S
    )
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{name}: {error}"
    finally:
        connection.close()
    return "" if status == http.client.OK else f"{name}: {url}/healthz answers {status}"


def _free_ports(names: tuple[str, ...]) -> dict[str, int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {n: int(s.getsockname()[1]) for n, s in zip(names, sockets, strict=True)}
