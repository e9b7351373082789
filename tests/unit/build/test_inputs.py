from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebake.build.digest_cache import DigestCache, Stamp
from rebake.build.inputs import BUILD_ID_SH, build_id, manifest, total_bytes
from rebake.errors import ProjectError
from rebake.project.ignore import IgnoreMatcher, walk
from strategies import CHARACTERS

SHELLS = [shell for shell in ("sh", "dash", "busybox", "bash") if shutil.which(shell)]
POSIX = pytest.mark.skipif(
    os.name == "nt" or not shutil.which("sha256sum"), reason="needs sh and coreutils"
)
NAMES = [
    *("a", "b c", "é", "日本", "-x", "--help", "a'b", 'q"', "$x", "*", "a  b", " lead", "trail "),
    *("\x7f", ".hidden", ".dockerignore", "x.rs", "tab\there", "(p)", "~", "%s", "@"),
]
FILE_NAMES = st.text(
    CHARACTERS.filter(lambda character: character not in "/\0\n\r\\"), min_size=1
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 200)


def ours(root: Path, **options: object) -> str:
    return build_id(manifest(root, walk(root, IgnoreMatcher()), **options))  # type: ignore[arg-type]


def theirs(root: Path, shell: str = "sh", **env: str) -> str:
    argv = [shell, "sh"] if shell == "busybox" else [shell]
    done = subprocess.run(
        [*argv, "-c", BUILD_ID_SH], cwd=root, capture_output=True, text=True, check=True,
        env={**os.environ, **env},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.strip()


def random_tree(root: Path, choose: random.Random, depth: int = 0) -> None:
    root.mkdir(exist_ok=True)
    for name in choose.sample(NAMES, choose.randint(0, 6)):
        path = root / name
        kind = choose.random()
        if depth < 3 and kind < 0.4:
            random_tree(path, choose, depth + 1)
        elif kind < 0.55:
            path.symlink_to(choose.choice(["a", "../b c", "/no/where", "é -> x", "-n", " "]))
        else:
            path.write_bytes(choose.randbytes(choose.choice([0, 1, 100, 70_000])))
            path.chmod(choose.choice([0o644, 0o755]))


@POSIX
@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_in_the_builder_makes_the_same_id(shell: str, tmp_path: Path) -> None:
    choose = random.Random(7)
    for number in range(12):
        root = tmp_path / f"tree {number}"
        random_tree(root, choose)
        assert ours(root) == theirs(root, shell), root


@POSIX
def test_the_locale_does_not_matter(tmp_path: Path) -> None:
    for name in ("a", "B", "é", "a-b", "a_b", "Z"):
        (tmp_path / name).write_text(name)
    assert ours(tmp_path) == theirs(tmp_path, LC_ALL="en_US.UTF-8") == theirs(tmp_path, LANG="C")


@POSIX
def test_many_files(tmp_path: Path) -> None:
    for number in range(2000):  # more than fit into one command line
        folder = tmp_path / f"a rather long name of a folder {number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"and a rather long name of a file, number {number}").write_text(str(number))
    assert ours(tmp_path) == theirs(tmp_path)


@POSIX
def test_large_files_among_small_ones(tmp_path: Path) -> None:
    for number in range(20):
        content = f"{number}" * (60_000 if number % 2 else 1)
        (tmp_path / f"{number:02}").write_text(content)
    assert ours(tmp_path) == theirs(tmp_path)


@POSIX
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(FILE_NAMES, st.binary(max_size=64), max_size=8))
def test_any_name_and_content(tmp_path: Path, files: dict[str, bytes]) -> None:
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    for name, content in files.items():
        (root / name).write_bytes(content)
    assert ours(root) == theirs(root)


def test_nothing_and_everything_changes_the_id(tmp_path: Path) -> None:
    empty = ours(tmp_path)
    assert empty == "e3b0c44298fc1c14"  # sha256 of nothing
    seen = {empty}

    def changed() -> bool:
        now = ours(tmp_path)
        fresh = now not in seen
        seen.add(now)
        return fresh

    file = tmp_path / "a"
    file.write_text("1")
    assert changed()
    file.write_text("2")
    assert changed()
    file.rename(tmp_path / "b")
    assert changed()
    (tmp_path / "link").symlink_to("b")
    assert changed()
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("c")
    assert changed()
    (tmp_path / "link").unlink()
    (tmp_path / "link").write_text("c\n")  # a file with the text of the link's target
    assert changed()
    (tmp_path / ".dockerignore").write_text("x")
    assert not changed()


@pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")
@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\rb", "dir\n/x"])
def test_names_that_sha256sum_escapes_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    with pytest.raises(ProjectError, match="can't hold"):
        ours(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_kinds(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "s").write_text("x")
    (tmp_path / "s").chmod(0o755)
    (tmp_path / "l").symlink_to("nowhere")
    files = manifest(tmp_path, walk(tmp_path, IgnoreMatcher()))
    assert [(f.path, f.kind, f.size) for f in files] == [
        ("f", "file", 1),
        ("l", "link", 7),
        ("s", "exec", 1),
    ]
    assert total_bytes(files) == 9


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="can't be read"):
        manifest(tmp_path, ["nowhere"])


# the cache of digests


def age(path: Path, seconds: float = 10) -> None:
    past = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(past, past))


def stamp(**rest: int) -> Stamp:
    now = time.time_ns() - 10_000_000_000
    return Stamp(**({"device": 1, "inode": 2, "size": 3, "mtime_ns": now, "ctime_ns": now} | rest))


def cache_at(file: Path, root: Path) -> DigestCache:
    cache = DigestCache(file, root, trusted=True)
    cache._device = 1
    return cache


@pytest.mark.parametrize("field", Stamp._fields)
def test_any_difference_makes_the_cache_silent(tmp_path: Path, field: str) -> None:
    cache = cache_at(tmp_path / "c", tmp_path)
    known = stamp()
    cache.put("/x", known, "digest", time.time_ns())
    cache.save()
    again = cache_at(tmp_path / "c", tmp_path)
    assert again.get("/x", known) == "digest"
    assert again.get("/x", known._replace(**{field: getattr(known, field) + 1})) is None
    assert again.get("/y", known) is None


@pytest.mark.parametrize("field", ["mtime_ns", "ctime_ns"])
@pytest.mark.parametrize("ago", [-5.0, 0.0, 1.9])
def test_young_files_are_not_remembered(tmp_path: Path, field: str, ago: float) -> None:
    cache = cache_at(tmp_path / "c", tmp_path)
    now = time.time_ns()
    young = stamp(**{field: now - int(ago * 1e9)})
    cache.put("/x", young, "digest", now)
    cache.save()
    assert cache_at(tmp_path / "c", tmp_path).get("/x", young) is None


def test_windows_and_unknown_file_systems_are_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    monkeypatch.setattr("sys.platform", "win32")
    assert not DigestCache(tmp_path / "c", tmp_path).trusted
    monkeypatch.setattr("sys.platform", "linux")

    def on(kind: str) -> bool:
        mounts = [SimpleNamespace(mountpoint="/", fstype=kind)]
        monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
        return DigestCache(tmp_path / "c", tmp_path).trusted

    assert [on(kind) for kind in ("ext4", "nfs4", "9p", "fuse.sshfs", "")] == [True] + [False] * 4
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [])
    assert not DigestCache(tmp_path / "c", tmp_path).trusted


@pytest.mark.skipif(os.name == "nt", reason="POSIX ctime")
def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    file = root / "a"
    file.write_text("one")
    age(file)
    store = tmp_path / "digests"
    time.sleep(2.1)  # so that ctime, which nobody can set, is old enough to be trusted

    cache = DigestCache(store, root, trusted=True)
    first = manifest(root, ["a"], cache=cache)
    cache.save()
    cache = DigestCache(store, root, trusted=True)
    assert cache.get(str(file), Stamp.of(file.lstat())) == first[0].sha256  # it does remember

    before = file.stat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    second = manifest(root, ["a"], cache=DigestCache(store, root, trusted=True))
    assert second == manifest(root, ["a"])
    assert second != first


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "json"])
def test_a_damaged_cache_is_set_aside(tmp_path: Path, damage: str) -> None:
    store = tmp_path / "digests"
    cache = cache_at(store, tmp_path)
    known = stamp()
    cache.put("/x", known, "a" * 64, time.time_ns())
    cache.save()
    data = store.read_bytes()
    changed = {
        "cut": data[:-5],
        "flip": data.replace(b"a" * 64, b"b" * 64),
        "empty": b"",
        "json": b'{"/x": []}',
    }
    store.write_bytes(changed[damage])
    again = cache_at(store, tmp_path)
    assert again.get("/x", known) is None
    assert len(list(tmp_path.glob("digests.*.bad"))) == 1
    again.put("/x", known, "c" * 64, time.time_ns())
    again.save()
    assert cache_at(store, tmp_path).get("/x", known) == "c" * 64


def test_a_cache_that_can_not_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = cache_at(tmp_path / "file" / "c", tmp_path)
    cache.put("/x", stamp(), "digest", time.time_ns())
    cache.save()
