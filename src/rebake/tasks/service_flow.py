"""The flows of `add-service`: a service comes, or goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rebake.errors import UsageError
from rebake.results import SCHEMA_VERSION
from rebake.tasks.consent import ask

if TYPE_CHECKING:
    from rebake.scaffold.service_plan import Plan
    from rebake.tasks.session import Session


def add(session: Session, words: Sequence[str]) -> dict[str, object]:
    """Add a service; see `scaffold.service_plan`."""
    from rebake.scaffold.service import carry_out
    from rebake.scaffold.service_plan import plan_addition

    session.project.check_layout("add-service")
    name = _one(words)
    plan = plan_addition(session.project, name)
    if not session.dry_run:
        carry_out(session.project.root, plan)
    _show(session, plan)
    if not session.dry_run and not session.as_json:
        session.reporter.result(f"{name} is a service now; its code: {plan.crate}/src/lib.rs")
        session.reporter.result("  next: invoke dev (again, where it runs)")
    return _document(session, plan, "added")


def remove(session: Session, words: Sequence[str], *, yes: bool) -> dict[str, object]:
    """Remove a service; see `scaffold.service_plan`.

    Raises:
        UsageError: nobody can be asked, or the answer is no.
    """
    from rebake.scaffold.service import carry_out, check_committed
    from rebake.scaffold.service_plan import plan_removal

    session.project.check_layout("add-service")
    name = _one(words)
    plan = plan_removal(session.project, name)
    check_committed(session.project.root, plan)
    if not session.dry_run:
        _ask(session, plan, yes=yes)
        carry_out(session.project.root, plan)
    _show(session, plan)
    if not session.dry_run and not session.as_json:
        session.reporter.result(f"{name} is gone")
        session.reporter.result("  next: invoke down, where the stack runs; then invoke dev")
    return _document(session, plan, "removed")


def _one(words: Sequence[str]) -> str:
    if len(words) != 1:
        raise UsageError(
            f"add-service takes one service, not {len(words)}", "invoke add-service mailer"
        )
    return words[0]


def _ask(session: Session, plan: Plan, *, yes: bool) -> None:
    gone = sum(edit.kind == "gone" for edit in plan.edits)
    if yes:
        return
    unasked = f"invoke add-service {plan.name} --remove --yes"
    ask(
        session,
        f"delete {plan.crate} ({gone} files) and what names {plan.name} elsewhere?",
        refusal=f"--remove deletes {plan.crate} ({gone} files)",
        instead=f"{unasked}; --dry-run shows what it would change",
    )


def _show(session: Session, plan: Plan) -> None:
    if session.as_json:
        return
    if session.dry_run:
        session.reporter.result(plan.diff)
        return
    for edit in plan.edits:
        session.reporter.result(f"  {edit.kind:8} {edit.path}")


def _document(session: Session, plan: Plan, what: str) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "service": plan.name,
        "change": what,
        "crate": plan.crate,
        "files": {edit.path: edit.kind for edit in plan.edits},
        **({"dry_run": True, "diff": plan.diff} if session.dry_run else {}),
        "seconds": round(session.seconds, 3),
    }
