"""Chooses what an empty cache mount is filled from. Pure.

While the mount lives, the dependency layer is not even looked at. Where the mount is gone, the
layer saves the compilation of all dependencies, if there is one: on this engine, or in the remote
cache. Where there is none, compiling into the mount at once is the shortest way, and the layer is
made from the mount afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rebake.build.plan import Seed
from rebake.history.records import FileDigest

SETTING = "dependency layer"


@dataclass(frozen=True)
class CacheState:
    """What is known of the caches before a build.

    Attributes:
        mount: the cache mount that would be compiled in; empty when it does not exist, None when
            the engine can't be asked.
        layer: whether this engine made the dependency layer of these very dependencies.
        remote: whether a remote cache may have it.
    """

    mount: str | None
    layer: bool
    remote: bool


def choose(state: CacheState) -> tuple[Seed, str]:
    """Return the choice, and why, in words for a person."""
    if state.mount is None:
        return "none", "the engine does not tell which cache mounts it has"
    if state.mount:
        return "none", "the cache mount is there"
    if state.layer:
        return "deps", "the cache mount is gone: filling it from the dependency layer"
    if state.remote:
        return "deps", "there is no cache mount: filling it from the remote cache, if that has it"
    return "none", "nothing is compiled yet"


def layer_key(
    files: Iterable[FileDigest],
    recipe: str,
    base_images: Mapping[str, str],
    surroundings: Mapping[str, str],
) -> str:
    """Return a digest of what the dependency layer is made from.

    It takes in too much rather than too little: where it is another one, the layer is looked at
    again, which costs a moment when BuildKit finds it unchanged.

    Args:
        files: the files of the workspace.
        recipe: the digest of the files that say how images are made.
        base_images: digests by reference.
        surroundings: whatever else decides.
    """
    total = hashlib.sha256(recipe.encode())
    for file in files:
        if _decides(file.path):
            total.update(f"{file.sha256} {file.path}\n".encode(errors="surrogateescape"))
    for table in (base_images, surroundings):
        for name, value in sorted(table.items()):
            total.update(f"{name}={value}\n".encode())
    return total.hexdigest()


def _decides(path: str) -> bool:
    """Whether a file can decide which dependencies are compiled, and how."""
    folder, _, name = path.rpartition("/")
    return (
        name in {"Cargo.toml", "Cargo.lock"}
        or name.startswith("rust-toolchain")
        or ".cargo" in folder.split("/")
    )
