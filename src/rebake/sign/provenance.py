"""Reads what BuildKit attested of an image: SLSA's provenance. Pure.

It is the builder's own word, and nobody has signed it: level 1 of SLSA's build track, no more.

Sources: https://slsa.dev/spec/v1.0/provenance, https://slsa.dev/spec/v0.2/provenance,
https://slsa.dev/spec/v1.0/levels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LEVEL = 1
_PREFIX = "https://slsa.dev/provenance/"


def is_provenance(statement: Mapping[str, Any]) -> bool:
    """Whether a statement tells how something was built: by whom, and in which way."""
    predicate = statement.get("predicate")
    if not isinstance(predicate, Mapping):
        return False
    definition = predicate.get("buildDefinition") or predicate
    kind = str(statement.get("predicateType") or "")
    return kind.startswith(_PREFIX) and bool(definition.get("buildType"))


def summary(statements: Sequence[Mapping[str, Any]]) -> dict[str, object] | None:
    """Return what a provenance says, or None where the image carries none.

    Args:
        statements: the in-toto statements that are attached to the image.
    """
    for statement in statements:
        kind = str(statement.get("predicateType") or "")
        if kind.startswith(_PREFIX):
            predicate = statement.get("predicate") or {}
            found = _of_1(predicate) if "buildDefinition" in predicate else _of_0_2(predicate)
            return {"type": kind, "slsa_build_level": LEVEL, **found}
    return None


def _of_1(predicate: Mapping[str, Any]) -> dict[str, object]:
    definition, details = predicate.get("buildDefinition") or {}, predicate.get("runDetails") or {}
    metadata = details.get("metadata") or {}
    return {
        "builder": (details.get("builder") or {}).get("id", ""),
        "build_type": definition.get("buildType", ""),
        "started": metadata.get("startedOn", ""),
        "finished": metadata.get("finishedOn", ""),
        "materials": _materials(definition.get("resolvedDependencies")),
    }


def _of_0_2(predicate: Mapping[str, Any]) -> dict[str, object]:
    metadata = predicate.get("metadata") or {}
    return {
        "builder": (predicate.get("builder") or {}).get("id", ""),
        "build_type": predicate.get("buildType", ""),
        "started": metadata.get("buildStartedOn", ""),
        "finished": metadata.get("buildFinishedOn", ""),
        "materials": _materials(predicate.get("materials")),
    }


def _materials(entries: Sequence[Mapping[str, Any]] | None) -> list[dict[str, object]]:
    return [
        {"uri": str(entry.get("uri") or ""), "digest": dict(entry.get("digest") or {})}
        for entry in entries or ()
    ]
