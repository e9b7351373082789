"""Chooses what an empty cache mount is filled from. Pure.

While the mount lives, the dependency layer is not even looked at. Where the mount is gone, the
layer saves the compilation of all dependencies, if there is one: on this engine, or in the remote
cache. Where there is none, compiling into the mount at once is the shortest way, and the layer is
made from the mount afterwards.

Nobody but the step that has it mounted knows for certain whether a mount is empty, and asking the
engine for all its caches takes as long as an edit takes to compile. So where the project was built
before, the step is told to refuse an empty mount at once, and the build begins again. Where there
is nothing to fill it from, after a new dependency, that is a moment lost beside minutes: if it were
not told, each such build would ask the engine, and could not begin before its files are read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from rebake.build.plan import Seed
from rebake.history.records import FileDigest

SETTING = "dependency layer"
# What that shall be, where it was not made yet.
DUE = "dependency layer due"
_MANIFESTS = frozenset(
    {
        "Cargo.toml",
        "Cargo.lock",
        "package.json",
        "bun.lock",
        "package-lock.json",
        ".npmrc",
        "bunfig.toml",
    }
)
# What `docker/tools/build-workspace` ends with, as BuildKit tells it.
_EMPTY = re.compile(r"exit code: 66\b")


class CacheState(Struct, frozen=True):
    """What is known of the caches before a build.

    Attributes:
        layer: whether this engine made the dependency layer of these very dependencies.
        remote: whether a remote cache may have it.
        built: whether this project was built before, so that its mount is to be expected.
    """

    layer: bool
    remote: bool
    built: bool


class Choice(Struct, frozen=True):
    """What was chosen.

    Attributes:
        seed: what an empty cache mount is filled from.
        refuse_empty: whether the build shall stop where it finds the mount empty.
        reason: why, in words for a person.
    """

    seed: Seed
    refuse_empty: bool
    reason: str


def choose(state: CacheState) -> Choice:
    """Choose before a build."""
    if state.built:
        return Choice("none", refuse_empty=True, reason="the cache mount is there")
    if not state.layer and not state.remote:
        return Choice("none", refuse_empty=False, reason="there is no dependency layer")
    return Choice(
        "deps",
        refuse_empty=False,
        reason="the first build: filling the cache mount from the remote cache, if that has it",
    )


def after_refusal(state: CacheState) -> Choice:
    """Choose after a build that found the mount empty."""
    if not state.layer and not state.remote:
        reason = "the cache mount is gone, and there is no dependency layer: compiling everything"
        return Choice("none", refuse_empty=False, reason=reason)
    where = "the dependency layer" if state.layer else "the remote cache, if that has it"
    reason = f"the cache mount is gone: filling it from {where}"
    return Choice("deps", refuse_empty=False, reason=reason)


def was_empty(error: str) -> bool:
    """Whether a step failed since it found the mount empty."""
    return _EMPTY.search(error) is not None


def packages_key(
    files: Iterable[FileDigest],
    recipe: str,
    base_images: Mapping[str, str],
    surroundings: Mapping[str, str],
) -> str:
    """Return a digest of what decides which packages a half needs, and what compiles them.

    Of the backend, it is what the dependency layer is made from. It takes in too much rather than
    too little: where it is another one, the layer is looked at again, which costs a moment when
    BuildKit finds it unchanged.

    Args:
        files: the files of the half.
        recipe: the digest of what says how the half is compiled (`packing`).
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
    return name in _MANIFESTS or name.startswith("rust-toolchain") or ".cargo" in folder.split("/")
