"""What the words of `invoke refresh-cache` do, and the ceilings that hold after each build."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from rebake.errors import Interrupted, NoEngine, NotFreed, RebakeError, UsageError
from rebake.results import SCHEMA_VERSION
from rebake.tasks.caches_view import Caches, cache_log, opened
from rebake.tasks.consent import ask
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rebake.cache.inventory import Inventory
    from rebake.cache.plan import Choice
    from rebake.engine.endpoint import Endpoint
    from rebake.history.cache_log import CacheLog, SizeSample
    from rebake.results import BuildResult

    Say = Callable[[str], None]

_PATIENCE_S = 0.6  # for the volumes' sizes: `show` answers in under 1.5 s
# The engine runs the steps of everybody's builds once more after layers were removed (see
# `build_cache.empty`). So what goes by itself goes seldom, and then as far as that helps.
_ROOM = 0.5  # of a ceiling: as much stays once it is reached
_WORTH_BYTES = 1_000_000_000  # what is only old waits until it is so much
# To ask the engine what it keeps takes about a second: it measures every mount. So it is asked when
# a ceiling could have been reached, by what builds add at most: several times their images (the
# compiling step's layer, the image's, its content, what cargo keeps of it), after an edit.
_ADDS_TIMES = 6
_ADDS_BYTES = 20_000_000
_NEAR = 0.5  # of a ceiling: a build with more new packages than an edit has may add anything
_FEW_PACKAGES = 20
_LOOK_EVERY_S = 86_400.0
_LOOK_EVERY_BUILDS = 25


class Limits(Struct, frozen=True):
    """Ceilings.

    Attributes:
        max_bytes: of all caches; None for none.
        max_age_s: without a use; None for none.
        asked: by a flag: then what the next build needs may go too, if nothing else helps.
    """

    max_bytes: int | None
    max_age_s: float | None
    asked: bool


def limits(session: Session, older_than: str = "", max_size: str = "") -> Limits:
    """The ceilings of flags; where there is none, those of rebake.toml.

    Raises:
        UsageError: a flag's value is no size or no age.
    """
    from rebake.config.amounts import AGES, SIZES, parse_age, parse_size

    table = session.project.config.cache
    asked = bool(older_than or max_size)
    size = max_size if asked else table.max_size
    age = older_than if asked else table.max_age
    try:
        max_bytes = parse_size(size) if size else None
    except ValueError:
        raise UsageError(f"--max-size {size!r} is no size", f"such as {SIZES}") from None
    try:
        max_age_s = parse_age(age) if age else None
    except ValueError:
        raise UsageError(f"--older-than {age!r} is no age", f"such as {AGES}") from None
    return Limits(max_bytes, max_age_s, asked)


def show(session: Session) -> dict[str, object]:
    """List the caches; none where no engine runs that could tell them."""
    from rebake.cache.inventory import Inventory
    from rebake.tasks import caches_words

    ceiling = limits(session).max_bytes
    try:
        with opened(session, patience_s=_PATIENCE_S) as caches:
            inventory = caches.look()
    except NoEngine as error:
        if error.found_unusable:
            raise
        inventory = Inventory((), notes=(f"{error.what}; {error.hint}",))
    if not session.as_json:
        caches_words.show(session, inventory, ceiling)
    return inventory.document(ceiling)


def clean(session: Session, what: str, max_age_s: float | None, *, yes: bool) -> dict[str, object]:
    """Remove the caches of a kind, or those of them that nothing used for so many seconds."""
    from rebake.cache import plan

    since = float("inf") if max_age_s is None else time.time() - max_age_s
    with opened(session) as caches:
        before = caches.look()
        choice = plan.clean(before, plan.WORDS[what], since)
        return _carry_out(session, caches, before, choice, f"clean {what}", yes=yes)


def prune(session: Session, ceilings: Limits, *, yes: bool) -> dict[str, object]:
    """Remove what is old, and what is above a ceiling."""
    with opened(session) as caches:
        before = caches.look()
        return _carry_out(session, caches, before, over(before, ceilings), "prune", yes=yes)


def over(inventory: Inventory, ceilings: Limits) -> Choice:
    """What goes to keep ceilings."""
    from rebake.cache import plan

    choice = plan.Choice(left_bytes=inventory.bytes)
    if ceilings.max_age_s is not None:
        choose = plan.unused if ceilings.asked else plan.unneeded
        choice = choose(inventory, time.time() - ceilings.max_age_s)
    limit = ceilings.max_bytes
    if limit is not None and choice.left_bytes > limit:
        aim = limit if ceilings.asked else int(_ROOM * limit)
        choice = plan.under(inventory, aim, choice, needed=ceilings.asked)
    return choice


def refresh(session: Session, *, yes: bool) -> dict[str, object]:
    """Remove what no build needs any more, then warm what the next one does."""
    from rebake.cache import plan
    from rebake.tasks import warm_flow

    with opened(session) as caches:
        before = caches.look()
        choice = plan.unneeded(before)
        document = _carry_out(session, caches, before, choice, "refresh", yes=yes)
        used = {build.mode for build in caches.past.builds}
    if session.dry_run:
        return document
    purposes = tuple(mode for mode in warm_flow.MODES if mode in used) or ("prod",)
    return {**document, "warm": warm_flow.warm(session, purposes)}


def _carry_out(
    session: Session, caches: Caches, before: Inventory, choice: Choice, words: str, *, yes: bool
) -> dict[str, object]:
    """Ask, remove, and look whether it went.

    Raises:
        UsageError: nobody can be asked, or the answer is no.
        NotFreed: less went than was said.
    """
    from rebake.cache import remove
    from rebake.tasks import caches_words

    for line in caches_words.preview(choice):
        session.say(line)
    if session.dry_run:
        document = session.show_commands(remove.commands(choice))
        return {**document, "said_bytes": choice.bytes, "kept": list(choice.kept)}
    after = before
    if choice.removals:
        _ask(session, choice, words, yes=yes)
        remove.remove(caches.endpoint, choice, caches.ours, session.say)
        after = caches.look()
        _note(session, caches, choice, after, f"refresh-cache {words}")
    freed, stayed = remove.freed(choice, after)
    session.say(caches_words.outcome(choice, freed, after))
    if freed < remove.ENOUGH * choice.bytes:
        raise NotFreed(choice.bytes, freed, stayed)
    return {
        "schema_version": SCHEMA_VERSION,
        "removed": [
            {"name": r.cache, "kind": r.kind, "id": r.piece.id, "bytes": r.piece.bytes}
            for r in choice.removals
        ],
        "said_bytes": choice.bytes,
        "freed_bytes": freed,
        "left_bytes": after.bytes,
        "kept": list(choice.kept),
        "seconds": round(session.seconds, 3),
    }


def _note(session: Session, caches: Caches, choice: Choice, after: Inventory, by: str) -> None:
    """Write down what went, so that `why` can tell who took it."""
    from rebake.cache import remove
    from rebake.history.evidence import Removal
    from rebake.history.store import History
    from rebake.tasks.image_flow import history_file

    gone = remove.gone(choice, after)
    caches.log.forget(removal.piece.id for removal in gone if removal.kind == "layers")
    # An image or a volume is missed by no step.
    names = dict.fromkeys(r.cache for r in gone if r.kind in {"mount", "layers"})
    if names:
        with History(history_file(), on_note=session.say) as store:
            store.note_removal(caches.owner.cache_id, Removal(time.time(), by, tuple(names)))


def _ask(session: Session, choice: Choice, words: str, *, yes: bool) -> None:
    from rebake.report.format import size

    if yes:
        return
    ask(
        session,
        f"remove {size(choice.bytes)}?",
        refusal=f"{words} removes {size(choice.bytes)}",
        instead=f"invoke refresh-cache {words} --yes; --dry-run shows what it would remove",
    )


def keep_ceilings(session: Session, endpoint: Endpoint, built: BuildResult) -> None:
    """After a build: remove what no build needs and what is above a ceiling of rebake.toml.

    What the next build needs stays. The engine is asked only where the caches may have come to the
    ceiling, not after each build. No build fails because of this.
    """
    if ceilings_due(session, endpoint, built):
        trim(session, endpoint)


def ceilings_due(
    session: Session, endpoint: Endpoint, built: BuildResult, *, at_most_every_s: float = 0.0
) -> bool:
    """Whether a build may have brought the caches to a ceiling of rebake.toml.

    Args:
        session: the task's.
        endpoint: the engine.
        built: what the build did.
        at_most_every_s: seconds after a look in which there is no other one.
    """
    ceilings = limits(session)
    if ceilings.max_bytes is None and ceilings.max_age_s is None:
        return False
    with cache_log(session, endpoint) as log:
        known = _known_total(log, session.project.cache_id)
        if known is not None and 0 <= time.time() - known.at < at_most_every_s:
            return False
        return _due(log, session.project.cache_id, ceilings.max_bytes, built)


def trim(session: Session, endpoint: Endpoint, say: Say | None = None) -> int:
    """Look whether the caches are above a ceiling of rebake.toml; return the bytes that went.

    Args:
        session: the task's.
        endpoint: the engine.
        say: told what came of it; the session when None.
    """
    say = say or session.say
    ceilings = limits(session)
    if ceilings.max_bytes is None and ceilings.max_age_s is None:
        return 0
    try:
        with opened(session, endpoint, _PATIENCE_S) as caches:
            return _trim(session, caches, ceilings, say)
    except Interrupted:
        raise
    except RebakeError as error:
        say(f"the caches' ceilings could not be looked after: {error.what}")
        return 0


def shown_trim(session: Session, endpoint: Endpoint) -> list[Sequence[str]]:
    """The commands that would take away what is above a ceiling, for --dry-run."""
    from rebake.cache import remove

    ceilings = limits(session)
    with opened(session, endpoint, _PATIENCE_S) as caches:
        before = caches.look()
    choice = over(before, ceilings)
    return remove.commands(choice) if _worth(before, choice, ceilings) else []


def _due(log: CacheLog, project: str, ceiling: int | None, built: BuildResult) -> bool:
    known = _known_total(log, project)
    if known is None or time.time() - known.at > _LOOK_EVERY_S:
        return True
    builds = log.builds_since(project, known.at)
    if builds >= _LOOK_EVERY_BUILDS:
        return True
    if ceiling is None:
        return False
    crates, packages = built.caches.crates, built.caches.bun
    new = (crates.misses if crates else 0) + (packages.downloaded if packages else 0)
    if new > _FEW_PACKAGES and known.bytes > _NEAR * ceiling:
        return True
    adds = _ADDS_BYTES + _ADDS_TIMES * sum(image.bytes for image in built.images.values())
    return known.bytes + builds * adds > ceiling


def _known_total(log: CacheLog, project: str) -> SizeSample | None:
    return next((s for s in log.newest_sizes(project) if s.kind == "total"), None)


def _worth(inventory: Inventory, choice: Choice, ceilings: Limits) -> bool:
    """Whether what goes is worth it: the engine runs steps once more after a removal."""
    above = ceilings.max_bytes is not None and inventory.bytes > ceilings.max_bytes
    return bool(choice.removals) and (above or choice.bytes >= _WORTH_BYTES)


def _trim(session: Session, caches: Caches, ceilings: Limits, say: Say) -> int:
    from rebake.cache import remove
    from rebake.tasks import caches_words

    before = caches.look()
    choice = over(before, ceilings)
    after = before
    if _worth(before, choice, ceilings):
        remove.remove(caches.endpoint, choice, caches.ours)
        after = caches.look(_PATIENCE_S)
        _note(session, caches, choice, after, "a ceiling of [cache]")
    freed, _ = remove.freed(choice, after)
    for line in caches_words.trimmed(freed, after, ceilings.max_bytes):
        say(line)
    return freed
