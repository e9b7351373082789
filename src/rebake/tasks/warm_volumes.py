"""Fills the development stack's volumes, without starting it: crates compiled, packages there."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rebake.tasks import stack_flow
from rebake.tasks.caches_view import cache_log
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from rebake.stack.plan import Half, StackPlan

_VOLUMES: dict[Half, str] = {"backend": "target", "ui": "node_modules"}


def fill(session: Session) -> bool:
    """Compile and install what the development stack needs, both halves at once.

    A half whose volume was filled for the very dependencies that there are now is left alone, and
    so is the whole of a stack that runs.

    Returns:
        Whether anything was done.

    Raises:
        CommandFailed: the sources do not compile, or a package is not to be had.
    """
    from rebake.engine import stock
    from rebake.stack import run as stack

    project, endpoint = session.project, session.detected.endpoint
    name = project.compose_name("dev")
    if any(c.running and c.project == name for c in stock.containers(endpoint) or ()):
        session.say("the dev stack runs: its volumes are warm")
        return False
    cold = _cold(session)
    if not cold:
        return False
    (project.ui / "node_modules").mkdir(exist_ok=True)  # the engine would make it as root
    plan = stack_flow.plan_of(session, "dev", {})
    if "backend" in cold:
        stack.seed(plan, endpoint, [f"{other}-dev" for other in project.siblings], session.say)
    with ThreadPoolExecutor(max_workers=len(cold)) as pool:
        for job in [pool.submit(_fill, session, plan, half) for half in cold]:
            job.result()
    return True


def _cold(session: Session) -> list[Half]:
    """The halves whose volume was not filled, since it is there, for the present dependencies."""
    from rebake.engine import stock

    project, endpoint = session.project, session.detected.endpoint
    stack = project.compose_name("dev")
    made = {
        volume.key: volume.created_at
        for volume in stock.volumes(endpoint) or ()
        if volume.project == stack and volume.name == _volume(session, volume.key)
    }
    with cache_log(session, endpoint) as log:
        fills = log.fills()
    return [
        half
        for half, key in _VOLUMES.items()
        if key not in made or fills.get(_mark(session, half), (0.0, 0.0))[0] < made[key]
    ]


def _volume(session: Session, key: str) -> str:
    name = f"{session.project.compose_name('dev')}_{key}"
    packages = stack_flow.packages_of_ui(session)
    return f"{name}_{packages}" if key == "node_modules" and packages else name


def _mark(session: Session, half: Half) -> str:
    return f"{_volume(session, _VOLUMES[half])}@{_key(session, half)}"


def _fill(session: Session, plan: StackPlan, half: Half) -> None:
    from rebake.process import run
    from rebake.stack.plan import fill_words
    from rebake.stack.run import compose

    session.say(f"filling the dev volumes of the {half}")
    started = time.monotonic()
    words = fill_words(plan, half)
    command = compose(session.detected.endpoint, plan, words)
    log = session.reporter.log
    run(command, on_stdout=log, on_stderr=log).check("mend it, then invoke warm-cache again")
    seconds = time.monotonic() - started
    with cache_log(session, session.detected.endpoint) as caches:
        caches.note_fills(
            {_volume(session, _VOLUMES[half]): seconds, _mark(session, half): seconds}
        )


def _key(session: Session, half: Half) -> str:
    """A digest of what decides which dependencies there are, and how they are compiled."""
    project = session.project
    if half == "backend":
        root = project.backend
        files = [root / "Cargo.lock", root / "Cargo.toml"]
        files += [member / "Cargo.toml" for member in project.workspace.members]
        base = project.config.base_images.rust
    else:
        files = [project.ui / "package.json", project.ui / ".npmrc", project.ui_lock_file]
        base = f"{project.config.base_images.bun} {project.config.base_images.node}"
    total = hashlib.sha256(base.encode())
    for file in dict.fromkeys(files):
        if file.is_file():
            total.update(f"\n{file}\n".encode())
            total.update(file.read_bytes())
    return total.hexdigest()[:16]
