"""Checks the file with the digests that base images are pulled by."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from rebake.errors import did_you_mean
from rebake.results import SCHEMA_VERSION

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def faults(file: Path, *, used: Sequence[str], known: Collection[str]) -> list[str]:
    """Return what is wrong with the lock, in words; nothing when there is no lock.

    Reading for a build takes a lock that can't be read for none, and then pulls whatever the tag
    is: this is where that shows.

    Args:
        file: `base-images.lock.json`, be it there or not.
        used: the base images that builds start from.
        known: those and the ones that other settings would use.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        return [f"can't be read: {error}; invoke base-images --pin writes it anew"]
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, dict):
        return ["has no table `images`; invoke base-images --pin writes it anew"]
    return list(_faults(document.get("schema_version"), images, used, known))


def _faults(
    version: object, images: dict[str, object], used: Sequence[str], known: Collection[str]
) -> Iterator[str]:
    if version != SCHEMA_VERSION:
        yield f"schema_version is {version}, expected {SCHEMA_VERSION}"
    for ref, digest in images.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            yield f"{ref}: {digest} is no digest; expected sha256: and 64 hex digits"
        if ref not in known:
            yield f"{ref}: no base image of rebake.toml; {did_you_mean(ref, known)}"
    for ref in used:
        if ref not in images and "@sha256:" not in ref:
            yield f"{ref} of [base_images] is not pinned; invoke base-images --pin"
