"""The engine's images, as a build asks for them: quickly, and without the typed client's import.

The engine's API is asked first. Where it can't be (ssh, TLS), one `docker image inspect` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from rebake import process
from rebake.engine import image_size
from rebake.engine.api import Answer
from rebake.engine.client import EngineClient, ImageInfo
from rebake.engine.endpoint import Endpoint

_TIMEOUT_S = 15.0
_NOT_FOUND = 404
_AT_ONCE = 8


class Images:
    """The images of one engine."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._ahead: dict[str, Future[ImageInfo | None]] = {}

    def ask_ahead(self, refs: Iterable[str]) -> None:
        """Ask for images while the caller does something else; `image` takes each answer once."""
        pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
        self._ahead |= {ref: pool.submit(self._ask, ref) for ref in dict.fromkeys(refs)}
        pool.shutdown(wait=False)

    def image(self, ref: str) -> ImageInfo | None:
        """Return an image by reference; None when the engine does not have it."""
        ahead = self._ahead.pop(ref, None)
        return self._ask(ref) if ahead is None else ahead.result()

    def _ask(self, ref: str) -> ImageInfo | None:
        found = inspect(self._endpoint, [ref]).get(ref)
        return None if found is None else info_of(found)

    def remove_image(self, ref: str, *, force: bool = False) -> bool:
        """Remove an image's name; tell whether it was there."""
        return EngineClient(self._endpoint).remove_image(ref, force=force)


def inspect(endpoint: Endpoint, refs: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return what the engine says of each image, by reference; absent ones are left out.

    The form is that of `docker image inspect`, with the image's manifests where the engine tells.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for ref, answer in zip(refs, _answers(endpoint, refs), strict=True):
        if answer is None or not (answer.ok or answer.status == _NOT_FOUND):
            return _inspect_by_client(endpoint, refs)
        if answer.ok and isinstance(answer.document, dict):
            found[ref] = answer.document
    return found


def _answers(endpoint: Endpoint, refs: Sequence[str]) -> Sequence[Answer | None]:
    """What the engine answers for each image; all at once, since it takes its time for one."""

    def describe(ref: str) -> Answer | None:
        return image_size.describe(endpoint.docker_host, ref)

    if len(refs) < 2:  # noqa: PLR2004 - nothing to do at once
        return [describe(ref) for ref in refs]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(describe, refs))


def _inspect_by_client(endpoint: Endpoint, refs: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for ref in refs:  # one call each: with several, nothing tells which of them is absent
        outcome = process.run(endpoint.command("image", "inspect", ref, timeout_s=_TIMEOUT_S))
        try:
            entries = json.loads(outcome.stdout or "[]")
        except ValueError:
            continue
        if entries:
            found[ref] = entries[0]
    return found


def info_of(entry: Mapping[str, Any]) -> ImageInfo:
    """Read one image from the engine's description."""
    digests = entry.get("RepoDigests") or ()
    config = entry.get("Config") or {}
    identity = str(entry.get("Id") or "")
    return ImageInfo(
        id=identity,
        digest=digests[0].partition("@")[2] if digests else identity,
        bytes=image_size.parse(entry) or int(entry.get("Size") or 0),
        labels=dict(config.get("Labels") or {}),
        architecture=str(entry.get("Architecture") or ""),
        os=str(entry.get("Os") or ""),
        tags=tuple(entry.get("RepoTags") or ()),
    )
