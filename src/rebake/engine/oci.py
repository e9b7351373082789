"""Writes an image of one layer as an archive that `docker load` reads (OCI layout).

The same layer and settings give the same bytes, and so the same image digest; `docker import`
would put the time of day into it, and compress what is unpacked at once.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct, field

EPOCH = 1_735_689_600  # the time of every file and image that we make: 2025-01-01
_OCI = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "amd64": "amd64", "arm64": "arm64"}


class Settings(Struct, frozen=True):
    """The image's configuration."""

    env: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def write_archive(layer: Path, archive: Path, name: str, settings: Settings) -> str:
    """Write the archive and return the image's manifest digest.

    Args:
        layer: a tar of the root file system, not compressed.
        archive: the file to write.
        name: the full name, with registry and tag.
        settings: the image's configuration.
    """
    with layer.open("rb") as stream:
        layer_digest = hashlib.file_digest(stream, "sha256").hexdigest()
    config = json.dumps(_config(layer_digest, settings), sort_keys=True).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": _descriptor(f"{_OCI}.config.v1+json", config),
            "layers": [
                {
                    "mediaType": f"{_OCI}.layer.v1.tar",
                    "digest": f"sha256:{layer_digest}",
                    "size": layer.stat().st_size,
                }
            ],
        },
        sort_keys=True,
    ).encode()
    descriptor = _descriptor(f"{_OCI}.manifest.v1+json", manifest)
    index = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.index.v1+json",
        "manifests": [
            {
                **descriptor,
                "annotations": {
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                },
            }
        ],
    }
    # For engines without the containerd image store.
    classic = [
        {
            "Config": f"blobs/sha256/{hashlib.sha256(config).hexdigest()}",
            "RepoTags": [name],
            "Layers": [f"blobs/sha256/{layer_digest}"],
        }
    ]
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as out:
        _add(out, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(out, "index.json", json.dumps(index, sort_keys=True).encode())
        _add(out, "manifest.json", json.dumps(classic, sort_keys=True).encode())
        for blob in (config, manifest):
            _add(out, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        info = _info(f"blobs/sha256/{layer_digest}", layer.stat().st_size)
        with layer.open("rb") as stream:
            out.addfile(info, stream)
    return str(descriptor["digest"])


def architecture(machine: str | None = None) -> str:
    """Return the image architecture of a machine (`uname -m`)."""
    name = machine or platform.machine()
    return _ARCHITECTURES.get(name.lower(), name)


def _config(layer_digest: str, settings: Settings) -> dict[str, object]:
    created = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config: dict[str, object] = {
        "Env": list(settings.env),
        "Cmd": list(settings.cmd),
        "Labels": dict(settings.labels),
    }
    if settings.workdir:
        config["WorkingDir"] = settings.workdir
    return {
        "architecture": architecture(),
        "os": "linux",
        "created": created,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": created, "created_by": "rebake base-images"}],
    }


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "size": len(content),
    }


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mtime = EPOCH
    info.mode = 0o644
    return info


def _add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    out.addfile(_info(name, len(content)), io.BytesIO(content))
