"""Reads a compose file as far as `rebake adopt` needs it: what each service is built from.

Written from the Compose Build Specification. A file is read as it stands: what Compose would fill
in from variables, or merge from elsewhere, is not known here, and is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from rebake.errors import ProgramMissing, ProjectError

# Those that Compose takes by themselves, in the order in which it looks for them.
DEFAULT_NAMES = (
    *("compose.yaml", "compose.yml"),
    *("docker-compose.yaml", "docker-compose.yml"),
)
OVERRIDE_NAMES = (
    *("compose.override.yml", "compose.override.yaml"),
    *("docker-compose.override.yml", "docker-compose.override.yaml"),
)
# What the new `build:` has of its own, what it takes over, and what means nothing to it.
_READ = frozenset({"context", "dockerfile", "args", "target"})
_KEPT = frozenset({"labels", "tags", "shm_size", "extra_hosts"})
_MEANINGLESS = frozenset({"cache_from", "cache_to", "no_cache", "pull"})


class BuiltService(Struct, frozen=True):
    """A service with a `build:`.

    Attributes:
        name: its name in the compose file.
        context: the folder that it is built from, as it stands there.
        dockerfile: from that folder.
        target: the stage; empty for the last one.
        args: its build arguments.
        kept: what else there is to take over as it is.
        fault: why this `build:` can't be taken over; empty where it can.
    """

    name: str
    context: str = "."
    dockerfile: str = "Dockerfile"
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, object] = field(default_factory=dict)
    fault: str = ""


class ComposeFile(Struct, frozen=True):
    """A compose file.

    Attributes:
        path: where it is.
        built: its services with a `build:`.
        others: the names of those without.
        secrets: the names of its secrets.
        override: the file that Compose lays over it by itself; None where there is none.
    """

    path: Path
    built: tuple[BuiltService, ...]
    others: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()
    override: Path | None = None

    @property
    def is_default(self) -> bool:
        """Whether Compose takes it when no file is named."""
        here = self.path.parent
        first = next((name for name in DEFAULT_NAMES if (here / name).is_file()), "")
        return self.path.name == first


def read_compose(path: Path) -> ComposeFile:
    """Read a compose file.

    Raises:
        ProjectError: it can't be read, or it is no compose file.
        ProgramMissing: the YAML reader is not installed.
    """
    try:
        document = _load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(path, f"can't be read: {error}") from error
    except ValueError as error:
        raise ProjectError(path, f"is no YAML: {' '.join(str(error).split())}") from None
    services = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, dict):
        raise ProjectError(path, "has no services", "name a compose file: --data compose=FILE")
    entries = {str(name): value for name, value in services.items() if isinstance(value, dict)}
    built = tuple(_built(name, value) for name, value in entries.items() if value.get("build"))
    names = {one.name for one in built}
    secrets = document.get("secrets")
    there = [path.with_name(name) for name in OVERRIDE_NAMES if path.with_name(name).exists()]
    return ComposeFile(
        path,
        built,
        tuple(name for name in entries if name not in names),
        frozenset(map(str, secrets)) if isinstance(secrets, dict) else frozenset(),
        there[0] if there else None,
    )


def _built(name: str, service: Mapping[str, Any]) -> BuiltService:
    build = service["build"]
    if isinstance(build, str):
        return BuiltService(name, context=build, fault=_extends(service, {"context": build}))
    if not isinstance(build, dict):
        return BuiltService(name, fault="its build: is no table")
    odd = sorted(str(key) for key in build if key not in _READ | _KEPT | _MEANINGLESS)
    args, fault = _arguments(build.get("args"))
    texts = {key: str(build.get(key) or "") for key in ("context", "dockerfile", "target")}
    if odd:
        fault = f"build.{odd[0]} can't be taken over"
    return BuiltService(
        name,
        context=texts["context"] or ".",
        dockerfile=texts["dockerfile"] or "Dockerfile",
        target=texts["target"],
        args=args,
        kept={key: build[key] for key in sorted(_KEPT & build.keys())},
        fault=fault or _extends(service, {**texts, **{f"args.{k}": v for k, v in args.items()}}),
    )


def _extends(service: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Why a service can't be taken over as it stands in the file; empty when it can."""
    return "it extends another service" if service.get("extends") else _in_variables(texts)


def _in_variables(texts: Mapping[str, str]) -> str:
    """Why a text that Compose fills in from variables can't be taken over."""
    odd = next((key for key, text in texts.items() if re.search(r"[\x00-\x1f\x7f]", text)), None)
    if odd:
        return f"build.{odd} has more than one line"
    found = next((key for key, text in texts.items() if "$" in text), None)
    return f"build.{found} is filled in from variables: {texts[found]}" if found else ""


def _arguments(given: object) -> tuple[dict[str, str], str]:
    """Return build arguments, and what is wrong with them."""
    if given is None:
        return {}, ""
    if isinstance(given, list):
        pairs = [str(word).partition("=") for word in given]
        lacking = next((name for name, sign, _ in pairs if not sign), None)
        found = {name: value for name, sign, value in pairs if sign}
    elif isinstance(given, dict):
        lacking = next((str(name) for name, value in given.items() if value is None), None)
        found = {str(n): _text(value) for n, value in given.items() if value is not None}
    else:
        return {}, "build.args is neither a table nor a list"
    return found, f"build.args.{lacking} comes from the environment" if lacking else ""


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _load(text: str) -> Any:  # noqa: ANN401 - as YAML gives it
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ProgramMissing(f"PyYAML ({error.name})", "pip install 'rebake[template]'") from error

    class Loader(yaml.SafeLoader):
        """Knows the tags of Compose (`!reset`, `!override`): they change nothing here."""

    def plain(loader: Any, _suffix: str, node: Any) -> Any:  # noqa: ANN401
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    Loader.add_multi_constructor("!", plain)
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
