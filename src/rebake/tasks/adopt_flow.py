"""The flow of `adopt`: flags in, words and a document out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rebake.errors import UsageError
from rebake.results import SCHEMA_VERSION

if TYPE_CHECKING:
    from rebake.scaffold.adopt import Adopted
    from rebake.tasks.session import Session


def adopt(
    session: Session,
    words: Sequence[str],
    *,
    data: Sequence[str],
    answers_file: str,
    yes: bool,
    source: str,
    revision: str,
) -> dict[str, object]:
    """Adopt a project; see `scaffold.adopt`."""
    from rebake.scaffold.adopt import Wish
    from rebake.scaffold.adopt import adopt as put_on_the_fast_build
    from rebake.tasks.scaffold_flow import at_a_terminal, from_file, from_words, source_of

    if len(words) > 1:
        raise UsageError(f"adopt takes one folder, not {len(words)}", "rebake adopt FOLDER")
    wish = Wish(
        Path(words[0] if words else "."),
        source_of(source),
        revision,
        {**from_file(answers_file), **from_words(data)},
    )
    asks = not yes and at_a_terminal(session)

    def agreed(adopted: Adopted) -> bool:
        if not asks:
            return True
        from rebake.report.prompt import confirm

        for line in _found(adopted):
            session.say(line)
        session.reporter.close()
        return confirm(f"Write {len(adopted.files)} new files? Nothing else is changed.")

    adopted = put_on_the_fast_build(wish, session.say, dry_run=session.dry_run, agreed=agreed)
    for note in adopted.notes:
        session.note(note)
    if not session.as_json:
        _show(session, adopted)
    return document_of(adopted, session.seconds, dry_run=session.dry_run)


def _show(session: Session, adopted: Adopted) -> None:
    result = session.reporter.result
    for line in _found(adopted):
        result(line)
    if session.dry_run:
        for name in adopted.files:
            text = adopted.plan.files.get(name)
            result(f"+++ {name}")
            # What is the template's own, byte for byte, is listed alone.
            if text is not None and name not in _AS_IT_IS:
                for line in text.splitlines():
                    result(f"+{line}")
        return
    for name in adopted.files:
        result(f"  new     {name}")
    result(f"{adopted.facts.root}: {len(adopted.files)} new files, nothing else was changed")
    result(f"  next: {adopted.plan.command}")
    result("  undo: delete these files")


_AS_IT_IS = frozenset({"tasks.py", "noxfile.py", "scripts/bootstrap.py"})


def _found(adopted: Adopted) -> Iterator[str]:
    """What was found, and what becomes of it."""
    facts = adopted.facts
    compose = facts.compose.path.relative_to(facts.root).as_posix()
    yield f"cargo workspace: {facts.backend}"
    if facts.ui:
        yield f"UI: {facts.ui.path} ({facts.ui.manager})"
    yield f"compose file: {compose}"
    for one in facts.mapped:
        made = "the UI" if one.name == "ui" else f"the program {one.name}"
        yield f"  {one.service.name}: {made}, {one.dockerfile} → the fast build ({one.stage})"
    for name, reason in facts.left.items():
        yield f"  {name}: stays as it is: {reason}"


def document_of(adopted: Adopted, seconds: float, *, dry_run: bool) -> dict[str, object]:
    """Return the document of `adopt`."""
    facts = adopted.facts
    return {
        "schema_version": SCHEMA_VERSION,
        "root": str(facts.root),
        "name": adopted.name,
        "workspace": facts.backend,
        "ui": {"path": facts.ui.path, "manager": facts.ui.manager} if facts.ui else None,
        "compose": facts.compose.path.relative_to(facts.root).as_posix(),
        "services": {
            one.service.name: {
                "service": one.name,
                "dockerfile": one.dockerfile,
                "target": one.stage,
            }
            for one in facts.mapped
        },
        "left": dict(facts.left),
        "override": adopted.plan.override,
        "command": adopted.plan.command,
        "files": list(adopted.files),
        "template": adopted.template,
        "template_commit": adopted.template_commit,
        **({"dry_run": True} if dry_run else {}),
        **({"notes": list(adopted.notes)} if adopted.notes else {}),
        "seconds": round(seconds, 3),
    }
