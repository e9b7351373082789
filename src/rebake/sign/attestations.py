"""Whether an image comes with what is asked of it: a list of its parts, a provenance. Pure.

A provenance is attached to the image by its builder. A list of parts is one that `invoke sbom` has
written, or one that a builder attached. Either counts for the image whose digest it names, and for
no other.

Sources: https://github.com/in-toto/attestation/tree/main/spec,
https://slsa.dev/spec/v1.0/requirements#provenance-exists
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from rebake.engine.saved_image import Attested
from rebake.sign import provenance

SBOM = "sbom"
PROVENANCE = "provenance"
_LISTS = ("https://spdx.dev/Document", "https://cyclonedx.org/bom")


class Lack(Struct, frozen=True):
    """What an image lacks: the word of the settings, what is wrong, and how to mend it."""

    kind: str
    words: str
    fix: str


def lacks(required: Sequence[str], attested: Attested, *, listed: bool) -> Iterator[Lack]:
    """Yield what an image lacks.

    Args:
        required: words of `sign.attestations`.
        attested: what is attached to the image.
        listed: whether a list of parts that names this image lies beside it.
    """
    if SBOM in required and not listed:
        lists = [one for one in attested.statements if _is_list(one)]
        if (wrong := _unmet(lists, attested)) is not None:
            yield Lack(
                SBOM,
                f"has no list of its parts (SBOM){wrong}",
                "invoke sbom writes it into sign.folder",
            )
    if PROVENANCE in required:
        told = [one for one in attested.statements if provenance.is_provenance(one)]
        if (wrong := _unmet(told, attested)) is not None:
            yield Lack(
                PROVENANCE,
                f"has no provenance{wrong}",
                "invoke build, on an engine with the containerd image store: "
                "sign.attestations has the builder write it",
            )


def about(attested: Attested) -> list[Mapping[str, Any]]:
    """The statements about this very image."""
    mine = frozenset(attested.manifests)
    return [one for one in attested.statements if mine & _subjects(one)]


def _unmet(found: Sequence[Mapping[str, Any]], attested: Attested) -> str | None:
    """Return what to add where statements of one sort don't do; None when they do."""
    named = frozenset[str]().union(*map(_subjects, found))
    lacking = [digest for digest in attested.manifests if digest not in named]
    if attested.manifests and not lacking:
        return None
    if not named:
        return ""
    other = ", ".join(sorted(named))
    return f" of its own: what it carries is about {other}, and this is {', '.join(lacking)}"


def _is_list(statement: Mapping[str, Any]) -> bool:
    predicate = statement.get("predicate")
    kind = str(statement.get("predicateType") or "")
    return isinstance(predicate, Mapping) and bool(predicate) and kind.startswith(_LISTS)


def _subjects(statement: Mapping[str, Any]) -> frozenset[str]:
    """The digests that a statement is about."""
    found = set()
    for subject in statement.get("subject") or ():
        digest = subject.get("digest") if isinstance(subject, Mapping) else None
        if isinstance(digest, Mapping) and digest.get("sha256"):
            found.add(f"sha256:{digest['sha256']}")
    return frozenset(found)
