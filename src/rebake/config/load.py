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
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import platformdirs
from msgspec import Struct

from rebake.config import kept
from rebake.config.cross_check import cross_check
from rebake.config.place import ENV_PREFIX, ENVIRONMENT, FILE_NAME, Place, variable_name
from rebake.config.values import FREE_TABLES, Tree, table_of, tree_of
from rebake.errors import ConfigError, NotAProject, Problem, ProjectError
from rebake.redact import Redactor

if TYPE_CHECKING:
    from rebake.config.model import Config

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


class Loaded(Struct, frozen=True):
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
    from importlib import resources  # 3 ms, and what was found good before needs no defaults

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
    known = _defaults()
    merged: Tree = {}
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    places: dict[str, Place] = {}

    for key, value in known.items():
        _put(merged, key, deepcopy(value))  # a table may get more keys below
        sources[key], places[key] = "default", Place(Path("defaults.toml"), "")

    def add(tree: Tree, source: str, place: Place) -> None:
        for key, value in _flatten(tree):
            problem = _unknown(key, known, place)
            if problem:
                problems.append(problem)
                continue
            _put(merged, key, value)
            sources[key], places[key] = source, place

    for file, text in files:
        add(_parse(file, text), str(file), Place(file, text))
    add(_from_environment(env, known, problems), "environment", Place(ENVIRONMENT, ""))
    for key, value in flags.items():
        _put(merged, key, value)
        sources[key], places[key] = "flag", Place(Path("flags"), "")

    config = _validate(merged, places, problems)
    if config is not None:
        problems += cross_check(config, places)
    if problems or config is None:
        raise ConfigError(problems)
    values = config.model_dump(mode="json") | {_SERVICES: list(config.services)}
    return kept.Kept(values, sources)


@cache
def _defaults() -> dict[str, Any]:
    """The default of each key; read-only."""
    return dict(_flatten(tomllib.loads(defaults_text())))


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
        if isinstance(value, dict) and prefix.removesuffix(".") not in FREE_TABLES:
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


def _unknown(key: str, known: Mapping[str, object], place: Place) -> Problem | None:
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
    if not match and table not in tables:
        match = [f"[{one}]" for one in difflib.get_close_matches(table, sorted(tables), n=1)]
    suggestion = f"did you mean {match[0]}?" if match else "see invoke config --defaults"
    return Problem(place.file, key, "unknown key", "", place.line(key), suggestion)


def _from_environment(
    env: Mapping[str, str], known: Mapping[str, object], problems: list[Problem]
) -> Tree:
    tree: Tree = {}
    names = {variable_name(key): key for key in known}
    for variable, text in sorted(_variables(env)):
        key = names.get(variable)
        if key is None:
            match = difflib.get_close_matches(variable, list(names), n=1, cutoff=0.6)
            problems.append(
                Problem(
                    ENVIRONMENT,
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
        if variable.startswith(ENV_PREFIX) and variable not in _ENV_RESERVED:
            yield variable, text


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


def _validate(tree: Tree, places: Mapping[str, Place], problems: list[Problem]) -> Config | None:
    from pydantic import ValidationError

    from rebake.config.model import Config

    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        seen: set[str] = set()
        clean = Redactor.from_environment().text  # an address may hold a password
        for item in error.errors():
            location = [str(part) for part in item["loc"] if part != "[key]"]
            key = next(
                (k for n in range(len(location), 0, -1) if (k := ".".join(location[:n])) in places),
                ".".join(location),
            )
            place = places.get(key, Place(Path(FILE_NAME), ""))
            expected = _expected(item["type"], item.get("ctx", {}), item["msg"])
            entry = _entry(location[key.count(".") + 1 :])
            if entry:  # of a list of tables: each of its keys may be wrong
                number, name = entry
                missing = item["type"] == "missing"
                problems.append(
                    Problem(
                        place.file,
                        f"{place.shown(key)}[{number}].{name}",
                        "is missing" if missing else f"{clean(repr(item['input']))} can't be used",
                        "" if missing else expected,
                        place.nth(key, number),
                    )
                )
                continue
            if key in seen:
                continue
            seen.add(key)
            in_secrets = key.partition(".")[0] == "secrets"
            problems.append(
                Problem(
                    place.file,
                    place.shown(key),
                    # A secret is written here by mistake, sometimes: it is not repeated.
                    "can't be used"
                    if in_secrets
                    else f"{clean(repr(item['input']))} can't be used",
                    expected,
                    place.line(key),
                    _nearest(item["input"], expected) if item["type"] == "literal_error" else "",
                )
            )
        return None


def _entry(rest: Sequence[str]) -> tuple[int, str] | None:
    """Number and key of what is wrong inside a list of tables; None where it is something else."""
    if len(rest) == 2 and rest[0].isdecimal():  # noqa: PLR2004 - the number and the key
        return int(rest[0]), rest[1]
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
        "string_too_short": "some text",
        "model_type": "a table",
        "extra_forbidden": "no such key",
        "date_type": "a date, as in 2027-01-31",
        "date_from_datetime_parsing": "a date, as in 2027-01-31",
        "date_from_datetime_inexact": "a date, as in 2027-01-31",
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
