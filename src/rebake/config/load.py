"""Loads rebake.toml: defaults < user settings < project < environment < flags.

Every value remembers its source, and everything that is wrong is reported at once, with file,
line, key, what was expected and the nearest known key.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import platformdirs

from rebake.config import kept
from rebake.config.values import FREE_TABLES, Tree, table_of, tree_of
from rebake.errors import ConfigError, NotAProject, Problem, ProjectError

if TYPE_CHECKING:
    from rebake.config.model import Config

FILE_NAME = "rebake.toml"
_ENVIRONMENT = Path("environment")  # stands where a file's name would
_ENV_PREFIX = "REBAKE_"
_SERVICES = "services"  # the model's property
# REBAKE_* variables that belong to other parts: no keys of rebake.toml.
_ENV_RESERVED = frozenset(
    {
        "REBAKE_BUILD_ID",
        "REBAKE_CHECKS_FILE",
        "REBAKE_DRY_RUN",
        "REBAKE_ENGINE_HOME",
        "REBAKE_HOST_SETTINGS",
        "REBAKE_PROGRESS",
        "REBAKE_STATE_HOME",
    }
)


@dataclass(frozen=True)
class Loaded:
    """The configuration (plain values: see `values.py`) and the source of each key's value."""

    config: Config
    sources: Mapping[str, str]
    root: Path

    def values(self) -> dict[str, object]:
        """All effective values by key."""
        tree = tree_of(self.config)
        del tree[_SERVICES]  # worked out, no key
        return dict(_flatten(tree))


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds rebake.toml.

    Raises:
        NotAProject: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise NotAProject(start)


def defaults_text() -> str:
    """The text of defaults.toml: every key with its comment."""
    return resources.files("rebake.config").joinpath("defaults.toml").read_text(encoding="utf-8")


def user_file() -> Path:
    """The user's own settings, for all projects."""
    return platformdirs.user_config_path("rebake") / "config.toml"


def load(
    root: Path,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    user: Path | None = None,
    keep_in: Path | None = None,
    read_only: bool = False,
) -> Loaded:
    """Load the configuration of the project in `root`.

    Args:
        root: the project's folder, the one with rebake.toml.
        environ: the environment; ours when None.
        flags: values of flags by key (`{"engine.kind": "native"}`).
        user: the user's settings file; the platform's own place when None.
        keep_in: a file that keeps what was found good, for the next time; none when None.
        read_only: use what is kept, but write nothing.

    Raises:
        ConfigError: anything is wrong in any of the sources; all problems at once.
        ProjectError: a file can't be read or is not TOML.
    """
    env = os.environ if environ is None else environ
    files = [
        (file, _read(file))
        for file in (user_file() if user is None else user, root / FILE_NAME)
        if file.is_file()
    ]
    digest = kept.digest_of(files, dict(_variables(env)), flags or {}) if keep_in else ""
    found = kept.read(keep_in, digest) if keep_in else None
    if found is None:
        found = _check(files, env, flags or {})
        if keep_in and not read_only:
            kept.write(keep_in, digest, found)
    return Loaded(cast("Config", table_of(found.values)), found.sources, root)


def _check(
    files: Sequence[tuple[Path, str]],
    env: Mapping[str, str],
    flags: Mapping[str, object],
) -> kept.Kept:
    """Put the settings of all sources together; raise `ConfigError` with all that is wrong."""
    defaults = tomllib.loads(defaults_text())
    known = dict(_flatten(defaults))
    merged: Tree = {}
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    places: dict[str, _Place] = {}

    def add(tree: Tree, source: str, place: _Place) -> None:
        for key, value in _flatten(tree):
            problem = _unknown(key, known, place)
            if problem:
                problems.append(problem)
                continue
            _put(merged, key, value)
            sources[key], places[key] = source, place

    add(defaults, "default", _Place(Path("defaults.toml"), ""))
    for file, text in files:
        add(_parse(file, text), str(file), _Place(file, text))
    add(_from_environment(env, known, problems), "environment", _Place(_ENVIRONMENT, ""))
    for key, value in flags.items():
        _put(merged, key, value)
        sources[key], places[key] = "flag", _Place(Path("flags"), "")

    config = _validate(merged, places, problems)
    if config is not None:
        problems += _cross_check(config, places)
    if problems or config is None:
        raise ConfigError(problems)
    values = config.model_dump(mode="json") | {_SERVICES: list(config.services)}
    return kept.Kept(values, sources)


@dataclass(frozen=True)
class _Place:
    """A source of values: its file and text, to find lines in."""

    file: Path
    text: str

    def shown(self, key: str) -> str:
        """The key as it stands in this source."""
        return _variable(key) if self.file == _ENVIRONMENT else key

    def line(self, key: str) -> int | None:
        """The line (from 1) that sets `key`, or its table's line."""
        table, _, name = key.rpartition(".")
        current, table_line = "", None
        for number, line in enumerate(self.text.splitlines(), 1):
            heading = re.match(r"\s*\[([^\[\]]+)\]", line)
            if heading:
                current = re.sub(r"[\s\"']", "", heading[1])
                if current in {key, table}:
                    table_line = number
                continue
            found = re.match(r"\s*([\w.\"'-]+)\s*=", line)
            if found:
                word = found[1].replace('"', "").replace("'", "")
                full = f"{current}.{word}" if current else word
                if full == key or (current == table and word == name):
                    return number
                if key.startswith(full + "."):  # an inline table
                    return number
        return table_line


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ProjectError(file, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProjectError(file, "is not UTF-8 text", "save it as UTF-8") from error


def _parse(file: Path, text: str) -> Tree:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        message = re.sub(r" \(at .*\)$", "", str(error))
        raise ProjectError(
            file, f"is not valid TOML: {message}", "mend that line", int(line[1]) if line else None
        ) from error


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            # A free table stays visible when it is empty, so that its name is known.
            if key in FREE_TABLES and not value:
                yield key, value
            yield from _flatten(value, key + ".")
        else:
            yield key, value


def _put(tree: Tree, key: str, value: object) -> None:
    *tables, name = key.split(".")
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            return
    tree[name] = value


def _unknown(key: str, known: Mapping[str, object], place: _Place) -> Problem | None:
    table, _, _name = key.rpartition(".")
    if key in known or table in FREE_TABLES or key in FREE_TABLES:
        return None
    tables = {".".join(k.split(".")[:n]) for k in known for n in range(1, k.count(".") + 1)}
    if key in tables:
        return Problem(place.file, key, "is a table, not a value", f"[{key}]", place.line(key))
    match = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    if not match:  # a right name in the wrong table
        name = key.rpartition(".")[2]
        match = [k for k in known if k.rpartition(".")[2] == name][:1]
    suggestion = f"did you mean {match[0]}?" if match else "see invoke config --defaults"
    return Problem(place.file, key, "unknown key", "", place.line(key), suggestion)


def _from_environment(
    env: Mapping[str, str], known: Mapping[str, object], problems: list[Problem]
) -> Tree:
    tree: Tree = {}
    names = {_variable(key): key for key in known}
    for variable, text in sorted(_variables(env)):
        key = names.get(variable)
        if key is None:
            match = difflib.get_close_matches(variable, list(names), n=1, cutoff=0.6)
            problems.append(
                Problem(
                    _ENVIRONMENT,
                    variable,
                    "unknown variable",
                    suggestion=f"did you mean {match[0]}?" if match else "",
                )
            )
            continue
        _put(tree, key, _convert(text, known[key]))
    return tree


def _variables(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that set keys, or mean to."""
    for variable, text in env.items():
        if variable.startswith(_ENV_PREFIX) and variable not in _ENV_RESERVED:
            yield variable, text


def _variable(key: str) -> str:
    return _ENV_PREFIX + re.sub(r"[^A-Z0-9]", "_", key.upper())


def _convert(text: str, like: object) -> object:
    """Turn a variable's text into the type of the default; what does not fit stays text."""
    if isinstance(like, bool):
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)
    if isinstance(like, int):
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if isinstance(like, float):
        return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else text
    if isinstance(like, list):
        return [word.strip() for word in text.split(",") if word.strip()]
    return text


def _validate(tree: Tree, places: Mapping[str, _Place], problems: list[Problem]) -> Config | None:
    from pydantic import ValidationError

    from rebake.config.model import Config

    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        seen: set[str] = set()
        for item in error.errors():
            location = [str(part) for part in item["loc"] if part != "[key]"]
            key = next(
                (k for n in range(len(location), 0, -1) if (k := ".".join(location[:n])) in places),
                ".".join(location),
            )
            if key in seen:
                continue
            seen.add(key)
            place = places.get(key, _Place(Path(FILE_NAME), ""))
            expected = _expected(item["type"], item.get("ctx", {}), item["msg"])
            problems.append(
                Problem(
                    place.file,
                    place.shown(key),
                    f"{item['input']!r} can't be used",
                    expected,
                    place.line(key),
                    _nearest(item["input"], expected) if item["type"] == "literal_error" else "",
                )
            )
        return None


def _nearest(given: object, expected: str) -> str:
    """What of the words that may stand there was probably meant."""
    match = difflib.get_close_matches(str(given).lower(), re.findall(r'"([^"]*)"', expected), n=1)
    return f'did you mean "{match[0]}"?' if match else ""


def _expected(kind: str, context: Mapping[str, Any], message: str) -> str:
    words = {
        "string_type": "a string",
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "tuple_type": "a list of strings",
        "dict_type": "a table",
        "too_short": "at least one entry",
    }
    if kind in words:
        return words[kind]
    if kind == "literal_error":
        return str(context.get("expected", "")).replace("'", '"')
    if kind == "string_pattern_mismatch":
        return f"text of the form {context.get('pattern', '')}"
    if kind in {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}:
        return message.removeprefix("Input should be ")
    return message.removeprefix("Value error, ")


def _cross_check(config: Config, places: Mapping[str, _Place]) -> Iterator[Problem]:
    """What no single value shows: names that must exist, paths that must stay inside."""

    def problem(key: str, message: str, expected: str = "", suggestion: str = "") -> Problem:
        place = places.get(key, _Place(Path(FILE_NAME), ""))
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
