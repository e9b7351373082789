"""Runs the parts of a scan side by side; one that can't be done never counts as passed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct
from msgspec.structs import replace

from rebake.errors import Interrupted, RebakeError
from rebake.process import stopping_children
from rebake.redact import Redactor
from rebake.scan.findings import Finding, PartResult, Policy


class Missing(Exception):
    """A part can't be done, since a tool is not there: the reason is its text."""


class Part(Struct, frozen=True):
    """One part of a scan: its name, and what finds things."""

    name: str
    find: Callable[[], Iterable[Finding]]


def run_parts(
    parts: Sequence[Part],
    policy: Policy,
    *,
    workers: int,
    finished: Callable[[PartResult], None] = lambda _result: None,
) -> tuple[PartResult, ...]:
    """Run all parts, whatever becomes of the others, and return their results in their order.

    Args:
        parts: what to do.
        policy: what counts.
        workers: how many at once.
        finished: told of each end, from any thread.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came; everything that ran was stopped first.
    """

    def work(part: Part) -> PartResult:
        result = run_part(part, policy)
        finished(result)
        return result

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        cancel = _canceller(pool)
        with stopping_children("the scan", before=cancel):
            futures = [pool.submit(work, part) for part in parts]
            return tuple(future.result() for future in futures)


def _canceller(pool: ThreadPoolExecutor) -> Callable[[], None]:
    def cancel() -> None:
        pool.shutdown(wait=False, cancel_futures=True)

    return cancel


def run_part(part: Part, policy: Policy) -> PartResult:
    """Do one part.

    Raises:
        Interrupted: it was broken off.
    """
    started = time.monotonic()
    clean = Redactor.from_environment().text
    try:
        found = tuple(
            policy.judge(replace(finding, message=clean(finding.message), fix=clean(finding.fix)))
            for finding in part.find()
        )
    except Missing as reason:
        return PartResult(part.name, "missing", note=str(reason))
    except Interrupted:
        raise
    except RebakeError as error:
        told = [error.what, *error.details, *([error.hint] if error.hint else [])]
        note = "; ".join(clean(line) for line in told)
        return PartResult(part.name, "broken", (), time.monotonic() - started, note)
    seconds = time.monotonic() - started
    result = PartResult(part.name, "ok", found, seconds)
    if result.failing:
        return PartResult(part.name, "failed", found, seconds)
    return result
