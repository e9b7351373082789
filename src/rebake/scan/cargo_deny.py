"""cargo-deny: what it is called with, and what its JSON lines tell. Pure.

Written from https://embarkstudios.github.io/cargo-deny/cli/check.html and tried with 0.20. A line
of type `summary` comes only when it has checked; where the advisory database is missing, there is
a line of type `log` at level ERROR, and no summary. It fetches that database with the git
program, which reads settings from the environment (https://git-scm.com/docs/git-config,
`GIT_CONFIG_COUNT`, `url.<base>.insteadOf`): that is how another one stands in for RustSec's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rebake.errors import ScannerFailed
from rebake.process import Outcome
from rebake.scan.findings import Finding, Kind, Severity

TREE = ("bans", "licenses", "sources")
ADVISORIES = ("advisories",)
# What cargo-deny asks where deny.toml names no other.
PUBLIC = "https://github.com/RustSec/advisory-db"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[\w.-]+@[\w.-]+:")
# By their codes: bad or unknown, but no hole.
_MEDIUM = frozenset({"unmaintained", "unsound", "yanked", "notice", "duplicate"})
_SPAN = re.compile(r"([\w-]+) (\d+\.\d+\.\d+\S*)(?: |$)")


def arguments(checks: tuple[str, ...], *, offline: bool) -> list[str]:
    """Return the arguments; cargo puts `deny` in front for its own."""
    flags = ["--locked", "--format", "json", *(["--offline"] if offline else [])]
    return ["deny", *flags, "check", "--hide-inclusion-graph", *checks]


def environment(repository: str, root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what makes another git repository stand in for RustSec's.

    Args:
        repository: its address, or its folder; empty: none stands in.
        root: what a relative folder begins at.
        environ: the environment, whose own settings of git stay.
    """
    if not repository:
        return {}
    if not _ADDRESS.match(repository):
        # As a plain path: git takes it with blanks and without quoting.
        repository = str((root / Path(repository).expanduser()).resolve())
    count = environ.get("GIT_CONFIG_COUNT", "")
    number = int(count) if count.isdecimal() else 0
    return {
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": f"url.{repository}.insteadOf",
        f"GIT_CONFIG_VALUE_{number}": PUBLIC,
    }


def read(outcome: Outcome, target: str) -> list[Finding]:
    """Return what it found.

    Raises:
        ScannerFailed: it did not check, as where the advisory database can't be had.
    """
    lines = list(_lines(outcome.stderr)) + list(_lines(outcome.stdout))
    if not any(line.get("type") == "summary" for line in lines):
        logged = [
            str((line.get("fields") or {}).get("message", "")).strip()
            for line in lines
            if line.get("type") == "log"
        ]
        said = [row for text in logged for row in text.splitlines()] or outcome.tail(6)
        raise ScannerFailed(
            "cargo deny", "it did not check", tuple(said[-6:]),
            "where the advisory database can't be had: scan.advisory_repository names another one; "
            "without a network, cargo deny fetch has to be run on a machine with one",
        )  # fmt: skip
    found = [finding for line in lines for finding in _findings(line, target)]
    if not outcome.ok and not found:
        raise ScannerFailed("cargo deny", f"exit code {outcome.returncode}, and no finding")
    return found


def _findings(line: Mapping[str, Any], target: str) -> Iterator[Finding]:
    fields = line.get("fields") or {}
    if line.get("type") != "diagnostic" or fields.get("severity") not in {"error", "warning"}:
        return
    advisory = fields.get("advisory") or {}
    krate = _crate(fields)
    code = str(fields.get("code") or "")
    kind: Kind = "vulnerability" if code == "vulnerability" else "dependency"
    yield Finding(
        kind, str(advisory.get("id") or f"cargo-deny-{code}"), _severity(fields, code),
        target, str(advisory.get("title") or fields.get("message") or "").partition("\n")[0],
        _solution(fields), package=krate[0], version=krate[1],
        # A solution names the versions; without one, an advisory has none.
        fixed=_solution(fields), url=str(advisory.get("url") or ""), scanner="cargo-deny",
    )  # fmt: skip


def _severity(fields: Mapping[str, Any], code: str) -> Severity:
    if fields.get("severity") == "warning":
        return "low"
    # Most advisories have no score, and a hole is a hole.
    return "medium" if code in _MEDIUM else "high"


def _crate(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Name and version: a label's span begins with them (`ammonia 1.9.0 registry+…`)."""
    for label in fields.get("labels") or ():
        span = _SPAN.match(str(label.get("span") or ""))
        if span is not None:
            return span[1], span[2]
    return str((fields.get("advisory") or {}).get("package") or ""), ""


def _solution(fields: Mapping[str, Any]) -> str:
    for note in fields.get("notes") or ():
        text = str(note)
        if text.startswith("Solution: ") and "No safe upgrade" not in text:
            return text.removeprefix("Solution: ").partition("\n")[0]
    return ""


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
