"""Warming caches: what the next build or stack would need is made before it is asked for.

Base images first, all at once; then, side by side, the production images (their compilation fills
the cache mounts, and the dependency layer comes with it) and the development images with what the
development stack compiles and installs into its volumes. What is warm is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from rebake.results import SCHEMA_VERSION, Mode
from rebake.tasks import image_flow
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.cache.inventory import Inventory, NamedCache
    from rebake.engine.base_images import BaseImageResult

Purpose = Literal["dev", "prod", "ci"]
MODES: tuple[Mode, ...] = ("dev", "prod")
State = Literal["warm", "warmed", "cold"]
_PATIENCE_S = 0.3  # for the volumes' sizes: only told


class Warmth(Struct, frozen=True):
    """One cache after warming.

    Attributes:
        state: `warm` it was before, `warmed` it is now, `cold` it is not.
    """

    name: str
    kind: str
    state: State
    bytes: int

    def document(self) -> dict[str, object]:
        """The part of `--json` for this cache."""
        return {"name": self.name, "kind": self.kind, "state": self.state, "bytes": self.bytes}


def warm(session: Session, purposes: Sequence[Purpose]) -> dict[str, object]:
    """Warm the caches for some purposes; return the document.

    Raises:
        BuildFailed, CommandFailed: something does not compile.
    """
    from rebake.process import stopping_children
    from rebake.tasks import overlay, warm_words, wiring

    began = time.monotonic()
    _ = session.project.workspace  # a broken manifest is told before anything is fetched
    overlay.read_build_secrets(session)
    if "ci" in purposes and not session.project.config.cache.remote:
        session.say("no remote cache is set (cache.remote): a fresh machine has nothing to read")
    _ = session.detected
    with ThreadPoolExecutor(max_workers=1) as pool:  # half a second each, of the engine's time
        looking = pool.submit(_look, session)
        bases = wiring.fetch_base_images(session)
        before = looking.result()
    modes = _modes(session, purposes)
    jobs: list[Callable[[], bool]] = []
    if "prod" in modes:
        jobs.append(lambda: _production(session, before))
    if "dev" in modes:
        jobs.append(lambda: _development(session))
    with (
        ThreadPoolExecutor(max_workers=len(jobs)) as pool,
        stopping_children("warm-cache", lambda: pool.shutdown(wait=False, cancel_futures=True)),
    ):
        changed = [job.result() for job in [pool.submit(job) for job in jobs]]
    after = _look(session) if any(changed) else before
    found = [*_bases(bases), *warmth(before, after, expected(session, modes), modes)]
    if not session.as_json:
        warm_words.show(session, found)
    return {
        "schema_version": SCHEMA_VERSION,
        "for": list(purposes),
        "caches": [one.document() for one in found],
        "seconds": round(time.monotonic() - began, 3),
    }


def dry(session: Session, purposes: Sequence[Purpose]) -> dict[str, object]:
    """Show the commands of warming everything from cold."""
    from rebake.stack.plan import Half, fill_words
    from rebake.tasks import wiring
    from rebake.tasks.stack_flow import plan_of

    commands = wiring.shown_pulls(session)
    config = session.project.config
    modes = _modes(session, purposes)
    if "prod" in modes:
        plan = image_flow.plan_images(session, "prod", config.services)
        commands.append(wiring.shown_bake(plan))
        commands += wiring.shown_layer(session)
    if "dev" in modes:
        commands.append(wiring.shown_bake(image_flow.plan_images(session, "dev", config.services)))
        stack = plan_of(session, "dev", {})
        halves: tuple[Half, ...] = ("backend", "ui")
        for half in halves:
            words = fill_words(stack, half)
            commands.append(wiring.shown(stack.variables, "docker", *words))
    return session.show_commands(commands)


def _modes(session: Session, purposes: Sequence[Purpose]) -> tuple[Mode, ...]:
    """The same, of those that the project has: there is no dev stack where it runs its own."""
    has = ("prod",) if session.project.runs_itself else MODES
    return tuple(mode for mode in modes_of(purposes) if mode in has)


def modes_of(purposes: Sequence[Purpose]) -> tuple[Mode, ...]:
    """The modes that purposes need; CI builds what production runs."""
    wanted: set[Mode] = {"prod" if purpose == "ci" else purpose for purpose in purposes}
    return tuple(mode for mode in MODES if mode in wanted)


def expected(session: Session, modes: Sequence[Mode]) -> dict[str, str]:
    """The caches without which a mode is not warm: their kinds by name."""
    config = session.project.config
    found: dict[str, str] = {}
    if "prod" in modes:
        found |= dict.fromkeys(_mounts(session), "mount")
        found |= {f"{service} image (prod)": "image" for service in config.services}
    if "dev" in modes:
        found |= {f"{half} image (dev)": "image" for half in session.project.folders}
        found |= dict.fromkeys(("dev target debug volume", "dev packages volume"), "volume")
    return found


def warmth(
    before: Inventory, after: Inventory, wanted: dict[str, str], modes: Sequence[Mode]
) -> Iterator[Warmth]:
    """How warm each cache is: those that are there, then those that should be. Pure."""
    old = {(cache.name, piece.id) for cache in before.caches for piece in cache.pieces}
    there = {cache.name for cache in after.caches}
    for cache in after.caches:
        if cache.needed and _concerns(cache, modes):
            same = all((cache.name, p.id) in old for p in cache.pieces if p.needed)
            yield Warmth(cache.name, cache.kind, "warm" if same else "warmed", cache.bytes)
    for name, kind in wanted.items():
        if name not in there:
            yield Warmth(name, kind, "cold", 0)


def _concerns(cache: NamedCache, modes: Sequence[Mode]) -> bool:
    if cache.kind in {"image", "volume"}:
        return (
            "dev" if cache.kind == "volume" or cache.name.endswith("(dev)") else "prod"
        ) in modes
    return True


def _bases(results: Sequence[BaseImageResult]) -> list[Warmth]:
    return [
        Warmth(r.ref, "base image", "warm" if r.source == "present" else "warmed", r.bytes)
        for r in results
    ]


def _look(session: Session) -> Inventory:
    from rebake.tasks.caches_view import opened

    with opened(session, session.detected.endpoint, _PATIENCE_S) as caches:
        return caches.look()


def _made(session: Session, there: Collection[str]) -> bool:
    services = session.project.config.services
    return all(f"{service} image (prod)" in there for service in services)


def _mounts(session: Session) -> tuple[str, ...]:
    """The cache mounts that a build of the production images compiles and installs in."""
    ui = session.project.config.ui
    return "target release", "cargo registry", *([f"{ui.manager} store"] if ui.path else [])


def _production(session: Session, before: Inventory) -> bool:
    """The production images, and with them the mounts and the dependency layer."""
    there = {cache.name for cache in before.caches}
    services = session.project.config.services
    missing = [name for name in _mounts(session) if name not in there]
    # The images alone may still be there, of a build whose mounts somebody has removed since.
    made = _made(session, there)
    if missing and made:
        session.say(f"gone, made again: {', '.join(missing)}")
    result = image_flow.build(session, "prod", services, again=bool(missing) and made, wait=True)
    return not result.skipped


def _development(session: Session) -> bool:
    """The development images, then what the stack compiles and installs into its volumes."""
    from rebake.tasks import warm_volumes

    result = image_flow.build(session, "dev", session.project.config.services)
    filled = warm_volumes.fill(session)
    return filled or not result.skipped
