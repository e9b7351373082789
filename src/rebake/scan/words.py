"""A scan in words, for a terminal. Pure."""

from __future__ import annotations

from collections import Counter

from rebake.report.format import shorten, table_lines
from rebake.scan.findings import SEVERITIES, Judged, PartResult, ScanResult

_MESSAGE = 76
_SHOWN: dict[str, str] = {"fails": "FAILS", "ignored": "ignored", "unfixed": "no fix yet",
                          "below": "below limit"}  # fmt: skip


def text_of(result: ScanResult) -> str:
    """Return what is shown of a scan: its parts, what counts, what is let through, the verdict."""
    blocks = [table_lines(("part", "result", "findings", "seconds"), _parts(result))]
    if failing := [one for one in result.all if one.standing == "fails"]:
        blocks.append([line for one in failing for line in _finding(one)])
    others = [one for one in result.all if one.standing != "fails"]
    if others:
        blocks.append(_others(others))
    unused = result.policy.unused(one.finding for one in result.all)
    if unused:
        blocks.append([f"ignore of {one.id}: nothing is found any more" for one in unused])
    blocks.append([*[f"NOT PASSED: {fault}" for fault in result.faults], verdict(result)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def verdict(result: ScanResult) -> str:
    """Return the last line."""
    counts = Counter(one.finding.severity for one in result.all if one.standing == "fails")
    found = ", ".join(f"{counts[name]} {name}" for name in reversed(SEVERITIES) if counts[name])
    images = len(result.images)
    what = f"{images} image{'' if images == 1 else 's'}, limit {result.policy.limit}"
    if result.faults:
        return f"scan: could not be done ({what}{f'; found so far: {found}' if found else ''})"
    missing = [part.name for part in result.parts if part.state == "missing"]
    left = f"; not looked at: {', '.join(missing)}" if missing else ""
    return f"scan: {found or 'passed'} ({what}, {result.seconds:.1f} s){left}"


def _parts(result: ScanResult) -> list[tuple[str, ...]]:
    return [
        (
            part.name,
            "skipped: missing" if part.state == "missing" else part.state,
            _count(part),
            f"{part.seconds:.1f}",
            *([part.note] if part.state == "missing" else []),
        )
        for part in result.parts
    ]


def _count(part: PartResult) -> str:
    if part.state in {"missing", "broken"}:
        return "-"
    more = len(part.findings) - len(part.failing)
    return f"{len(part.failing)}" + (f" (+{more})" if more else "")


def _finding(one: Judged) -> list[str]:
    found = one.finding
    lines = [f"{found.severity.upper()} {found.id}: {found.where}", f"  {found.message}"]
    return [*lines, f"  next: {found.fix}"] if found.fix else lines


def _others(others: list[Judged]) -> list[str]:
    rows = [
        (
            _SHOWN[one.standing]
            + (f" until {one.ignore.expires.isoformat()}" if one.ignore is not None else ""),
            one.finding.severity,
            one.finding.id,
            one.finding.where,
            shorten(one.finding.message, _MESSAGE),
        )
        for one in others
    ]
    return table_lines(("let through", "severity", "id", "where", "what"), rows)
