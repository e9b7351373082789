#!/usr/bin/env python3
"""Makes projects of this repository, of all kinds that its questions can make, and checks them.

    nox -s template               each kind is rendered and looked at; one is linted
    nox -s template -- --whole    each kind is linted and tested; the stacks of three come up

The kinds are combinations of answers such that each pair of answers stands in one of them: a fault
is seldom one of three answers together. Uncommitted files count.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from rebake.errors import RebakeError
from rebake.process import Command, run
from rebake.project.project import open_project
from rebake.scaffold.cargo_lock import packages_of
from rebake.scaffold.render import render
from rebake.scaffold.repository import first_commit, git
from rebake.scaffold.template import fetch, read_questions, walk

ROOT = Path(__file__).resolve().parents[1]
STACKS = 3
# Rust is left out: its sources are those of this repository, byte for byte.
SHORT = ("python", "typescript", "dockerfiles", "shell", "compose", "workflows")
PORTS = {"UI": 18600, "API": 18601, "WORKER": 18602}
Answers = dict[str, str]


def main(argv: Sequence[str]) -> int:
    """Check, and say what is wrong."""
    parser = argparse.ArgumentParser(prog="nox -s template --")
    parser.add_argument("--whole", action="store_true", help="lint, test and run the projects too")
    whole = parser.parse_args(argv).whole
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rebake-template-") as folder:
        work = Path(folder)
        source = copy_of_this(work / "rebake")
        kinds = combinations(choices(source))
        projects = []
        for number, answers in enumerate(kinds):
            root = make(source, answers, work / f"kind-{number}")
            found = list(look_at(root, answers))
            faults += [f"{words(answers)}: {fault}" for fault in found]
            say(f"{words(answers)}: rendered, {len(found) or 'no'} faults")
            projects.append((answers, root))
        if whole:
            faults += checked_whole(projects, work / "whole" / "shop")
        elif not faults:
            answers, root = projects[-1]
            faults += checked(root, answers, tuple(f"lint({group})" for group in groups(root)))
    for fault in faults:
        say(f"FAULT: {fault}")
    say(f"{len(kinds)} kinds of projects, {len(faults) or 'no'} faults")
    return 1 if faults else 0


def copy_of_this(into: Path) -> Path:
    """Copy this repository as it is now, committed."""
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    first_commit(into, "This repository")
    return into


def choices(source: Path) -> dict[str, list[str]]:
    """Return the answers that each question with choices can have, by question."""
    _, questions = read_questions(source, str(source))
    found: dict[str, list[str]] = {}
    for name, question in questions.items():
        if not isinstance(question, dict):
            continue
        if question.get("type") == "bool":
            found[name] = ["yes", "no"]
        elif listed := question.get("choices"):
            found[name] = [
                str(each) for each in (listed.values() if isinstance(listed, dict) else listed)
            ]
    return found


def combinations(answers: Mapping[str, Sequence[str]]) -> list[Answers]:
    """Return few combinations in which each two answers stand together once; defaults first."""
    every = [dict(zip(answers, row, strict=True)) for row in itertools.product(*answers.values())]

    def pairs(row: Answers) -> set[tuple[tuple[str, str], ...]]:
        return set(itertools.combinations(sorted(row.items()), 2))

    missing = set().union(*map(pairs, every))
    found = []
    while missing:
        best = max(every, key=lambda row: len(pairs(row) & missing))  # the first of the best
        found.append(best)
        missing -= pairs(best)
    return found


def make(source: Path, answers: Answers, folder: Path) -> Path:
    """Make a project without its toolkit: this one's is used."""
    folder.mkdir()
    root = folder / "shop"
    render(fetch(str(source), "HEAD", folder), answers, root)
    first_commit(root, "A project")
    return root


def look_at(root: Path, answers: Answers) -> Iterator[str]:
    """Yield what is wrong with a project's files."""
    broken = False
    for path in walk(root):
        place = path.relative_to(root).as_posix()
        if place.startswith(".git/") or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
            parse(path, text)
        except ValueError as error:
            yield f"{place}: {error}"
            broken = True
            continue
        if re.search(r"\{%|(?<!\$)\{\{ \w+ \}\}|\.jinja\b|rebake-app", text):
            yield f"{place}: something of the template is left in it"
        if path.suffix == ".md":
            for link in re.findall(r"\]\(([^)#\s:]+)\)", text):
                if not (path.parent / link).exists():
                    yield f"{place}: it links to {link}, which is not there"
    try:
        if not broken:
            yield from agree(root, answers)
    except RebakeError as error:
        yield error.what


def parse(path: Path, text: str) -> None:
    """Read a file by the rules of its kind.

    Raises:
        ValueError: it does not parse.
    """
    match path.suffix:
        case ".toml" | ".lock" if path.name != "bun.lock":
            tomllib.loads(text)
        case ".yml" | ".yaml":
            try:
                yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ValueError(str(error)) from None
        case ".json" if path.name != "tsconfig.json":
            json.loads(text)
        case ".py":
            compile(text, path.name, "exec")


def agree(root: Path, answers: Answers) -> Iterator[str]:
    """Yield where the files of a project do not agree with the answers, or with each other."""
    wanted = {*answers["services"].split(), "ui"}
    project = open_project(root)
    project.read_manifests()
    if set(project.config.services) != wanted:
        yield f"its services are {project.config.services}"
    for mode in ("dev", "prod"):
        services = yaml.safe_load(project.compose_file(mode).read_text("utf-8"))["services"]
        if set(services) - {"web"} != wanted:
            yield f"the services of {mode} are {', '.join(services)}"
    packages = packages_of((project.backend / "Cargo.lock").read_text("utf-8"))
    members = {package.name for package in packages if package.member}
    crates = {
        tomllib.loads(path.read_text("utf-8"))["package"]["name"]
        for path in project.backend.glob("crates/*/Cargo.toml")
    }
    if members != crates:
        yield f"Cargo.lock has {sorted(members ^ crates)} and the workspace has not, or reversely"
    expected = {
        "LICENSE": answers["licence"] != "none",
        "Makefile": answers["makefile"] == "yes",
        "Tiltfile": answers["tiltfile"] == "yes",
        ".ci/run": answers["ci"] != "none",
        ".github/workflows/ci.yml": answers["ci"] == "github",
    }
    for name, there in expected.items():
        if (root / name).exists() != there:
            yield f"{name} is {'missing' if there else 'there'}"


def groups(root: Path) -> list[str]:
    """Return the groups of lint that the short form runs in a project."""
    return [group for group in SHORT if group != "workflows" or (root / ".github").is_dir()]


def checked_whole(projects: Sequence[tuple[Answers, Path]], root: Path) -> list[str]:
    """Lint and test each project and run the stacks of some; return what failed.

    All of them one after another in one folder: nine cold compilations would take hours, and what
    differs between two projects is little. Git gives a new time to the files that differ, and only
    to those, so that cargo compiles what it has to.
    """
    root.mkdir(parents=True)
    git(root, "init", "--quiet", "--template=")
    faults: list[str] = []
    try:
        for number, (answers, made) in enumerate(projects):
            become(root, made)
            faults += checked(root, answers, ("lint", "test"))
            if number < STACKS:
                faults += [f"{words(answers)}: {fault}" for fault in runs(root, answers)]
    finally:
        run(program("invoke", *["refresh-cache", "clean", "all", "--yes"], cwd=root))
    return faults


def become(root: Path, project: Path) -> None:
    """Turn a folder into a project; what was compiled there for the one before stays."""
    git(root, "fetch", "--quiet", str(project), "HEAD")
    git(root, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
    # Two package managers have been here.
    shutil.rmtree(root / "ui" / "node_modules", ignore_errors=True)


def checked(root: Path, answers: Answers, sessions: Sequence[str]) -> list[str]:
    """Run sessions of a project; return what failed."""
    done = run(program("nox", "-s", *sessions, cwd=root), inherit=True)
    say(f"{words(answers)}: {' '.join(sessions)}: {done.seconds:.0f} s")
    faults = [] if done.ok else [f"{words(answers)}: {' '.join(sessions)} failed"]
    if left := git(root, "status", "--porcelain"):
        faults.append(f"{words(answers)}: left to commit: {left}")
    return faults


def runs(root: Path, answers: Answers) -> Iterator[str]:
    """Bring a project's production stack up, look at it, and leave nothing of it; yield faults."""
    ports = {f"REBAKE_PROD_PORTS_{name}": str(port) for name, port in PORTS.items()}
    try:
        done = run(program("invoke", "prod", "--detach", "--json", cwd=root, **ports))
        if not done.ok:
            yield f"prod failed: {done.stderr}"
            return
        urls = json.loads(done.stdout)["urls"]
        for place, text in (("/", '<div id="root">'), ("/api/items", '"total":0')):
            url = urls["ui"] + place
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - from the task
                if text not in answer.read().decode():
                    yield f"{url} does not say {text!r}"
        say(f"{words(answers)}: its stack is up")
    except OSError as error:
        yield f"its stack does not answer: {error}"
    finally:
        run(program("invoke", "down", "--volumes", cwd=root, **ports))


def program(name: str, *arguments: str, cwd: Path, **env: str) -> Command:
    """Return a command of this environment's, without what Nox and the shell put there."""
    foreign = ("NOX_", "VIRTUAL_ENV", "FORCE_COLOR")
    without: dict[str, str | None] = {n: None for n in os.environ if n.startswith(foreign)}
    return Command.of(sys.executable, "-P", "-m", name, *arguments, cwd=cwd, env={**without, **env})


def words(answers: Answers) -> str:
    """Return answers in one line."""
    return ", ".join(f"{name} {value}" for name, value in answers.items())


def say(text: str) -> None:
    """Tell what goes on."""
    sys.stdout.write(f"template: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
