"""Writes the Dockerfiles and the bake file of an adopted project from the template's own. Pure.

The recipe is the template's, word for word: its stages are taken out of its Dockerfiles by their
names. What differs is the base image (with what prepared it before), the names, and the last
stages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rebake.errors import TemplateRefused
from rebake.scaffold.adopt_look import Facts
from rebake.scaffold.adopt_mapped import DOCKERFILE, Mapped

FOLDER = "docker/rebake"
_NAME = "rebake-app"  # the template's
_STAGE = re.compile(r"^FROM\s+\S+\s+AS\s+(\S+)\s*$", re.IGNORECASE)
_BACKEND = (
    *("compiler-none", "compiler-sccache", "compiler", "skeleton", "deps", "seed-none"),
    *("seed-deps", "seed", "step", "workspace", "build-online", "build-offline", "build"),
)
_UI = (
    *("bun", "node", "npm", "manager", "deps-bun", "deps-npm", "deps"),
    *("sources", "build-online", "build-offline", "build"),
)
_LABEL = 'ARG {id}=\nLABEL rebake.build-id="${{{id}}}"\n'
_HEAD = """\
# Written by rebake adopt: the images of {what}. Targets:
#   deps   {deps}
#   build  {build}
{images}
# Named context `tools`: {folder}/tools. Secrets: {folder}/host-settings.
"""


def backend_dockerfile(facts: Facts, template: str, name: str) -> str:
    """Write the Dockerfile of the backend's services.

    Args:
        facts: the project.
        template: the text of the template's Dockerfile.
        name: the project's name.

    Raises:
        TemplateRefused: the template has not the stages that we know.
    """
    services = _services(facts, "backend")
    images = [
        f"#   {one.stage}   {one.name}, as the last stage of {one.dockerfile} makes it"
        for one in services
    ]
    head = _HEAD.format(
        what="the backend's services",
        deps="the dependencies compiled, as a layer",
        build="all binaries by one cargo build, in /out",
        images="\n".join(images),
        folder=FOLDER,
    )
    first = services[0].carried
    blocks = _blocks(template)
    rust = _need(blocks, "rust")
    own = _own_stage("${RUST_IMAGE}", "own", services)
    binaries = " ".join(one.name for one in services)
    parts = [
        head + _arguments(template, ("RUST_IMAGE", "SEED", "COMPILER_CACHE", "NETWORK")),
        _need(blocks, "toolbox"),
        own,
        _changed(rust, "FROM ${RUST_IMAGE} AS rust", "FROM own AS rust"),
        *(_need(blocks, stage) for stage in _BACKEND),
    ]
    text = _joined(parts)
    text = _changed(text, 'BINARIES="api worker web"', f'BINARIES="{binaries}"')
    text = _changed(text, _NAME, name).replace("docker/tools/", f"{FOLDER}/tools/")
    text = re.sub(r"(?m)^ARG RUST_IMAGE=.*$", f"ARG RUST_IMAGE={first.base}", text, count=1)
    # A binary that knows nothing of build ids would just start.
    text = _changed(
        text,
        "FROM compiler AS workspace\n",
        "FROM compiler AS workspace\nENV BINARIES_TELL=no\n",
    )
    text = _compiler_settings(text, facts, services)
    text = _changed(text, "target=/src", f"target={first.sources}")
    text = _changed(text, "WORKDIR /src", f"WORKDIR {first.sources}")
    return _joined([text, *(_labelled(one, "SERVICE_BUILD_ID") for one in services)])


def ui_dockerfile(facts: Facts, template: str, name: str, images: Mapping[str, str]) -> str:
    """Write the Dockerfile of the UI.

    Args:
        facts: the project.
        template: the text of the template's Dockerfile.
        name: the project's name.
        images: what `bun` and `node` start from.

    Raises:
        TemplateRefused: the template has not the stages that we know.
    """
    services = _services(facts, "ui")
    one = services[0]
    head = _HEAD.format(
        what="the UI",
        deps="the packages installed, as a layer",
        build="the static files, in /out/www",
        images=f"#   {one.stage}   the UI, as the last stage of {one.dockerfile} makes it",
        folder=FOLDER,
    )
    blocks = _blocks(template)
    stages = {stage: _need(blocks, stage) for stage in _UI}
    production = " --production" if one.carried.production else ""
    stages["deps-bun"] = _changed(stages["deps-bun"], " --production", production)
    stages["deps-npm"] = _changed(stages["deps-npm"], " --production", production)
    variables = {
        **one.carried.variables,
        "UI_OUTPUT": one.carried.output,
        "UI_INSTALL": production.strip(),
    }
    stages["sources"] = "\n".join(
        [stages["sources"].rstrip("\n"), *one.carried.setup, *_environment(variables)]
    )
    manager = facts.ui.manager if facts.ui else "bun"
    parts = [
        head + _arguments(template, ("BUN_IMAGE", "UI_MANAGER", "NODE_IMAGE", "NETWORK")),
        *stages.values(),
    ]
    text = _joined(parts)
    text = re.sub(r"(?m)^ARG BUN_IMAGE=.*$", f"ARG BUN_IMAGE={images['bun']}", text, count=1)
    text = re.sub(r"(?m)^ARG UI_MANAGER=.*$", f"ARG UI_MANAGER={manager}", text, count=1)
    return _joined([_changed(text, _NAME, name), _labelled(one, "EXPECTED_BUILD_ID")])


def bake_file(facts: Facts, template: str, name: str, images: Mapping[str, str]) -> str:
    """Write the bake file.

    Args:
        facts: the project.
        template: the text of the template's bake file.
        name: the project's name.
        images: the base images by their variable.

    Raises:
        TemplateRefused: the template is not of the form that we know.
    """
    head, found, _ = template.partition('group "default" {')
    _, also, common = template.partition('target "_common" {')
    shared, last, _ = common.partition("// The services:")
    if not (found and also and last):
        raise TemplateRefused("the bake file", "it has not the parts that we know")
    has_ui = bool(_services(facts, "ui"))
    backend = _services(facts, "backend")
    shared = 'target "_common" {' + shared
    if not has_ui:
        shared = shared.partition('target "_ui" {')[0]
    for variable in ("NGINX_IMAGE", "UI_RUNTIME"):
        head = re.sub(rf'variable "{variable}" {{\n(?:.*\n)*?}}\n\n', "", head)
        shared = re.sub(rf"\n +{variable} += {variable}(?=\n)", "", shared)
    names = [one.name for one in backend] + (["ui"] if has_ui else [])
    listed = ", ".join(f'"{each}"' for each in names)
    deps = ", ".join(f'"{half}-deps"' for half in ("backend", *(["ui"] if has_ui else [])))
    parts = [
        head.rstrip("\n"),
        f'group "default" {{\n  targets = [{listed}]\n}}',
        f'group "deps" {{\n  targets = [{deps}]\n}}',
        shared.strip("\n"),
        "// The services: one builder stage, and the last stages that they had before.",
        *(_target(one) for one in backend),
    ]
    if has_ui:
        parts.append(_target(_services(facts, "ui")[0]))
    parts += [
        f'target "{half}-deps" {{\n  inherits = ["_{half}"]\n  target   = "deps"\n'
        '  output   = ["type=cacheonly"]\n}'
        for half in ("backend", *(["ui"] if has_ui else []))
    ]
    text = "\n\n".join(parts) + "\n"
    text = text.replace("docker/docker-bake.hcl", f"{FOLDER}/docker-bake.hcl")
    text = text.replace('"docker/tools"', f'"{FOLDER}/tools"')
    text = text.replace('"docker/host-settings"', f'"{FOLDER}/host-settings"')
    text = text.replace(_NAME, name)
    for variable, image in images.items():
        text = _default(text, variable, image)
    text = _default(text, "REBAKE_BACKEND_CONTEXT", facts.backend)
    if facts.ui:
        text = _default(text, "REBAKE_UI_CONTEXT", facts.ui.path)
        text = _default(text, "UI_MANAGER", facts.ui.manager)
    for half in ("backend", "ui"):
        text = re.sub(
            rf'(target "_{half}" {{\n(?:  .*\n)*?)(  context  = )',
            rf'\1  dockerfile = "{DOCKERFILE}"\n\2',
            text,
        )
    return text


def _target(one: Mapped) -> str:
    half = one.carried.kind
    args = dict(one.service.args)
    own = f'SERVICE_BUILD_ID = build_id_of("{one.name}")'
    lines = [own] if half == "backend" else []
    lines += [f"{_hcl(key)} = {_hcl(value)}" for key, value in sorted(args.items())]
    shown = f"  args     = {{ {', '.join(lines)} }}\n" if lines else ""
    return (
        f'target "{one.name}" {{\n  inherits = ["_{half}"]\n  target   = "{one.stage}"\n'
        f'{shown}  tags     = ["${{PROJECT}}-{one.name}:${{TAG}}"]\n}}'
    )


def _hcl(value: str) -> str:
    if re.fullmatch(r"[A-Za-z_]\w*", value):
        return f'"{value}"'
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def _services(facts: Facts, kind: str) -> list[Mapped]:
    """The services of a half, each image once."""
    found: dict[str, Mapped] = {}
    for one in facts.mapped:
        if one.carried.kind == kind:
            found.setdefault(one.name, one)
    return list(found.values())


def _own_stage(base: str, name: str, services: Sequence[Mapped]) -> str:
    """The base image with what prepared it in the Dockerfiles before."""
    variables: dict[str, str] = {}
    lines: dict[str, None] = {}
    for one in services:
        variables |= one.carried.variables
        lines |= dict.fromkeys(one.carried.setup)
    note = "# What the programs were compiled on before, with what prepared it."
    return "\n".join([note, f"FROM {base} AS {name}", *_environment(variables), *lines])


def _environment(variables: Mapping[str, str]) -> list[str]:
    return [f"ENV {name}={_quoted(value)}" for name, value in variables.items()]


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w./:@%+=,{}$-]+", value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _compiler_settings(text: str, facts: Facts, services: Sequence[Mapped]) -> str:
    """Leave out what would work against the project's own settings for the compiler."""
    if facts.lto:  # older compilers refuse both at once; 1.95 takes them
        setting = "CARGO_PROFILE_RELEASE_INCREMENTAL="
        text = _changed(text, f"{setting}true", f"{setting}false")
    if facts.flags or any("RUSTFLAGS" in one.carried.variables for one in services):
        flags = re.compile(r' \\\n +RUSTFLAGS="-Clink-arg=-fuse-ld=mold"')
        text = flags.sub("", text)
    return text


def _labelled(one: Mapped, argument: str) -> str:
    """The stages of an image, with the id that tells what it is made from."""
    return one.carried.stages.rstrip("\n") + "\n" + _LABEL.format(id=argument)


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _arguments(template: str, names: Sequence[str]) -> str:
    """The `ARG`s before the first stage that are still needed."""
    head = template.partition("\nFROM ")[0]
    return "\n".join(line for name in names for line in re.findall(rf"(?m)^ARG {name}=.*$", head))


def _blocks(template: str) -> dict[str, str]:
    """The stages of a Dockerfile by their names, each with the comment that stands above it."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    comment: list[str] = []
    for line in template.splitlines():
        stage = _STAGE.match(line)
        if stage:
            current = found.setdefault(stage[1], [])
            current += [*comment, line]
            comment = []
        elif line.startswith("#"):
            comment.append(line)
        else:
            current += [*comment, line]
            comment = []
    return {name: "\n".join(lines).strip("\n") for name, lines in found.items()}


def _need(blocks: Mapping[str, str], name: str) -> str:
    if name not in blocks:
        raise TemplateRefused("a Dockerfile", f"it has no stage {name}")
    return blocks[name]


def _changed(text: str, old: str, new: str) -> str:
    if old not in text:
        raise TemplateRefused("a Dockerfile", f"it does not hold {old!r}")
    return text.replace(old, new)


def _default(text: str, variable: str, value: str) -> str:
    """Give a variable of a bake file another default."""

    def put(match: re.Match[str]) -> str:
        return f"{match[1]}{_hcl(value)}"

    pattern = re.compile(rf'(variable "{variable}" {{\n(?:  .*\n)*?  default +?= )"[^"\n]*"')
    return pattern.sub(put, text)
