"""What a check says: how bad it is, what was found, why it matters, and how to mend it."""

from __future__ import annotations

from msgspec import Struct

from rebake.doctor.mend import Mend
from rebake.results import Finding, Level


class Diagnosis(Struct, frozen=True):
    """One thing that a check found.

    Attributes:
        level: `error` (a build or a stack fails or is wrong), `warning` (slow, or risky), `ok`.
        message: what was found.
        why: why it matters; empty where all is well.
        fix: how to mend it, in a person's words or as a command.
        mends: what `--fix` does about it; empty where that is left to the user.
    """

    level: Level
    message: str
    why: str = ""
    fix: str = ""
    mends: tuple[Mend, ...] = ()

    def finding(self, check: str) -> Finding:
        """The same as a result that leaves this room."""
        return Finding(check, self.level, self.message, self.fix, bool(self.mends), self.why)


class NotChecked(Exception):
    """A check can't look: what it needs is not there. Never counted as passed."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


def ok(message: str) -> Diagnosis:
    """All is well."""
    return Diagnosis("ok", message)


def warning(message: str, *, why: str, fix: str, mends: tuple[Mend, ...] = ()) -> Diagnosis:
    """It works, but slowly or not for long."""
    return Diagnosis("warning", message, why, fix, mends)


def error(message: str, *, why: str, fix: str, mends: tuple[Mend, ...] = ()) -> Diagnosis:
    """Something fails, or is not safe."""
    return Diagnosis("error", message, why, fix, mends)


def listed(names: list[str], most: int = 3) -> str:
    """The first few of a list, and how many more there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
