"""Our `.dockerignore` matcher against the real builder: a few hundred random pattern files."""

from __future__ import annotations

import json
import os
import random
import shutil
import tarfile
from pathlib import Path

import platformdirs
import pytest

from e2e.support import Docker
from rebake.errors import ProjectError
from rebake.project.ignore import IgnoreMatcher, walk

pytestmark = pytest.mark.engine

# Always the same: the engine keeps a copy of each context by its path.
FOLDER = platformdirs.user_cache_path("rebake") / "e2e-ignore"
CASES = int(os.environ.get("REBAKE_IGNORE_CASES", "200"))
SEED = int(os.environ.get("REBAKE_IGNORE_SEED", "20261121"))
NAMES = [
    "a",
    "b",
    "ab",
    "foo",
    "bar",
    "x.rs",
    "x.md",
    ".env",
    "a b",
    "é",
    "a-b",
    "a+b",
    "[z]",
    "^a",
]
PATTERN_NAMES = [
    *NAMES, "*", "**", "?", "*.rs", "*.md", "f*", "*a*", "[ab]", "[^a]", "[a-f]oo", "x.?s",
    "**foo", "fo**", "f**o", r"\a", r"\[z\]", "a*b", ".*", "..", ".", "[*]", "[a-c]*", "*[!a]",
]  # fmt: skip


def make_tree(root: Path, choose: random.Random, depth: int = 0) -> None:
    root.mkdir(exist_ok=True)
    for name in choose.sample(NAMES, choose.randint(2, 5)):
        path = root / name
        if depth < 3 and choose.random() < 0.5:
            make_tree(path, choose, depth + 1)
        elif choose.random() < 0.1:
            path.symlink_to(choose.choice(["a", "../b", "/nowhere"]))
        else:
            path.write_text("x")


def random_pattern(choose: random.Random) -> str:
    parts = [choose.choice(PATTERN_NAMES) for _ in range(choose.choice([1, 1, 2, 2, 3]))]
    text = "/".join(parts)
    if choose.random() < 0.1:
        text = "/" + text
    if choose.random() < 0.1:
        text += "/"
    if choose.random() < 0.35:
        text = choose.choice(["!", "!", "! "]) + text
    if choose.random() < 0.05:
        text = choose.choice(["#", " #", "  "]) + text
    return text


def random_file(choose: random.Random) -> str:
    """Patterns that our matcher takes; what it refuses has tests of its own."""
    lines: list[str] = []
    while len(lines) < choose.randint(1, 7):
        line = random_pattern(choose)
        try:
            IgnoreMatcher.parse(line)
        except ProjectError:
            continue
        lines.append(line)
    return choose.choice(["\n", "\r\n"]).join(lines) + "\n"


def names_in(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return {member.name.rstrip("/") for member in tar if not member.isdir()}


def test_the_matcher_agrees_with_the_builder(own_docker: Docker, tmp_path: Path) -> None:
    choose = random.Random(SEED)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    targets = {}
    for number in range(CASES):
        context = FOLDER / f"c{number}"
        make_tree(context, choose)
        (context / ".dockerignore").write_bytes(random_file(choose).encode())
        targets[f"t{number}"] = {
            "context": str(context),
            "dockerfile-inline": "FROM scratch\nCOPY . /\n",
            "output": [f"type=tar,dest={tmp_path}/out{number}.tar"],
        }
    bake = tmp_path / "docker-bake.json"
    for start in range(0, CASES, 80):  # one bake of them all keeps too many sessions open
        group = list(targets)[start : start + 80]
        bake.write_text(json.dumps({"target": {name: targets[name] for name in group}}))
        own_docker(
            "buildx", "bake", "--progress=quiet", "-f", str(bake), "--allow", f"fs={tmp_path}",
            "--allow", f"fs={FOLDER}", *group, timeout=900,
        )  # fmt: skip

    wrong, cut = [], 0
    for number in range(CASES):
        context = FOLDER / f"c{number}"
        ours = {p.as_posix() for p in walk(context, IgnoreMatcher.load(context / ".dockerignore"))}
        theirs = names_in(tmp_path / f"out{number}.tar")
        everything = {p.as_posix() for p in walk(context, IgnoreMatcher())}
        cut += len(ours) < len(everything)
        if ours != theirs:
            text = (context / ".dockerignore").read_text()
            wrong.append((text, sorted(ours - theirs), sorted(theirs - ours)))
    assert cut > CASES / 4, "the patterns hardly match anything: the test says nothing"
    assert not wrong, f"{len(wrong)} of {CASES} differ, such as {wrong[:3]}"
