"""The secrets that rebake.toml declares by name: where they are, and what they are now.

Their values are read when they are needed and never written into a record, a digest or a message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from rebake.errors import MissingSecrets
from rebake.redact import learn

Declared = Mapping[str, Mapping[str, object]]


def place_of(source: Mapping[str, object], root: Path) -> Path | None:
    """The file of a secret; None for one that is in a variable."""
    file = str(source.get("file") or "")
    return root / Path(file).expanduser() if file else None


def read(
    table: str, declared: Declared, root: Path, environ: Mapping[str, str]
) -> dict[str, bytes]:
    """Return the values of secrets by name; whatever is printed from now on has them masked.

    Args:
        table: `build` or `run`, for the error.
        declared: the table of the configuration.
        root: the folder that files are named from.
        environ: the environment.

    Raises:
        MissingSecrets: some are not there, or empty; all of them at once.
    """
    found: dict[str, bytes] = {}
    faults: list[str] = []
    for name, source in declared.items():
        key = f"secrets.{table}.{name}"
        file = place_of(source, root)
        if file is None:
            variable = str(source["env"])
            value = environ.get(variable, "").encode(errors="surrogateescape")
            missing = f"{key}: the variable {variable} is not set"
        else:
            value, missing = _read(file, key)
        if not value:
            faults.append(missing)
        found[name] = value
    learn(value.decode(errors="replace").strip() for value in found.values())
    if faults:
        raise MissingSecrets(faults)
    return found


def _read(file: Path, key: str) -> tuple[bytes, str]:
    try:
        return file.read_bytes(), f"{key}: {file} is empty"
    except OSError as error:
        return b"", f"{key}: {file} can't be read: {error.strerror}"


def learn_all(declared: Declared, root: Path, environ: Mapping[str, str]) -> None:
    """Have those secrets masked that are there, whatever is printed: a service's logs, say."""
    values = []
    for source in declared.values():
        file = place_of(source, root)
        if file is None:
            values.append(environ.get(str(source["env"]), ""))
        else:
            with contextlib.suppress(OSError):
                values.append(file.read_text(encoding="utf-8", errors="replace").strip())
    learn(values)
