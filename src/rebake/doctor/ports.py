"""Check `ports`: whether the ports of the production stack are free."""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, NotChecked, ok, warning
from rebake.engine.client import containers_light
from rebake.results import Mode
from rebake.stack import ports


def check(case: Case) -> Iterator[Diagnosis]:
    """Try to bind each port; dev takes the next free one by itself."""
    if case.project.runs_itself:
        yield ok("this project runs its stack itself: its ports are its own affair")
        return
    prod = case.project.config.prod
    wanted = {s: port for s, port in prod.ports.items() if s in case.project.config.services}
    taken = {s: port for s, port in wanted.items() if not ports.is_free(prod.address, port)}
    ours = _ours(case) if taken else frozenset()
    foreign = {s: port for s, port in taken.items() if port not in ours}
    for service, port in foreign.items():
        yield warning(
            f"port {port} of {service} (prod) is in use by {ports.owner(prod.address, port)}",
            why="invoke prod starts nothing then",
            fix=f"stop that program, or set prod.ports.{service} in rebake.toml",
        )
    if not foreign:
        held = f", {len(taken)} held by our own stack" if taken else ""
        yield ok(f"the ports of prod ({', '.join(map(str, wanted.values()))}) are free{held}")


def _ours(case: Case) -> frozenset[int]:
    """The ports that this project's own stacks hold."""
    try:
        endpoint = case.engine.endpoint
    except NotChecked:
        return frozenset()
    modes: tuple[Mode, ...] = ("prod", "dev")
    return frozenset(
        port.host_port
        for mode in modes
        for container in containers_light(endpoint, case.project.compose_name(mode))
        for port in container.ports
    )
