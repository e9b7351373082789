"""What no single value of the configuration shows: names that must exist, paths inside. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rebake.config.place import FILE_NAME, Place
from rebake.errors import Problem

if TYPE_CHECKING:
    from rebake.config.model import Config

# What every build gets as secrets, whatever the project: see the bake file.
BUILD_SECRETS = frozenset(
    {"apt-config", "apt-sources", "ca", "cargo-config", "empty-mount", "npmrc"}
)


def cross_check(config: Config, places: Mapping[str, Place]) -> Iterator[Problem]:
    """What no single value shows: names that must exist, paths that must stay inside."""

    def problem(key: str, message: str, expected: str = "", suggestion: str = "") -> Problem:
        place = places.get(key, Place(Path(FILE_NAME), ""))
        name, line = place.shown(key), place.line(key)
        return Problem(place.file, name, message, expected, line, suggestion)

    for mode in ("dev", "prod"):
        ports: Mapping[str, int] = getattr(config, mode).ports
        for name in ports:
            # A default port of a service that this project does not have is no fault of anyone's.
            default = not places[f"{mode}.ports.{name}"].text
            if name not in config.services and not default:
                match = difflib.get_close_matches(name, config.services, n=1)
                yield problem(
                    f"{mode}.ports.{name}",
                    "no such service",
                    f"one of {', '.join(config.services)}",
                    f"did you mean {match[0]}?" if match else "",
                )
        taken: dict[int, str] = {}
        # Those that somebody set come last: the fault is named where it was made.
        mine = [name for name in ports if name in config.services]
        given = sorted(mine, key=lambda name: places[f"{mode}.ports.{name}"].text != "")
        for name in given:
            port = ports[name]
            if port in taken:
                yield problem(f"{mode}.ports.{name}", f"port {port} is {taken[port]}'s already")
            taken[port] = name
    for alias, service in config.aliases.items():
        if service not in config.services:
            yield problem(
                f"aliases.{alias}", f"no such service: {service}", ", ".join(config.services)
            )
    yield from _secrets(config, problem)
    if bool(config.docker.compose_prod) != bool(config.docker.compose_dev):
        there, lacking = ("prod", "dev") if config.docker.compose_prod else ("dev", "prod")
        yield problem(
            f"docker.compose_{lacking}",
            f"is empty, but docker.compose_{there} is not",
            "both compose files, or none of them",
        )
    if config.sign.method == "keyless" and not (config.sign.identity and config.sign.issuer):
        yield problem("sign.method", "whose signatures count?", "sign.identity and sign.issuer too")
    for key, text in (
        ("backend.path", config.backend.path),
        ("ui.path", config.ui.path),
        ("docker.compose_prod", config.docker.compose_prod),
        ("docker.compose_dev", config.docker.compose_dev),
        ("docker.bake", config.docker.bake),
    ):
        path = Path(text)
        if path.is_absolute() or ".." in path.parts or text.startswith("-"):
            yield problem(key, f"{text!r} leaves the project", "a path inside the project's folder")


def _secrets(config: Config, problem: Callable[..., Problem]) -> Iterator[Problem]:
    for name in config.secrets.build:
        if name in BUILD_SECRETS:
            others = f"another name than {', '.join(sorted(BUILD_SECRETS))}"
            yield problem(f"secrets.build.{name}", "is a secret of rebake's own", others)
    for name, source in config.secrets.run.items():
        for service in source.services:
            if service not in config.services:
                match = difflib.get_close_matches(service, config.services, n=1)
                yield problem(
                    f"secrets.run.{name}",
                    f"no such service: {service}",
                    f"some of {', '.join(config.services)}",
                    f"did you mean {match[0]}?" if match else "",
                )
