"""What `doctor` does: look, mend what is safe when asked, look again, tell."""

from __future__ import annotations

from rebake.doctor.case import Case
from rebake.doctor.mend import Mend
from rebake.doctor.run import Check, Report, choose, examine, findings
from rebake.errors import ChecksFailed
from rebake.results import SCHEMA_VERSION, Finding
from rebake.tasks.session import Session


def run(session: Session, names: str, *, fix: bool) -> dict[str, object]:
    """Examine project and engine, and mend what `--fix` may.

    Args:
        session: the task's.
        names: checks, with commas; all when empty.
        fix: mend what is safe to mend; a dry run only says what.

    Raises:
        ConfigError, NotAProject: rebake.toml can't be used, so nothing else can be looked at.
        UnknownName: there is no such check.
        ChecksFailed: there are errors; they were shown.
    """
    project = session.project
    checks = choose([name for part in names.split(",") if (name := part.strip())])
    report = _look(session, checks)
    mends = tuple(dict.fromkeys(m for _, found in report for d in found for m in d.mends))
    if fix:
        if not mends:
            session.say("--fix: there is nothing that it could mend")
        for mend in mends:
            session.say(f"{'would ' if session.dry_run else ''}{mend.words}")
            if not session.dry_run:
                mend.apply()
        if mends and not session.dry_run:
            report = _again(session, report)
    found = findings(report)
    if not session.as_json:
        session.reporter.findings(found)
        _close(session, found, fixed=fix)
    document: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "findings": [finding.document() for finding in found],
    }
    if fix:
        document["fixed"] = [_shown(mend, str(project.root)) for mend in mends]
    if session.dry_run:
        document["dry_run"] = True
    errors = [finding for finding in found if finding.level == "error"]
    if errors:
        if session.as_json:
            from rebake.report.json import write_document

            write_document(document)
        raise ChecksFailed([finding.message for finding in errors])
    return document


def _look(session: Session, checks: tuple[Check, ...]) -> Report:
    return examine(Case(session.project, remember=not session.dry_run), checks)


def _again(session: Session, before: Report) -> Report:
    """Look once more where something was mended: what is told is what is so afterwards."""
    mended = tuple(check for check, found in before if any(d.mends for d in found))
    after = {check.name: found for check, found in _look(session, mended)}
    return [(check, after.get(check.name, found)) for check, found in before]


def _shown(mend: Mend, root: str) -> str:
    return mend.words.replace(f"{root}/", "")


def _close(session: Session, found: list[Finding], *, fixed: bool) -> None:
    """The last line: how much there is, and what to do about it."""
    count = {level: sum(f.level == level for f in found) for level in ("error", "warning", "ok")}
    fixable = sum(f.fixable for f in found)
    words = f"{_many(count['error'], 'error')}, {_many(count['warning'], 'warning')}"
    words += f", {count['ok']} ok"
    if fixable and not fixed:
        words += f"; invoke doctor --fix mends {fixable} of them (--dry-run shows how)"
    session.say(words)


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
