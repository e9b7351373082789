"""The tasks that show and check: config, doctor."""

from __future__ import annotations

from rebake.results import SCHEMA_VERSION
from rebake.tasks.face import task
from rebake.tasks.session import Session


@task("config", flags={"defaults": "print every key with its default and what it means"})
def config(session: Session, defaults: bool = False) -> dict[str, object] | None:
    """Show the effective settings and where each one comes from."""
    from rebake.config.load import defaults_text

    if defaults:
        if session.as_json:
            import tomllib

            return {"schema_version": SCHEMA_VERSION, "defaults": tomllib.loads(defaults_text())}
        session.reporter.result(defaults_text().rstrip())
        return None
    loaded = session.project.loaded
    values = loaded.values()
    if not session.as_json:
        rows = [(key, str(value), loaded.sources.get(key, "")) for key, value in values.items()]
        session.reporter.table(("key", "value", "from"), rows)
    return {
        "schema_version": SCHEMA_VERSION,
        "root": str(loaded.root),
        "name": session.project.name,
        "values": values,
        "sources": {key: loaded.sources.get(key, "") for key in values},
    }


@task("doctor")
def doctor(session: Session) -> dict[str, object] | None:
    """Check the engine, the project and its settings; say what to mend."""
    from rebake.errors import ChecksFailed
    from rebake.tasks.checkup import examine

    findings = examine(session)
    if not session.as_json:
        session.reporter.findings(findings)
    document: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "findings": [finding.document() for finding in findings],
    }
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        if session.as_json:
            from rebake.report.json import write_document

            write_document(document)
        raise ChecksFailed([finding.message for finding in errors])
    return document
