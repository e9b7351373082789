r"""Digests of what goes into a build: the files of a context, and one id for all of them.

The id is computed twice: here, before the build, and by `BUILD_ID_SH` in the builder, in the
folder that holds the context. A binary whose id is not the plan's was not made from these files.

The id is the start of the SHA-256 over one line a file, sorted by the bytes of the paths: first
the regular files (`<sha256>  ./path`, what `sha256sum` prints), then the symbolic links
(`<sha256> @./path`, where the digest is that of the target's text and a line end, what
`readlink` prints). `.dockerignore` files are left out. Modes are not in it (Git and Windows can't
agree on them); they are in the manifest (`kind`), and so in the history's `inputs_digest`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rebake.build.plan import RECIPE, BuildPlan
from rebake.errors import ProjectError
from rebake.history.records import FileDigest, FileKind
from rebake.project.ignore import IgnoreMatcher, ignore_file, walk

BUILD_ID_LENGTH = 16  # hex digits
BUILD_ID_SH = r"""{
  find . -type f ! -name .dockerignore -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
  find . -type l ! -name .dockerignore -print0 | LC_ALL=C sort -z | xargs -0 -r sh -c \
    'for f do d=$(readlink "$f" | sha256sum); printf "%s @%s\n" "${d%% *}" "$f"; done' sh
} | sha256sum | cut -c1-16"""
_FORBIDDEN = ("\n", "\r", "\\")  # sha256sum writes such names in an escaped form
_CHUNK = 64 * 1024
_LARGE = 64 * 1024  # bytes of a file from which on a thread brings more than it costs
_THREADS_FROM = 8  # such files
_TRIES = 3  # a file that changes while it is read


def read_inputs(plan: BuildPlan) -> dict[str, tuple[FileDigest, ...]]:
    """Digest every file that a plan's images are made from: of each half, and of the recipe.

    Raises:
        ProjectError: a half has no folder; a file can't be read, or has a name that can't be in an
            id.
    """
    found: dict[str, tuple[FileDigest, ...]] = {}
    for half in plan.halves:
        folder = plan.folders[half]
        if not folder.is_dir():
            without = ' ("" where there is no UI)' if half == "ui" else ""
            raise ProjectError(
                folder,
                "there is no such folder",
                f"say where the {half} is: {half}.path in rebake.toml{without}",
            )
        ignore = ignore_file(folder, plan.dockerfiles.get(half))
        found[half] = manifest(folder, walk(folder, IgnoreMatcher.load(ignore)))
    found[RECIPE] = manifest(plan.root, [file.relative_to(plan.root) for file in plan.recipe])
    return found


def digest_of(files: Iterable[FileDigest]) -> str:
    """Return one digest of all that a manifest says: paths, contents and kinds."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.kind} {file.sha256} ".encode() + os.fsencode(file.path) + b"\n")
    return total.hexdigest()


def manifest(root: Path, paths: Iterable[Path | str]) -> tuple[FileDigest, ...]:
    """Return the digest of each file, sorted by the bytes of the paths.

    Args:
        root: the context's folder.
        paths: files and symbolic links below it, relative to it (`project.ignore.walk`).

    Raises:
        ProjectError: a file is gone or can't be read, or has a name that can't be in an id.
    """
    names = sorted((_posix(path) for path in paths), key=os.fsencode)
    for name in names:
        _check_name(root, name)
    base = str(root)
    known = {digest.path: digest for digest in _hash_all(base, names)}
    return tuple(known[name] for name in names)


def build_id(files: Sequence[FileDigest]) -> str:
    """Return the id of a manifest: what `BUILD_ID_SH` prints in a folder with these files."""
    total = hashlib.sha256()
    chosen = [f for f in files if f.path.rpartition("/")[2] != ".dockerignore"]
    chosen.sort(key=lambda f: (f.kind == "link", os.fsencode(f.path)))
    for file in chosen:
        mark = " @" if file.kind == "link" else "  "
        total.update(f"{file.sha256}{mark}./".encode() + os.fsencode(file.path) + b"\n")
    return total.hexdigest()[:BUILD_ID_LENGTH]


def _posix(path: Path | str) -> str:
    return path.as_posix() if isinstance(path, Path) else path


def _check_name(root: Path, name: str) -> None:
    if any(char in name for char in _FORBIDDEN):
        raise ProjectError(
            root / name,
            f"the name {name!r} holds a backslash or a line end, which a build id can't hold",
            "rename it, or list it in .dockerignore",
        )


def _hash_all(base: str, names: list[str]) -> list[FileDigest]:
    """Large files side by side; to hand over a small one takes longer than to hash it."""
    large = {name for name in names if _size(base, name) >= _LARGE}
    if len(large) < _THREADS_FROM:
        return [_hash(base, name) for name in names]
    with ThreadPoolExecutor(min(8, (os.cpu_count() or 2) + 2)) as pool:
        beside = pool.map(lambda name: _hash(base, name), sorted(large))
        return [*(_hash(base, name) for name in names if name not in large), *beside]


def _size(base: str, name: str) -> int:
    return _stat(os.path.join(base, name)).st_size  # noqa: PTH118


def _hash(base: str, name: str) -> FileDigest:
    path = os.path.join(base, name)  # noqa: PTH118
    status = _stat(path)
    if stat.S_ISLNK(status.st_mode):
        return _hash_link(path, name)
    if not stat.S_ISREG(status.st_mode):
        raise ProjectError(Path(path), "is neither a file nor a symbolic link")
    for _ in range(_TRIES):
        digest, size, before, after = _read(path)
        if _moment(before) == _moment(after):
            return FileDigest(name, digest, size, _kind(after))
    raise ProjectError(
        Path(path),
        "changes while it is read",
        "wait until it is written, or list it in .dockerignore",
    )


def _hash_link(path: str, name: str) -> FileDigest:
    target = os.readlink(path)  # noqa: PTH115
    if os.name == "nt":
        target = target.replace("\\", "/")  # as buildx sends it
    if "\n" in target:
        raise ProjectError(Path(path), "is a symbolic link with a line end in its target")
    text = os.fsencode(target)
    return FileDigest(name, hashlib.sha256(text + b"\n").hexdigest(), len(text), "link")


def _read(path: str) -> tuple[str, int, os.stat_result, os.stat_result]:
    """Hash a file; return digest, bytes read, and its state before and after."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            before = os.fstat(file.fileno())
            total, size = hashlib.sha256(), 0
            while chunk := file.read(max(_CHUNK, min(before.st_size + 1, 16 * _CHUNK))):
                total.update(chunk)
                size += len(chunk)
            return total.hexdigest(), size, before, os.fstat(file.fileno())
    except OSError as error:
        raise _unreadable(path, error) from error


def _moment(status: os.stat_result) -> tuple[int, ...]:
    """What is another one where a file was changed."""
    return (
        *(status.st_dev, status.st_ino, status.st_size),
        *(status.st_mtime_ns, status.st_ctime_ns),
    )


def _stat(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> ProjectError:
    return ProjectError(
        Path(path),
        f"can't be read: {error.strerror}",
        "mend its rights, or list it in .dockerignore",
    )


def _kind(status: os.stat_result) -> FileKind:
    executable = os.name != "nt" and bool(status.st_mode & stat.S_IXUSR)
    return "exec" if executable else "file"
