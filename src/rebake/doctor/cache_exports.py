"""Check `cache-exports`: targets that write their cache to one and the same place.

The later one overwrites the earlier (docker/buildx#414): the next machine finds one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rebake.doctor.case import ASK_LIMIT_S, Case, read_json
from rebake.doctor.diagnosis import Diagnosis, NotChecked, error, ok

_TARGET = re.compile(r"^\s*target\s+\"?([\w-]+)\"?\s*\{", re.MULTILINE)
# Which options of a cache export make its place, and what stands for one that is left out.
_PLACE = {
    "registry": ("ref",),
    "local": ("dest",),
    "gha": ("scope",),
    "s3": ("bucket", "prefix", "name", "manifests_prefix"),
    "azblob": ("account_url", "container", "prefix", "name"),
}
_DEFAULT = {"scope": "buildkit", "name": "buildkit"}


def check(case: Case) -> Iterator[Diagnosis]:
    """Let buildx resolve the bake file, and compare the targets' exports."""
    file = case.project.bake_file
    if not file.is_file():
        raise NotChecked(f"{case.shown(file)} is not there", "see the finding `files`")
    yield from case.remembered(
        "cache-exports", [file], str(case.project.root), lambda: list(_look(case, file))
    )


def _look(case: Case, file: Path) -> Iterator[Diagnosis]:
    document, fault = resolved(case, file)
    if document is None:
        yield error(
            f"{case.shown(file)} can't be read by buildx: {fault}",
            why="no image can be built",
            fix=f"docker buildx bake --file {case.shown(file)} --print",
        )
        return
    shared = collisions(document.get("target") or {})
    for where, targets in shared.items():
        yield error(
            f"{', '.join(targets)} write their cache to {where}",
            why="each overwrites what the other wrote: all but one begin cold on the next machine",
            fix="a place of its own for each target: ref=…:TARGET, scope=TARGET, dest=…/TARGET",
        )
    if not shared:
        yield ok(f"no two targets of {case.shown(file)} share a cache export")


def resolved(case: Case, file: Path) -> tuple[Mapping[str, Any] | None, str]:
    """Return the bake file as buildx reads it, with all targets; or what buildx said.

    Raises:
        NotChecked: there is no docker client.
    """
    names = target_names(file.read_text(encoding="utf-8", errors="replace"), file.suffix)
    text, fault = _bake(case, file, "--print", *names)
    if fault:  # a target in a comment, say: let buildx itself list them
        listing, _ = _bake(case, file, "--list=type=targets,format=json")
        entries = read_json(listing)
        if isinstance(entries, list):
            text, fault = _bake(case, file, "--print", *(e["name"] for e in entries))
    document = read_json(text)
    return (document, "") if isinstance(document, dict) else (None, fault)


def _bake(case: Case, file: Path, *words: str) -> tuple[str, str]:
    return case.output(
        case.client.command(
            *("buildx", "bake", "--file", str(file), *words),
            cwd=case.project.root,
            timeout_s=ASK_LIMIT_S,
        )
    )


def target_names(text: str, suffix: str) -> list[str]:
    """The names of the targets in a bake file's text. Pure."""
    if suffix == ".json":
        document = read_json(text)
        targets = document.get("target") if isinstance(document, dict) else None
        return list(targets) if isinstance(targets, dict) else []
    return list(dict.fromkeys(_TARGET.findall(text)))


def collisions(targets: Mapping[str, Any]) -> dict[str, list[str]]:
    """The places that more than one target writes to, each with its targets. Pure."""
    found: dict[str, list[str]] = {}
    for name, target in targets.items():
        for where in {place(entry) for entry in _entries(target.get("cache-to"))}:
            if where:
                found.setdefault(where, []).append(name)
    return {where: sorted(names) for where, names in sorted(found.items()) if len(names) > 1}


def place(export: Mapping[str, str]) -> str:
    """Name the place that an export writes to; empty for one that goes with the image. Pure."""
    kind = export.get("type", "registry" if "ref" in export else "")
    options = _PLACE.get(kind, ())
    values = [str(export.get(name) or _DEFAULT.get(name, "")) for name in options]
    return f"{kind} {'/'.join(v for v in values if v)}" if options else ""


def _entries(given: Sequence[Any] | None) -> list[Mapping[str, str]]:
    """The exports of a target: older versions of buildx print them as text."""
    found: list[Mapping[str, str]] = []
    for entry in given or ():
        if isinstance(entry, Mapping):
            found.append(entry)
        elif isinstance(entry, str):
            pairs = dict(part.split("=", 1) for part in entry.split(",") if "=" in part)
            found.append(pairs or {"type": "registry", "ref": entry})
    return found
