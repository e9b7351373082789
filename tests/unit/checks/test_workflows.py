"""A workflow that is broken in one line is named, by the real zizmor or by rules of our own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rebake.checks import plan, workflows
from rebake.checks.plan import Part, Tree
from rebake.checks.tools import Program, toolkit_program
from rebake.process import run, which

ROOT = Path(__file__).parents[3]
OURS = ROOT / ".github" / "workflows" / "ci.yml"
SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "sha256:" + "0" * 64
# Passes everything; each test changes one line of it.
GOOD = f"""\
name: release
on:
  push:
    tags: ["v*"]
permissions: {{}}
concurrency:
  group: release
  cancel-in-progress: false
jobs:
  image:
    name: image
    runs-on: ubuntu-24.04
    container: registry.example.com/builder:1@{DIGEST}
    permissions:
      contents: read
    services:
      db:
        image: postgres:17@{DIGEST}
    steps:
      - uses: actions/checkout@{SHA} # v6.0.2
        with:
          persist-credentials: false
      - run: |
          set -e
          docker buildx build --push .
  notes:
    name: notes
    runs-on: ubuntu-24.04
    steps:
      - run: echo notes
"""


def broken(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def line_of(text: str, marker: str) -> int:
    """The line, from 1, where a text stands first."""
    return text[: text.index(marker)].count("\n") + 1


def rules(text: str) -> list[str]:
    return [f"{fault.line}: {fault.rule}" for fault in workflows.faults(text)]


def zizmor(folder: Path, text: str) -> tuple[Part, int, str]:
    """What the part `zizmor` of lint does with a workflow."""
    file = folder / ".github" / "workflows" / "release.yml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    tree = Tree(files=(".github/workflows/release.yml",))
    part = plan.parts_of_lint(tree, "workflows")[0]
    tool = toolkit_program("zizmor")
    assert tool is not None
    done = run(tool.command(part.arguments, folder, {}))
    return part, done.returncode, done.stdout + done.stderr


def test_the_good_one_passes(tmp_path: Path) -> None:
    assert rules(GOOD) == []
    _, code, output = zizmor(tmp_path, GOOD)
    assert code == 0, output


@pytest.mark.parametrize(
    ("old", "new", "audit", "at"),
    [
        (f"checkout@{SHA} # v6.0.2", "checkout@v6", "unpinned-uses", "checkout@v6"),
        ("permissions: {}\n", "permissions: write-all\n", "excessive-permissions", "write-all"),
        (
            "permissions: {}\n",
            "permissions:\n  packages: write\n",
            "excessive-permissions",
            "packages: write",
        ),
        ("permissions: {}\n", "", "excessive-permissions", "notes:"),
        ("          persist-credentials: false\n", "", "artipacked", "actions/checkout"),
        (
            "echo notes",
            "echo ${{ github.event.head_commit.message }}",
            "template-injection",
            "echo $",
        ),
        (
            "      - run: echo notes\n",
            f"      - uses: actions/cache@{SHA} # v4.3.0\n        with: {{path: a, key: b}}\n",
            "cache-poisoning",
            "actions/cache",
        ),
        ("steps:\n      - run: echo", "stepz:\n      - run: echo", "Additional properties", ""),
    ],
)
def test_a_broken_line_is_named_by_zizmor(
    tmp_path: Path, old: str, new: str, audit: str, at: str
) -> None:
    text = broken(old, new).replace("        with:\n      - run: |", "      - run: |")
    part, code, output = zizmor(tmp_path, text)
    assert code not in part.ok
    assert audit in output
    assert "release.yml" in output
    assert part.findings(output) >= 1
    if at:
        assert re.search(rf"release\.yml:{line_of(text, at)}:\d+", output), output


BUILD = "docker buildx build --push ."


@pytest.mark.parametrize(
    ("old", "new", "rule", "at"),
    [
        (f"builder:1@{DIGEST}", "builder:1", "image-by-digest", "builder:1"),
        (f"postgres:17@{DIGEST}", "postgres:17", "image-by-digest", "postgres:17"),
        ("- run: echo notes", "- uses: docker://alpine:3", "image-by-digest", "docker://"),
        (
            BUILD,
            "docker buildx build --cache-from type=gha --push .",
            "release-cache",
            "docker buildx",
        ),
        (
            BUILD,
            "docker buildx bake --set *.cache-to=type=gha --push",
            "release-cache",
            "docker buildx",
        ),
        (
            "permissions: {}\n",
            "permissions: {}\nenv:\n  REBAKE_CACHE_REMOTE: registry.example.com/cache\n",
            "release-cache",
            "REBAKE_CACHE",
        ),
        (
            "    steps:\n      - run: echo notes",
            f"    steps:\n      - uses: docker/build-push-action@{SHA}\n"
            "        with:\n          cache-from: type=gha\n          push: true",
            "release-cache",
            "cache-from",
        ),
        ("jobs:\n  image:", "jobs:\n  image: ]", "syntax", "image: ]"),
        (GOOD, "- a\n", "syntax", "- a"),
    ],
)
def test_a_broken_line_is_named_by_our_rules(old: str, new: str, rule: str, at: str) -> None:
    text = broken(old, new)
    assert rules(text) == [f"{line_of(text, at)}: {rule}"]


def test_a_job_that_publishes_is_a_release_whatever_starts_it() -> None:
    text = broken('    tags: ["v*"]', "    branches: [main]").replace(
        "--push .", "--cache-to type=gha --push ."
    )
    assert rules(text) == [f"{line_of(text, '--cache-to')}: release-cache"]
    assert rules(text.replace(" --push", "")) == []


@pytest.mark.parametrize(
    "word",
    ["cargo publish", "npm publish --access public", "gh release create v1", "docker push a"],
)
def test_what_publishes(word: str) -> None:
    text = broken('    tags: ["v*"]', "    branches: [main]").replace("echo notes", word)
    text = text.replace("- run: " + word, f"- run: {word}\n        env: {{SCCACHE_BUCKET: b}}")
    assert rules(text) == [f"{line_of(text, 'SCCACHE')}: release-cache"]


def test_a_line_is_left_out_only_with_a_reason() -> None:
    def with_comment(comment: str) -> list[str]:
        return rules(broken(f"builder:1@{DIGEST}", f"builder:1 {comment}"))

    assert with_comment("# rebake: ignore[image-by-digest] made by the job before") == []
    assert with_comment("# rebake: ignore[image-by-digest]") == ["13: image-by-digest"]
    assert with_comment("# rebake: ignore[release-cache] x") == ["13: image-by-digest"]


def test_an_expression_is_left_to_its_value() -> None:
    text = broken(f"registry.example.com/builder:1@{DIGEST}", "${{ matrix.image }}")
    assert rules(text) == []


def test_faults_are_lines_with_file_and_place(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(broken(f"postgres:17@{DIGEST}", "postgres:17"))
    done = workflows.check(tmp_path, ["a.yml"])
    assert done.returncode == 1
    assert done.stdout.startswith("a.yml:18: image-by-digest: postgres:17 has no digest")


# --- actionlint, where it is -------------------------------------------------------------------

ACTIONLINT = which("actionlint")


def actionlint(folder: Path, name: str) -> tuple[Part, int, str]:
    """What the part `actionlint` of lint does with a workflow."""
    assert ACTIONLINT is not None
    *_, part = plan.parts_of_lint(Tree(files=(name,), actionlint=True), "workflows")
    tool = Program(ACTIONLINT, Path(sys.executable).parent)
    done = run(tool.command(part.arguments, folder, {}))
    return part, done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(ACTIONLINT is None, reason="missing: actionlint")
@pytest.mark.parametrize(
    ("old", "new", "says", "at"),
    [
        ("echo notes", "echo ${{ matrix.os }}", 'property "os" is not defined', "matrix.os"),
        ("    name: notes\n", "    needs: imagine\n    name: notes\n", "imagine", "notes:"),
        ("echo notes", "echo $notes", "SC2086", "echo $notes"),
        ("    tags:", "    tagz:", "tagz", "tagz"),
    ],
)
def test_a_broken_line_is_named_by_actionlint(
    tmp_path: Path, old: str, new: str, says: str, at: str
) -> None:
    name = ".github/workflows/release.yml"
    text = broken(old, new)
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(text)
    part, code, output = actionlint(tmp_path, name)
    assert code not in part.ok
    assert says in output
    assert f"release.yml:{line_of(text, at)}:" in output
    assert part.findings(output) == 1


@pytest.mark.skipif(ACTIONLINT is None, reason="missing: actionlint")
def test_actionlint_passes_what_is_in_order_and_our_own(tmp_path: Path) -> None:
    name = ".github/workflows/release.yml"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(GOOD)
    assert actionlint(tmp_path, name)[1:] == (0, "")
    assert actionlint(ROOT, ".github/workflows/ci.yml")[1:] == (0, "")


# --- the workflow that this repository has ---------------------------------------------------


def test_our_own_workflow_passes() -> None:
    assert workflows.faults(OURS.read_text()) == []
    tool = toolkit_program("zizmor")
    assert tool is not None
    part = plan.parts_of_lint(Tree(files=(".github/workflows/ci.yml",)), "workflows")[0]
    done = run(tool.command(part.arguments, ROOT, {}))
    assert done.returncode == 0, done.stdout


def test_it_runs_sessions_that_there_are() -> None:
    text = OURS.read_text()
    (sessions,) = re.findall(r"session: \[(.*)\]", text)
    assert {"lint", "test", "e2e"} <= set(sessions.split(", "))
    assert 'python3 scripts/bootstrap.py nox -s "$SESSION"' in text


def test_its_scripts_are_fine() -> None:
    scripts = re.findall(r"(?m)^        run: \|\n((?:          .*\n)+)", OURS.read_text())
    assert scripts
    shellcheck = toolkit_program("shellcheck")
    assert shellcheck is not None
    for script in scripts:
        words = [str(shellcheck.path), "--shell=bash", "-"]
        done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
