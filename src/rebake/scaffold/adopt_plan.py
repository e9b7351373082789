"""Plans what `rebake adopt` writes: from what was found to files. Pure."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping

from msgspec import Struct

from rebake.project.cargo import INCREMENTAL_PARTS
from rebake.scaffold.adopt_find import OURS
from rebake.scaffold.adopt_look import Facts
from rebake.scaffold.adopt_mapped import DOCKERFILE, Mapped, on_debian
from rebake.scaffold.adopt_texts import FOLDER, backend_dockerfile, bake_file, ui_dockerfile

_SECRETS = {
    "ca": "ca.pem",
    "cargo-config": "cargo-config.toml",
    "npmrc": "npmrc",
    "apt-sources": "apt-sources.sources",
    "apt-config": "apt.conf",
}


class Recipe(Struct, frozen=True):
    """The template's texts that an adopted project's are made of."""

    backend: str
    ui: str
    bake: str
    bootstrap: str
    tasks: str
    noxfile: str


class Plan(Struct, frozen=True):
    """What is written.

    Attributes:
        files: the texts by path from the root; the tools and the toolkit's wheel come besides.
        override: the file that is laid over the compose file, from the root.
        command: what starts the stack with it.
        notes: what is worth a line.
    """

    files: Mapping[str, str]
    override: str
    command: str
    notes: tuple[str, ...]


def plan(
    facts: Facts, recipe: Recipe, name: str, wheel: str, *, toolkit: bool = True, nox: bool = False
) -> Plan:
    """Plan the files.

    Args:
        facts: what was found.
        recipe: the template's texts.
        name: the project's name.
        wheel: the name of the toolkit's wheel.
        toolkit: whether the project carries the toolkit along.
        nox: whether it gets a noxfile.

    Raises:
        TemplateRefused: the template has not the parts that we know.
    """
    images = images_of(facts, recipe)
    override, command = override_of(facts)
    half = _folder(facts.backend)
    files = {
        "rebake.toml": _configuration(facts, name, images),
        f"{FOLDER}/docker-bake.hcl": bake_file(facts, recipe.bake, name, images),
        f"{half}{DOCKERFILE}": backend_dockerfile(facts, recipe.backend, name),
        f"{half}{DOCKERFILE}.dockerignore": facts.ignores["backend"],
        override: _override(facts, name, images, command),
    }
    if facts.ui:
        half = _folder(facts.ui.path)
        files[f"{half}{DOCKERFILE}"] = ui_dockerfile(facts, recipe.ui, name, _lower(images))
        files[f"{half}{DOCKERFILE}.dockerignore"] = facts.ignores["ui"]
    if toolkit:
        files["tasks.py"] = recipe.tasks
        files["pyproject.toml"] = _pyproject(name, wheel)
        files["scripts/bootstrap.py"] = recipe.bootstrap
    if nox:
        files["noxfile.py"] = recipe.noxfile
    return Plan(dict(sorted(files.items())), override, command, tuple(_notes(facts, images)))


def images_of(facts: Facts, recipe: Recipe) -> dict[str, str]:
    """The base images by their variable in the bake file."""
    backend = next(one for one in facts.mapped if one.carried.kind == "backend")
    found = {"RUST_IMAGE": backend.carried.base}
    ui = next((one for one in facts.mapped if one.carried.kind == "ui"), None)
    if ui is not None and facts.ui is not None:
        default = re.search(r"(?m)^ARG BUN_IMAGE=(\S+)", recipe.ui)
        own = on_debian(ui.carried.base)
        if facts.ui.manager == "npm":
            found["NODE_IMAGE"] = own
            found["BUN_IMAGE"] = default[1] if default else "oven/bun:slim"
        else:
            found["BUN_IMAGE"] = own
    return found


def override_of(facts: Facts) -> tuple[str, str]:
    """The file that is laid over the compose file, and the command that does it."""
    file = facts.compose.path
    folder = _folder(posixpath.dirname(file.relative_to(facts.root).as_posix()))
    beside = f"cd {shlex.quote(folder.rstrip('/'))} && " if folder else ""
    if facts.compose.is_default and facts.compose.override is None:
        return f"{folder}docker-compose.override.yml", f"{beside}docker compose up --build"
    names = [file.name]
    if facts.compose.is_default and facts.compose.override is not None:
        names.append(facts.compose.override.name)
    words = " ".join(f"-f {shlex.quote(name)}" for name in [*names, OURS])
    return f"{folder}{OURS}", f"{beside}docker compose {words} up --build"


def _configuration(facts: Facts, name: str, images: Mapping[str, str]) -> str:
    services = list(dict.fromkeys(o.name for o in facts.mapped if o.carried.kind == "backend"))
    lines = [
        "# Written by rebake adopt. Every key has a default: invoke config --defaults lists them.",
        "",
        "[project]",
        f"name = {json.dumps(name)}",
        "",
        "[base_images]",
        "# What the programs were compiled on before.",
        *(f"{key} = {json.dumps(image)}" for key, image in _lower(images).items()),
        "",
        "[backend]",
        f"path = {json.dumps(facts.backend, ensure_ascii=False)}",
        f"dockerfile = {json.dumps(DOCKERFILE)}",
        f"services = {json.dumps(services)}",
        "",
        "[ui]",
    ]
    if facts.ui:
        lines += [
            f"path = {json.dumps(facts.ui.path, ensure_ascii=False)}",
            f"dockerfile = {json.dumps(DOCKERFILE)}",
            f"manager = {json.dumps(facts.ui.manager)}",
            'runtime = "own"',
        ]
    else:
        lines.append('path = ""')
    lines += [
        "",
        "[docker]",
        "# The project's own compose file runs the stack; rebake builds its images.",
        'compose_prod = ""',
        'compose_dev = ""',
        f'bake = "{FOLDER}/docker-bake.hcl"',
        "",
        "[smoke]",
        'resource = ""',
    ]
    return "\n".join(lines) + "\n"


def _override(facts: Facts, name: str, images: Mapping[str, str], command: str) -> str:
    folder = posixpath.dirname(facts.compose.path.relative_to(facts.root).as_posix()) or "."
    tools = _from(folder, f"{FOLDER}/tools")
    settings = _from(folder, f"{FOLDER}/host-settings")
    compose = facts.compose.path.name
    lines = [
        f"# Written by rebake adopt: puts services of {compose} on the fast build.",
        f"# `{command}`" + ("" if "cd " in command else " from here"),
        "# It replaces how images are built and nothing else. Delete it, and all is as it was.",
        "",
        "x-rebake-secrets: &rebake-secrets",
        *(f"  - {{ source: rebake-{each}, target: {each} }}" for each in _SECRETS),
        "",
        "services:",
    ]
    for one in facts.mapped:
        lines += _built(facts, one, name, images, (folder, tools))
    lines += ["secrets:"]
    for each, file in _SECRETS.items():
        place = f"${{REBAKE_HOST_SETTINGS:-{settings}}}/{file}"
        lines += [f"  rebake-{each}:", f"    file: {json.dumps(place, ensure_ascii=False)}"]
    return "\n".join(lines) + "\n"


def _built(
    facts: Facts,
    one: Mapped,
    name: str,
    images: Mapping[str, str],
    places: tuple[str, str],
) -> Iterator[str]:
    """The lines of one service; `places`: the compose file's folder, and the tools from there."""
    folder, tools = places
    ui = facts.ui if one.carried.kind == "ui" else None
    args = {**one.service.args, "CACHE_ID": f"${{CACHE_ID:-{name}}}"}
    if ui and ui.manager == "npm":
        args |= {"UI_MANAGER": "npm", "NODE_IMAGE": images["NODE_IMAGE"]}
    yield f"  {json.dumps(one.service.name, ensure_ascii=False)}:"
    yield "    build: !override"
    context = _from(folder, ui.path if ui else facts.backend)
    yield f"      context: {json.dumps(context, ensure_ascii=False)}"
    yield f"      dockerfile: {DOCKERFILE}"
    yield f"      target: {one.stage}"
    yield "      args:"
    for key, value in sorted(args.items()):
        yield f"        {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
    for key, kept in one.service.kept.items():
        yield f"      {key}: {json.dumps(kept, ensure_ascii=False)}"
    yield "      additional_contexts:"
    yield f"        tools: {json.dumps(tools, ensure_ascii=False)}"
    yield "      secrets: *rebake-secrets"
    yield ""


def _pyproject(name: str, wheel: str) -> str:
    return f"""\
# What `invoke` needs here. There is no Python package to build: the toolkit, rebake, comes along as
# a wheel in vendor/, so that a Python and its package index are enough.
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}-tasks"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["rebake[template] @ {{root:uri}}/vendor/{wheel}"]

[project.optional-dependencies]
dev = ["nox>=2026.10"]

[tool.hatch.metadata]
allow-direct-references = true

[tool.hatch.build.targets.wheel]
bypass-selection = true
"""


def _notes(facts: Facts, images: Mapping[str, str]) -> Iterator[str]:
    yield from facts.notes
    if facts.lto:
        yield (
            "the release profile has lto: an edit links the whole program anew, "
            "which incremental compilation can't help"
        )
    elif 0 < facts.codegen_units < INCREMENTAL_PARTS:
        yield (
            f"the release profile has codegen-units = {facts.codegen_units}: "
            "after an edit, larger parts of a crate are compiled again than without it"
        )
    if facts.flags:
        yield ".cargo/config.toml has rustflags: they stay, and the linker is not changed"
    ui = next((one for one in facts.mapped if one.carried.kind == "ui"), None)
    if ui is not None and ui.carried.base not in images.values():
        slim = on_debian(ui.carried.base)
        yield f"the UI is built on {slim} instead of {ui.carried.base}; what serves it stays"


def _lower(images: Mapping[str, str]) -> dict[str, str]:
    """The same by the keys of `[base_images]`."""
    return {variable.removesuffix("_IMAGE").lower(): image for variable, image in images.items()}


def _folder(path: str) -> str:
    return "" if path in {"", "."} else f"{path}/"


def _from(folder: str, path: str) -> str:
    """A path from the compose file's folder; with a dot in front, as Compose wants it."""
    found = posixpath.relpath(path, folder)
    return found if found.startswith(".") else f"./{found}"
