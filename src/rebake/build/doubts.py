"""Finds what may decide an image and is not among the files that a build digests.

The no-change skip knows the two halves, the bake file, the Dockerfiles and `docker/tools`. A
project may take more into its images: another folder as a named context, a download, a bake
variable from the user's environment. The variables can be looked at; of the rest, nothing is known,
and in doubt an image is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from rebake.build.plan import BuildPlan
from rebake.project.dockerfile import parse

_VARIABLE = re.compile(r'(?m)^\s*variable\s+"([^"]+)"')
_JSON_VARIABLES = re.compile(r'(?s)"variable"\s*:\s*\{(.*)\}')
_JSON_NAME = re.compile(r'"([^"]+)"\s*:\s*\{')
_CONTEXTS = re.compile(r'"?contexts"?\s*[=:]\s*\{((?:"[^"]*"|[^}"])*)\}')
_PLACE = re.compile(r'[=:]\s*"([^"]*)"')
# Contexts whose content is an image or another target: these have digests of their own.
_NO_FOLDER = ("target:", "docker-image://")
_INLINE = re.compile(r'dockerfile-inline"?\s*[=:]')
_ADD = re.compile(r"(?im)^\s*ADD\s")  # a quick look: without one, nothing is taken apart
_REMOTE = re.compile(r"://|^git@|\$")  # a variable may hold an address


def of_plan(plan: BuildPlan, environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Read a plan's recipe; return the doubt, if any, and the variables from the environment.

    Args:
        plan: the build.
        environ: the environment.
    """
    bake_file = _text(plan.bake_file)
    dockerfiles = [_text(file) for file in plan.recipe if file.name.startswith("Dockerfile")]
    folders = [*plan.folders.values(), plan.bake_file.parent / "tools"]
    known = [f.relative_to(plan.root).as_posix() for f in folders if f.is_relative_to(plan.root)]
    return (
        doubt(bake_file, dockerfiles, known),
        variables_of(bake_file, environ, plan.all_variables),
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def doubt(bake_file: str, dockerfiles: Iterable[str], known: Iterable[str]) -> str:
    """Return why nobody can tell whether anything changed; empty where it can be told.

    Args:
        bake_file: the text of the bake file.
        dockerfiles: the texts of the Dockerfiles.
        known: the folders that are digested, as the bake file names them.
    """
    folders = {folder.removeprefix("./").rstrip("/") for folder in known}
    for block in _CONTEXTS.findall(bake_file):
        for place in _PLACE.findall(block):
            if place.startswith(_NO_FOLDER):
                continue
            if place.removeprefix("./").rstrip("/") not in folders:
                return f"the bake file takes {place} as a context"
    if _INLINE.search(bake_file):
        return "a Dockerfile stands in the bake file"
    for text in filter(_ADD.search, dockerfiles):
        for stage in parse(text).stages:
            for step in stage.instructions:
                if step.word == "ADD" and any(map(_REMOTE.search, step.words[:-1])):
                    words = step.text.splitlines()[0].split()[:-1]
                    return f"a Dockerfile downloads: {' '.join(words)}"
    return ""


def variables_of(
    bake_file: str, environ: Mapping[str, str], given: Iterable[str]
) -> dict[str, str]:
    """Return what bake takes from the environment that the plan itself does not give it.

    Args:
        bake_file: the text of the bake file.
        environ: the environment.
        given: the variables that the plan sets.
    """
    names = set(_VARIABLE.findall(bake_file))
    for block in _JSON_VARIABLES.findall(bake_file):
        names.update(_JSON_NAME.findall(block))
    return {name: environ[name] for name in sorted(names - set(given)) if name in environ}
