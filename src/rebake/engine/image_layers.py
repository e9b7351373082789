"""What an image is made of: its layers with their sizes and the lines that made them.

No command of the client gives all of it at once. The engine's API answers both questions in some
10 ms over its local socket; elsewhere the client is asked twice. The engine's history has a line
for everything in a Dockerfile, and does not say which of them made a layer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from rebake import process
from rebake.engine import api
from rebake.engine.endpoint import Endpoint
from rebake.history.records import LayerRecord

_TIMEOUT_S = 15.0
# The lines of a Dockerfile that change an image's settings only.
_SETTINGS = frozenset(
    {"ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
     "SHELL", "STOPSIGNAL", "USER", "VOLUME"}
)  # fmt: skip


def image_layers(endpoint: Endpoint, ref: str) -> tuple[LayerRecord, ...]:
    """Return an image's layers, the lowest first; empty where the engine does not tell them."""
    path = f"/images/{quote(ref, safe='')}"
    with ThreadPoolExecutor(max_workers=1) as pool:  # the engine takes its time for each
        asked = pool.submit(api.ask, endpoint.docker_host, f"{path}/history")
        image = api.ask(endpoint.docker_host, f"{path}/json")
        history = asked.result()
    if history is not None and history.ok and image is not None and image.ok:
        return parse_layers(history.document, image.document)
    return parse_layers(*_ask_client(endpoint, ref))


def parse_layers(history: Any, image: Any) -> tuple[LayerRecord, ...]:  # noqa: ANN401 - JSON
    """Read the answers: the history, newest line first, and the image with its layers' digests."""
    try:
        lines = [_line(line) for line in reversed(history)]
        digests = [str(digest) for digest in image["RootFS"]["Layers"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
    sized = [line for line in lines if line[1]]
    # A layer can be empty: then the words tell more than the sizes.
    for made in (sized, [line for line in lines if line[1] or not _only_settings(line[0])]):
        if len(made) == len(digests):
            return _layers(digests, made)
    return _layers([""] * len(sized), sized)


def _layers(digests: Sequence[str], lines: Sequence[tuple[str, int]]) -> tuple[LayerRecord, ...]:
    return tuple(
        LayerRecord(digest, size, words)
        for digest, (words, size) in zip(digests, lines, strict=True)
    )


def _line(entry: Mapping[str, Any]) -> tuple[str, int]:
    return str(entry.get("CreatedBy") or entry.get("Comment") or ""), int(entry.get("Size") or 0)


def _only_settings(words: str) -> bool:
    words = words.removeprefix("/bin/sh -c #(nop)").lstrip()
    return words.partition(" ")[0] in _SETTINGS


def _ask_client(endpoint: Endpoint, ref: str) -> tuple[Any, Any]:
    history = process.run(
        endpoint.command(
            *("image", "history", "--no-trunc", "--human=false", "--format", "json", ref),
            timeout_s=_TIMEOUT_S,
        )
    )
    image = process.run(
        endpoint.command("image", "inspect", "--format", "{{json .}}", ref, timeout_s=_TIMEOUT_S)
    )
    try:
        lines = [json.loads(line) for line in history.stdout.splitlines() if line]
        return lines, json.loads(image.stdout)
    except ValueError:
        return None, None
