from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebake.errors import ProjectError
from rebake.project.ignore import IgnoreMatcher, ignore_file, included, walk
from rebake.project.ignore_pattern import Pattern


def left(patterns: str, *paths: str) -> list[str]:
    return included(IgnoreMatcher.parse(patterns), paths)


@pytest.mark.parametrize(
    ("pattern", "path", "excluded"),
    [
        ("target", "target", True),
        ("target", "target/debug/x", True),
        ("target", "a/target", False),
        ("/target/", "target", True),
        ("./a/../target", "target", True),
        ("*/target", "a/target/x", True),
        ("*/target", "a/b/target", False),
        ("**/target", "target", True),
        ("**/target", "a/b/target/x", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("**", "x", True),
        ("**foo", "a/xfoo", True),
        ("a**", "abc/d", True),
        ("*.rs", "x.rs", True),
        ("*.rs", "a/x.rs", False),
        ("?.rs", "x.rs", True),
        ("?.rs", "xx.rs", False),
        ("[a-c].rs", "b.rs", True),
        ("[^a-c].rs", "b.rs", False),
        (r"\*.rs", "*.rs", True),
        (r"\*.rs", "x.rs", False),
        ("a+b.(x)", "a+b.(x)", True),
        ("#x", "#x", False),
        (r"\#x", "#x", True),
        (" #x", "#x", True),
        ("..", "x", False),
        (".", "x", False),
        ("/", "x", False),
        (".env", ".env", True),
        ("*", ".env", True),
        ("[[:digit:]]x", "1x", True),
        ("\ufefffoo", "foo", True),
        ("foo\r", "foo", True),
    ],
)
def test_patterns(pattern: str, path: str, excluded: bool) -> None:
    assert IgnoreMatcher.parse(pattern).excludes(path) is excluded


def test_the_last_match_wins() -> None:
    assert left("*\n!src\n!Cargo.*", "a", "src/main.rs", "Cargo.toml") == [
        "src/main.rs",
        "Cargo.toml",
    ]
    assert left("!src\n*", "src/main.rs") == []
    assert left("*\n!src\nsrc/x", "src/x/y", "src/y") == ["src/y"]


def test_an_exception_that_was_not_needed_for_the_folder() -> None:
    # The builder tests such an exception again for the path alone: `!d` is not `d/x`.
    assert left("d/x\n!d", "d/x", "d/y") == ["d/y"]


@pytest.mark.parametrize(
    "pattern", ["!", "! ", "!/", "[", "[]", "[a", "[a-", "[-a]", "a\\", r"[\]", r"\y", "[z-a]*"]
)
def test_what_the_builder_refuses_is_an_error_with_its_line(pattern: str) -> None:
    with pytest.raises(ProjectError) as caught:
        IgnoreMatcher.parse(f"ok\n\n{pattern}", file=Path("x/.dockerignore"))
    assert caught.value.line == 3
    assert str(Path("x/.dockerignore")) in caught.value.what


def test_backslashes_separate_on_windows() -> None:
    assert IgnoreMatcher.parse(r"a\b", windows=True).excludes("a/b")


def make(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)


def walked(root: Path, patterns: str = "") -> list[str]:
    return [path.as_posix() for path in walk(root, IgnoreMatcher.parse(patterns))]


def test_walk_is_sorted_by_bytes_and_takes_links_as_they_are(tmp_path: Path) -> None:
    make(tmp_path, "a/b", "a-b", "é", "Z", "a.b")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "empty").mkdir()
    assert walked(tmp_path) == ["Z", "a-b", "a.b", "a/b", "link", "é"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_walk_leaves_out_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert walked(tmp_path) == []


def test_walk_does_not_enter_what_can_not_come_back(tmp_path: Path) -> None:
    make(tmp_path, "node_modules/a/b", "src/x", "target/keep/y", "target/z")
    (tmp_path / "node_modules").chmod(0)
    try:
        found = walked(tmp_path, "node_modules\ntarget\n!target/keep\n")
    finally:
        (tmp_path / "node_modules").chmod(0o700)
    assert found == ["src/x", "target/keep/y"]


@pytest.mark.parametrize(
    ("patterns", "folder", "prune"),
    [
        ("*", "a", True),
        ("*\n!b/c", "a", True),
        ("*\n!a/c", "a", False),
        ("*\n!**/x", "a", False),
        ("*\n!a*", "abc", False),
        ("*\n!ab", "a", True),
        ("*\n!a/*.rs", "a/b", True),
        ("*\n!a/**/*.rs", "a/b", False),
    ],
)
def test_pruning(patterns: str, folder: str, prune: bool) -> None:
    # `a/b` under `!a/*.rs`: the text alone can't rule it out, so it is entered; that is allowed.
    assert IgnoreMatcher.parse(patterns).can_prune(folder) in (
        {prune} if folder != "a/b" else {False}
    )


def test_a_folder_that_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="can't be read"):
        walk(tmp_path / "nowhere", IgnoreMatcher())


def test_the_dockerfiles_own_ignore_file_goes_first(tmp_path: Path) -> None:
    assert ignore_file(tmp_path) is None
    make(tmp_path, ".dockerignore")
    assert ignore_file(tmp_path, tmp_path / "Dockerfile") == tmp_path / ".dockerignore"
    make(tmp_path, "Dockerfile.dockerignore")
    assert ignore_file(tmp_path, tmp_path / "Dockerfile") == tmp_path / "Dockerfile.dockerignore"


def test_no_file_ignores_nothing(tmp_path: Path) -> None:
    assert IgnoreMatcher.load(None).patterns == ()
    assert IgnoreMatcher.load(tmp_path / "nowhere").patterns == ()


def test_big_trees_are_quick(tmp_path: Path) -> None:
    for folder in range(40):
        make(tmp_path, *(f"src/{folder}/f{n}.rs" for n in range(50)))
    matcher = IgnoreMatcher.parse("target\n**/node_modules\n*.log\n.git\n**/*.md\n!README.md\n")
    started = time.thread_time()  # CPU seconds: others use this machine too
    assert len(walk(tmp_path, matcher)) == 2000
    assert time.thread_time() - started < 1.0  # about 0.03 s on an idle machine


NAME = st.text("ab.", max_size=3)


@given(
    folders=st.booleans(),
    before=NAME,
    after=NAME,
    path=st.lists(st.text("ab.\n", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_one_star_means_what_the_regular_expression_does(
    folders: bool, before: str, after: str, path: list[str]
) -> None:
    text = ("**/" if folders else "") + f"{before}*{after}"
    body = ("(.*/)?" if folders else "") + f"{re.escape(before)}[^/]*{re.escape(after)}"
    wanted = re.fullmatch(body, "/".join(path), re.ASCII) is not None
    assert Pattern.of(text, exception=False).match("/".join(path)) is wanted
