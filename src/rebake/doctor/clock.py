"""Check `clock`: whether the engine's clock and this machine's agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from rebake.doctor.case import Case, EngineInfo
from rebake.doctor.diagnosis import Diagnosis, NotChecked, error, ok, warning

_SMALL_S = 2.0
_LARGE_S = 60.0


def check(case: Case) -> Iterator[Diagnosis]:
    """Compare the clocks."""
    skew = skew_s(case.info)
    if skew is None:
        raise NotChecked("the engine does not tell its time", "docker info")
    how = f"the engine's clock is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    fix = (
        f"restart {case.virtual_machine}: its clock stands still while the machine sleeps"
        if case.virtual_machine
        else "set both clocks by NTP (timedatectl set-ntp true)"
    )
    if abs(skew) >= _LARGE_S:
        yield error(
            how, why="certificates are refused, and tools that compare times go wrong", fix=fix
        )
    elif abs(skew) >= _SMALL_S:
        yield warning(
            how, why="watchers and tools that compare the times of files go wrong", fix=fix
        )
    else:
        yield ok("the clocks of engine and machine agree")


def skew_s(info: EngineInfo) -> float | None:
    """Seconds that the engine's clock is ahead, 0 within the time of the question. Pure."""
    text = str(info.document.get("SystemTime") or "")
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", text)
    if match is None:
        return None
    moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).astimezone(UTC)
    there = moment.timestamp() + float(match[2] or 0)
    if there < info.before:
        return there - info.before
    return max(0.0, there - info.after)
