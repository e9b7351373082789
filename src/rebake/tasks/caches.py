"""The tasks about caches: refresh-cache, warm-cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rebake.errors import UnknownName, UsageError
from rebake.tasks.face import task
from rebake.tasks.session import Session

ACTIONS = ("show", "clean", "prune", "refresh", "upkeep")
WHAT = ("build", "images", "volumes", "all")
Purpose = Literal["dev", "prod", "ci"]
PURPOSES: tuple[Purpose, ...] = ("dev", "prod", "ci")


@task(
    "refresh-cache",
    words=("action", "show (the default), clean build|images|volumes|all, prune, refresh, upkeep"),
    after={"clean": WHAT},
    flags={
        "older_than": "for prune and clean: only what nothing has used for so long: 12h, 7d",
        "max_size": "for prune: until the rest is no larger: 10GB",
        "yes": "do not ask",
    },
    choices={"action": ACTIONS},
)
def refresh_cache(
    session: Session,
    action: Sequence[str] = (),
    older_than: str = "",
    max_size: str = "",
    yes: bool = False,
) -> dict[str, object] | None:
    """Show this project's caches, or remove some of them; nothing of any other project's."""
    from rebake.tasks import caches_flow

    word, what = _words(action)
    if max_size and word != "prune":
        raise UsageError("--max-size belongs to prune", "invoke refresh-cache prune --max-size ...")
    if older_than and word not in {"prune", "clean"}:
        raise UsageError("--older-than belongs to prune and clean")
    limits = caches_flow.limits(session, older_than, max_size)
    match word:
        case "show":
            return caches_flow.show(session)
        case "clean":
            age = limits.max_age_s if older_than else None
            return caches_flow.clean(session, what, age, yes=yes)
        case "prune":
            return caches_flow.prune(session, limits, yes=yes)
        case "upkeep":
            from rebake.tasks import upkeep_flow

            return upkeep_flow.run(session)
        case _:
            return caches_flow.refresh(session, yes=yes)


def _words(action: Sequence[str]) -> tuple[str, str]:
    """The word and, for clean, what.

    Raises:
        UnknownName, UsageError: they are none of those that there are.
    """
    word = action[0] if action else "show"
    if word not in ACTIONS:
        raise UnknownName("action", word, ACTIONS)
    rest = list(action[1:])
    if word == "clean":
        if not rest:
            raise UsageError("clean what?", f"one of {', '.join(WHAT)}")
        what = rest.pop(0)
        if what not in WHAT:
            raise UnknownName("cache to clean", what, WHAT)
    else:
        what = ""
    if rest:
        raise UsageError(f"{word} takes no further words, not {' '.join(rest)}")
    return word, what


@task(
    "warm-cache",
    flags={"for": f"one of {', '.join(PURPOSES)}; dev and prod when none is named"},
    choices={"for": PURPOSES},
)
def warm_cache(session: Session, for_: str = "") -> dict[str, object] | None:
    """Make now what the next build, or the first start of the stack, would have to wait for."""
    from rebake.tasks import warm_flow

    if for_ and for_ not in PURPOSES:
        raise UnknownName("purpose", for_, PURPOSES)
    purposes: tuple[Purpose, ...] = (for_,) if for_ else ("dev", "prod")
    return (
        warm_flow.dry(session, purposes) if session.dry_run else warm_flow.warm(session, purposes)
    )
