"""The flows of `new` and `update`: flags in, words and documents out."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rebake.errors import UsageError
from rebake.results import SCHEMA_VERSION

if TYPE_CHECKING:
    from rebake.scaffold.new import Made
    from rebake.scaffold.update import Updated
    from rebake.tasks.session import Session

_NEXT = "python3 scripts/bootstrap.py dev"
_KINDS = {"A": "new", "M": "changed", "D": "gone", "T": "changed"}


def new(
    session: Session,
    words: Sequence[str],
    *,
    data: Sequence[str],
    answers_file: str,
    defaults: bool,
    source: str,
    revision: str,
) -> dict[str, object] | None:
    """Make a project; see `scaffold.new`."""
    from rebake.scaffold.new import Wish, make

    if len(words) != 1:
        raise UsageError(f"new takes one folder, not {len(words)}", "rebake new FOLDER")
    answers = {**from_file(answers_file), **from_words(data)}
    wish = Wish(
        Path(words[0]),
        source_of(source),
        revision,
        answers,
        ask=not defaults and at_a_terminal(session),
    )
    made = make(wish, session.say, dry_run=session.dry_run)
    for note in made.notes:
        session.note(note)
    if not session.as_json:
        if session.dry_run:
            for name in made.files:
                session.reporter.result(name)
        else:
            session.reporter.result(f"{made.root}: {len(made.files)} files, one commit")
            session.reporter.result(f"  next: cd {shlex.quote(str(made.root))} && {_NEXT}")
    return made_document(made, session.seconds, dry_run=session.dry_run)


def made_document(made: Made, seconds: float, *, dry_run: bool) -> dict[str, object]:
    """Return the document of `new`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "root": str(made.root),
        "answers": dict(made.answers),
        "files": list(made.files),
        "template": made.template,
        "template_commit": made.template_commit,
        **({"dry_run": True} if dry_run else {"commit": made.commit}),
        **({"notes": list(made.notes)} if made.notes else {}),
        "seconds": round(seconds, 3),
    }


def update(
    session: Session, *, data: Sequence[str], defaults: bool, source: str, revision: str
) -> dict[str, object] | None:
    """Bring the project up to date; see `scaffold.update`."""
    from rebake.config.load import find_root
    from rebake.scaffold.update import Wish, decide
    from rebake.scaffold.update import update as bring_up_to_date

    wish = Wish(
        find_root(Path.cwd()),
        source,
        revision,
        from_words(data),
        ask=not defaults and at_a_terminal(session),
    )
    updated = bring_up_to_date(wish, session.say, dry_run=session.dry_run)
    for note in updated.notes:
        session.note(note)
    document = updated_document(updated, session.seconds, dry_run=session.dry_run)
    if not session.as_json:
        _show(session, updated)
    elif updated.conflicts:  # an error leaves no document by itself
        from rebake.report.json import write_document

        write_document(document)
    decide(updated)
    return document


def from_words(data: Sequence[str]) -> dict[str, object]:
    """Read answers of the form QUESTION=VALUE.

    Raises:
        UsageError: one has no `=`.
    """
    found: dict[str, object] = {}
    for word in data:
        key, separator, value = word.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--data {word!r} is no QUESTION=VALUE", "--data name=shop")
        found[key.strip()] = value
    return found


def from_file(name: str) -> dict[str, object]:
    """Read a file of answers; those that copier keeps for itself (`_commit`) are left out.

    Raises:
        UsageError: it is no such file.
    """
    if not name:
        return {}
    import yaml

    try:
        document = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"--answers {name}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--answers {name}: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise UsageError(f"--answers {name}: no table of answers", "name: shop")
    return {str(key): value for key, value in document.items() if not str(key).startswith("_")}


def at_a_terminal(session: Session) -> bool:
    """Whether there is a person to ask."""
    return (
        not session.as_json
        and not os.environ.get("CI")
        and sys.stdin.isatty()
        and sys.stdout.isatty()
    )


def source_of(given: str) -> str:
    """Return the template's repository: what was given, else what this toolkit came from.

    Raises:
        UsageError: it came from none.
    """
    from rebake.config.load import find_root
    from rebake.errors import NotAProject
    from rebake.scaffold.render import ANSWERS, read_answers
    from rebake.scaffold.template import own_source

    if given:
        return given
    if own := own_source():
        return own
    try:
        root = find_root(Path.cwd())
    except NotAProject:
        root = None
    if root is not None and (root / ANSWERS).is_file():
        return str(read_answers(root).get("_src_path") or "")
    raise UsageError(
        "this toolkit was installed without the template", "--source REPOSITORY, a clone of rebake"
    )


def _show(session: Session, updated: Updated) -> None:
    if session.dry_run:
        if updated.diff:
            session.reporter.result(updated.diff)
        return
    for change in updated.changes:
        session.reporter.result(f"  {_KINDS.get(change.kind, change.kind):8} {change.path}")
    short = (updated.before[:10], updated.after[:10])
    if updated.changes:
        session.reporter.result("{} → {}; look at git diff, then commit".format(*short))
    else:
        session.reporter.result(f"up to date with {short[1]}")


def updated_document(updated: Updated, seconds: float, *, dry_run: bool) -> dict[str, object]:
    """Return the document of `update`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "template": updated.source,
        "before": updated.before,
        "after": updated.after,
        "changes": {each.path: _KINDS.get(each.kind, each.kind) for each in updated.changes},
        "conflicts": list(updated.conflicts),
        **({"dry_run": True, "diff": updated.diff} if dry_run else {}),
        **({"notes": list(updated.notes)} if updated.notes else {}),
        "seconds": round(seconds, 3),
    }
