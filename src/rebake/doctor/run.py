"""Runs the checks side by side: each with a time limit, and none that breaks ends the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from msgspec import Struct

from rebake.doctor import (
    buildkit,
    bun_manifests,
    cache_exports,
    cargo_chef,
    clock,
    compose,
    context,
    cpu,
    disk,
    engine,
    file_sharing,
    files,
    garbage,
    line_ends,
    lock_files,
    memory,
    owners,
    ports,
    release_profile,
    secret_files,
    settings,
    versions,
    workspace,
)
from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, NotChecked
from rebake.errors import RebakeError, UnknownName
from rebake.process import stopping_children
from rebake.results import Finding

Look = Callable[[Case], Iterator[Diagnosis]]
LIMIT_S = 10.0


class Check(Struct, frozen=True):
    """One check.

    Attributes:
        look: yields what it finds.
        limit_s: seconds after which it is not waited for any more.
        needs_engine: whether it is about the engine alone; left out in native mode.
    """

    name: str
    look: Look
    limit_s: float = LIMIT_S
    needs_engine: bool = False


CHECKS = (
    Check("engine", engine.check),
    Check("versions", versions.check, needs_engine=True),
    Check("buildkit", buildkit.check, needs_engine=True),
    Check("gc", garbage.check, needs_engine=True),
    Check("disk", disk.check),
    Check("memory", memory.check, needs_engine=True),
    Check("cpu", cpu.check, needs_engine=True),
    Check("clock", clock.check, needs_engine=True),
    Check("file-sharing", file_sharing.check, needs_engine=True),
    Check("ports", ports.check),
    Check("settings", settings.check),
    Check("files", files.check),
    Check("workspace", workspace.check),
    Check("release-profile", release_profile.check),
    Check("lock-files", lock_files.check),
    Check("context", context.check),
    Check("secrets", secret_files.check),
    Check("owners", owners.check),
    Check("line-ends", line_ends.check),
    Check("cargo-chef", cargo_chef.check),
    Check("bun-manifests", bun_manifests.check),
    Check("cache-exports", cache_exports.check),
    Check("compose", compose.check),
)
_ORDER = {"error": 0, "warning": 1, "ok": 2}
Report = list[tuple[Check, list[Diagnosis]]]


def choose(names: Sequence[str], checks: Sequence[Check] = CHECKS) -> tuple[Check, ...]:
    """The checks of these names, or all.

    Raises:
        UnknownName: there is none of that name.
    """
    known = {check.name: check for check in checks}
    for name in names:
        if name not in known:
            raise UnknownName("check", name, list(known))
    return tuple(known[name] for name in dict.fromkeys(names)) if names else tuple(checks)


def examine(case: Case, checks: Sequence[Check]) -> Report:
    """Run checks side by side; in the order in which they were given.

    Raises:
        Interrupted: Ctrl-C; what the checks had started was stopped.
    """
    if case.project.config.engine.kind == "native":
        checks = [check for check in checks if not check.needs_engine]
    queue: SimpleQueue[tuple[str, list[Diagnosis]]] = SimpleQueue()
    started = time.monotonic()
    found: dict[str, list[Diagnosis]] = {}
    with stopping_children("doctor", before=case.stop):
        for check in checks:
            # Daemons: one that hangs must not keep the process from its end.
            threading.Thread(target=_run, args=(check, case, queue), daemon=True).start()
        while waiting := [check for check in checks if check.name not in found]:
            now = time.monotonic() - started
            for check in waiting:
                if now >= check.limit_s:
                    found[check.name] = [_too_slow(check)]
            left = [check.limit_s for check in waiting if check.name not in found]
            if not left:
                break
            try:
                name, diagnoses = queue.get(timeout=min(left) - now)
                found.setdefault(name, diagnoses)
            except Empty:
                continue
    return [(check, found[check.name]) for check in checks]


def findings(report: Report) -> list[Finding]:
    """All findings, the bad ones first. Pure."""
    every = [diagnosis.finding(check.name) for check, found in report for diagnosis in found]
    return sorted(every, key=lambda finding: _ORDER[finding.level])


def _run(check: Check, case: Case, queue: SimpleQueue[tuple[str, list[Diagnosis]]]) -> None:
    queue.put((check.name, look(check, case)))


def look(check: Check, case: Case) -> list[Diagnosis]:
    """Run one check to its end, whatever becomes of it."""
    found: list[Diagnosis] = []
    try:
        found.extend(check.look(case))
    except NotChecked as missing:
        found.append(Diagnosis("warning", f"not checked: {missing.reason}", "", missing.fix))
    except RebakeError as fault:
        found.append(Diagnosis("error", fault.what, "; ".join(fault.details), fault.hint))
    except Exception as fault:  # noqa: BLE001 - a check that breaks is a finding, not the end
        found.append(
            Diagnosis(
                "error",
                f"the check broke: {type(fault).__name__}: {fault}",
                "nothing is known about what it looks at",
                "please report it, with this line; --check names the others",
            )
        )
    return found


def _too_slow(check: Check) -> Diagnosis:
    return Diagnosis(
        "warning",
        f"not checked: it did not end within {check.limit_s:.0f} s",
        "a program or a disk that it asks does not answer",
        f"invoke doctor --check {check.name}, when the machine is less busy",
    )
