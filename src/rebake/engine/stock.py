"""What the engine keeps besides its build cache: images, containers, volumes.

Asked over the engine's API in a few milliseconds each, and removed one by one, by id or name.

Source: https://docs.docker.com/reference/api/engine/version/v1.48/
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from rebake.engine import api
from rebake.engine.build_cache import moment
from rebake.engine.client import LABEL_PROJECT
from rebake.engine.endpoint import Endpoint
from rebake.engine.image_layers import image_layers
from rebake.history.records import LayerRecord

LABEL_VOLUME = "com.docker.compose.volume"
_REMOVE_TIMEOUT_S = 120.0
_TIMEOUT_S = 60.0  # a busy engine may take long, and nobody builds meanwhile
_THREADS = 8


class StoredImage(Struct, frozen=True):
    """An image.

    Attributes:
        id: the engine's id of it.
        digests: the digests by which registries and the history know it.
        created_at: seconds since 1970.
    """

    id: str
    tags: tuple[str, ...]
    digests: frozenset[str]
    created_at: float


class StoredContainer(Struct, frozen=True):
    """A container, running or not.

    Attributes:
        project: of Compose; empty for one that Compose did not make.
        image: the id of its image.
        volumes: the names of its volumes.
    """

    id: str
    name: str
    project: str
    running: bool
    image: str
    image_ref: str
    volumes: tuple[str, ...]
    created_at: float


class StoredVolume(Struct, frozen=True):
    """A volume. `key` is what the compose file calls it; `bytes` is None where it is not known."""

    name: str
    project: str
    key: str
    created_at: float
    bytes: int | None = None


def images(endpoint: Endpoint) -> tuple[StoredImage, ...] | None:
    """Return all images; None where the engine can't be asked."""
    answer = api.ask(endpoint.docker_host, "/images/json", timeout_s=_TIMEOUT_S)
    return parse_images(answer.document) if answer is not None and answer.ok else None


def parse_images(document: Any) -> tuple[StoredImage, ...]:  # noqa: ANN401 - as json.loads gives it
    """Read the answer of `/images/json`."""
    return tuple(
        StoredImage(
            id=str(entry.get("Id") or ""),
            tags=tuple(tag for tag in entry.get("RepoTags") or () if tag != "<none>:<none>"),
            digests=frozenset(
                {str(entry.get("Id") or "")}
                | {str(d).partition("@")[2] for d in entry.get("RepoDigests") or ()}
            ),
            created_at=float(entry.get("Created") or 0),
        )
        for entry in document or ()
    )


def containers(endpoint: Endpoint) -> tuple[StoredContainer, ...] | None:
    """Return all containers; None where the engine can't be asked."""
    answer = api.ask(endpoint.docker_host, "/containers/json", {"all": "1"}, timeout_s=_TIMEOUT_S)
    return parse_containers(answer.document) if answer is not None and answer.ok else None


def parse_containers(document: Any) -> tuple[StoredContainer, ...]:  # noqa: ANN401 - JSON
    """Read the answer of `/containers/json`."""
    return tuple(
        StoredContainer(
            id=str(entry.get("Id") or ""),
            name=str((entry.get("Names") or [""])[0]).lstrip("/"),
            project=str((entry.get("Labels") or {}).get(LABEL_PROJECT) or ""),
            running=entry.get("State") in {"running", "paused", "restarting", "removing"},
            image=str(entry.get("ImageID") or ""),
            image_ref=str(entry.get("Image") or ""),
            volumes=tuple(
                str(mount.get("Name"))
                for mount in entry.get("Mounts") or ()
                if mount.get("Type") == "volume"
            ),
            created_at=float(entry.get("Created") or 0),
        )
        for entry in document or ()
    )


def volumes(endpoint: Endpoint) -> tuple[StoredVolume, ...] | None:
    """Return all volumes, without their sizes; None where the engine can't be asked."""
    answer = api.ask(endpoint.docker_host, "/volumes", timeout_s=_TIMEOUT_S)
    return parse_volumes(answer.document) if answer is not None and answer.ok else None


def volume_sizes(endpoint: Endpoint, timeout_s: float) -> dict[str, int] | None:
    """Return each volume's bytes; None where the engine does not tell within that many seconds.

    It walks through all files of all volumes: a second for some gigabytes, and more on a busy disk.
    """
    answer = api.ask(
        endpoint.docker_host, "/system/df", {"type": "volume"}, timeout_s=max(0.05, timeout_s)
    )
    if answer is None or not answer.ok:
        return None
    found = parse_volumes(answer.document)
    return {volume.name: volume.bytes for volume in found if volume.bytes is not None}


def parse_volumes(document: Any) -> tuple[StoredVolume, ...]:  # noqa: ANN401 - JSON
    """Read the answer of `/volumes`, or of `/system/df?type=volume`, which has sizes too."""
    found = []
    for entry in (document or {}).get("Volumes") or ():
        labels = entry.get("Labels") or {}
        size = (entry.get("UsageData") or {}).get("Size", -1)
        found.append(
            StoredVolume(
                name=str(entry.get("Name") or ""),
                project=str(labels.get(LABEL_PROJECT) or ""),
                key=str(labels.get(LABEL_VOLUME) or ""),
                created_at=moment(str(entry.get("CreatedAt") or "")),
                bytes=size if isinstance(size, int) and size >= 0 else None,
            )
        )
    return tuple(found)


def layers_of(endpoint: Endpoint, refs: Iterable[str]) -> dict[str, tuple[LayerRecord, ...]]:
    """Return the layers of images, by id, with their sizes; asked all at once."""
    names = list(refs)
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        return dict(
            zip(names, pool.map(lambda ref: image_layers(endpoint, ref), names), strict=True)
        )


def digests_of(endpoint: Endpoint, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the digests of the layers that images stand on, by id; asked all at once.

    Those of which the engine tells none are left out. An image's layers never change.
    """
    names = list(ids)
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        found = zip(names, pool.map(lambda name: _digests(endpoint, name), names), strict=True)
        return {name: digests for name, digests in found if digests}


def chains(digests: Sequence[str]) -> list[tuple[str, ...]]:
    """All beginnings of a list of layers."""
    return [tuple(digests[:n]) for n in range(1, len(digests) + 1)]


def remove_image(endpoint: Endpoint, ref: str) -> bool:
    """Remove an image's name, and the image with its last name; tell whether it went."""
    return _delete(endpoint, f"/images/{quote(ref, safe='')}")


def remove_volume(endpoint: Endpoint, name: str) -> bool:
    """Remove a volume that no container holds; tell whether it went."""
    return _delete(endpoint, f"/volumes/{quote(name, safe='')}")


def remove_container(endpoint: Endpoint, name: str) -> bool:
    """Remove a container that does not run; tell whether it went."""
    return _delete(endpoint, f"/containers/{quote(name, safe='')}")


def _delete(endpoint: Endpoint, path: str) -> bool:
    answer = api.ask(endpoint.docker_host, path, method="DELETE", timeout_s=_REMOVE_TIMEOUT_S)
    return answer is not None and answer.ok


def _digests(endpoint: Endpoint, ref: str) -> tuple[str, ...]:
    answer = api.ask(endpoint.docker_host, f"/images/{quote(ref, safe='')}/json")
    with contextlib.suppress(TypeError, KeyError, AttributeError):
        if answer is not None and answer.ok:
            return tuple(str(digest) for digest in answer.document["RootFS"]["Layers"])
    return ()
