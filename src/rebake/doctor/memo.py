"""Remembers what a check found while nothing that it looked at has changed.

Only for checks whose answer depends on files and variables alone, and which have to start a
program for it: buildx and Compose each take some tenths of a second to read a file. What they
print may hold secrets, so only the findings are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import asdict

from rebake import __version__
from rebake.doctor.diagnosis import Diagnosis
from rebake.remember import keep, recall

_NAME = "doctor-%s.json"
_FORMAT = 1
_PREFIXES = ("BAKE_", "BUILDX_", "COMPOSE_", "DOCKER_")


def remembered(
    folder: Path, name: str, key: str, find: Callable[[], Sequence[Diagnosis]], *, write: bool
) -> Sequence[Diagnosis]:
    """Return what was found for this key the last time, or find it out.

    Args:
        folder: where it is kept.
        name: of the check.
        key: a digest of all that the answer depends on; empty: never remembered.
        find: finds it out.
        write: whether it may be written down.
    """
    file = folder / (_NAME % name)
    if key:
        known = _read(file, key)
        if known is not None:
            return known
    found = find()
    # What `--fix` would mend is no text, and an error may be one of the moment.
    lasting = key and not any(d.mends or d.level == "error" for d in found)
    if lasting and write:
        keep(file, key, json.dumps([_plain(diagnosis) for diagnosis in found]))
    return found


def key_of(files: Iterable[Path], environ: Mapping[str, str], extra: object, client: Path) -> str:
    """Digest all that an answer depends on.

    Args:
        files: the files that are read; one that is not there counts as such.
        environ: the environment: what the files name of it counts, and what the client reads.
        extra: anything else, as JSON can hold it.
        client: the docker client.
    """
    total = hashlib.sha256()
    words: set[str] = set()

    def add(part: str | bytes) -> None:
        data = part.encode(errors="surrogateescape") if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)

    for file in files:
        try:
            content = file.read_bytes()
        except OSError:
            content = b"\0absent"
        add(str(file))
        add(content)
        words.update(re.findall(r"[A-Za-z_]\w*", content.decode(errors="replace")))
    for name, value in sorted(environ.items()):
        if (name in words and name != "_") or name.startswith(_PREFIXES):
            add(f"{name}={value}")
    try:
        add(str(client.stat().st_mtime_ns))
    except OSError:
        add("no client")
    add(json.dumps([_FORMAT, __version__, str(client), extra], sort_keys=True, default=str))
    return total.hexdigest()


def _read(file: Path, key: str) -> list[Diagnosis] | None:
    text = recall(file, key)
    if text is None:
        return None
    try:
        return [Diagnosis(**entry) for entry in json.loads(text)]
    except (ValueError, TypeError):
        return None  # another version's: found out anew


def _plain(diagnosis: Diagnosis) -> dict[str, object]:
    return {name: value for name, value in asdict(diagnosis).items() if name != "mends"}
