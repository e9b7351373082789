from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebake.build.inputs import BUILD_ID_SH, build_id, manifest
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


def ours(root: Path) -> str:
    return build_id(manifest(root, walk(root, IgnoreMatcher())))


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


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="can't be read"):
        manifest(tmp_path, ["nowhere"])


def test_a_file_that_changes_all_the_time_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    real = os.fstat

    def grown(handle: int) -> os.stat_result:
        with file.open("a", encoding="utf-8") as out:
            out.write("x")
        return real(handle)

    monkeypatch.setattr("rebake.build.inputs.os.fstat", grown)
    with pytest.raises(ProjectError, match="changes while it is read"):
        manifest(tmp_path, ["a"])
