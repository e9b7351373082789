"""The task that puts a page together of what builds did: report."""

from __future__ import annotations

from rebake.tasks.face import task
from rebake.tasks.session import Session


@task(
    "report",
    flags={
        "output": "where to write the page (default: .rebake/report.html in the project)",
        "build": "number of the build to show (default: the last one)",
        "open": "open the page in the browser",
    },
)
def report(
    session: Session,
    output: str = "",
    build: str = "",
    open: bool = False,  # noqa: A002 - the flag's name
) -> dict[str, object] | None:
    """Write one HTML page about builds, their trend and the benchmark; show the short of it."""
    from rebake.tasks import report_flow, report_words

    view = report_flow.gather(session, build)
    path = report_flow.target(session, output)
    if not session.dry_run:
        report_flow.write(path, report_flow.page_of(view))
    if not session.as_json:
        report_words.show(session, view, path)
    if open and not session.dry_run:
        report_flow.open_in_browser(session, path)
    return report_words.document(session, view, path)
