"""Check `settings`: what rebake.toml says against what is in the repository.

Wrong keys, types and values are refused before any check runs; this looks at what only the whole
project shows.
"""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, error, ok, warning
from rebake.results import Mode

_PRIVILEGED = 1024
_ALL = ("0.0.0.0", "::")  # noqa: S104 - a comparison


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at the effective settings."""
    faults = [*_services(case), *_ports(case), *_aliases(case)]
    yield from faults
    if not faults:
        sources = list(case.project.loaded.sources.values())
        environment = sources.count("environment")
        own = len([s for s in sources if s not in {"default", "environment"}])
        words = f"keys that are not the default's: {own} in rebake.toml and user settings"
        yield ok(words + (f", {environment} in the environment" if environment else ""))


def _services(case: Case) -> Iterator[Diagnosis]:
    project = case.project
    config = project.config
    binaries = {binary.name for binary in project.workspace.binaries}
    # The UI's own server is a binary too, and no service of its own.
    unused = sorted(binaries - set(config.backend.services))
    bake = project.bake_file
    text = bake.read_text(encoding="utf-8", errors="replace") if bake.is_file() else ""
    for service in config.services:
        if text and f'"{service}"' not in text:
            yield error(
                f"service {service} has no target in {case.shown(bake)}",
                why=f"invoke build {service} fails",
                fix=f'add target "{service}", or take it out of backend.services; '
                f"binaries without a service: {', '.join(unused) or 'none'}",
            )


def _ports(case: Case) -> Iterator[Diagnosis]:
    config = case.project.config
    modes: tuple[Mode, ...] = ("dev", "prod")
    for mode in modes:
        table = config.dev if mode == "dev" else config.prod
        low = [
            f"{name} {port}"
            for name, port in table.ports.items()
            if name in config.services and port < _PRIVILEGED
        ]
        if low:
            yield warning(
                f"{mode}.ports: {', '.join(low)} below {_PRIVILEGED}",
                why="an engine without root's rights may not open it",
                fix=f"a port from {_PRIVILEGED} on, with a proxy before it",
            )
        if table.address in _ALL:
            yield warning(
                f"{mode}.address is {table.address}",
                why="everyone in the network reaches the services, past the host's firewall",
                fix=f'{mode}.address = "127.0.0.1" in rebake.toml, with a proxy before it',
            )


def _aliases(case: Case) -> Iterator[Diagnosis]:
    config = case.project.config
    for alias, service in config.aliases.items():
        if alias in config.services and alias != service:
            yield warning(
                f"aliases.{alias} stands for {service}, and there is a service {alias}",
                why=f"the service {alias} can't be named any more",
                fix="another word for the alias",
            )
