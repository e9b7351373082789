"""Plans an image build: from the project and what is asked to one `docker buildx bake`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.project.project import Project
from rebake.project.secrets import Declared, place_of
from rebake.results import Mode

Half = Literal["backend", "ui"]
Seed = Literal["none", "deps"]
# What `--load` means, with a choice of how layers are packed.
EXPORTS: Mapping[str, str] = {
    "none": "type=docker,compression=uncompressed",
    "zstd": "type=docker,compression=zstd,compression-level=1",
    "gzip": "type=docker,compression=gzip",
}
# The bake target of the dependency layer, and the name of the folder's table in the inputs.
DEPENDENCIES = "backend-deps"
RECIPE = "recipe"


class PlannedImage(Struct, frozen=True):
    """One image that a build makes.

    Attributes:
        half: the half whose files its build id stands for.
        needs: the halves that it is made from; the UI's image holds a server of the backend's.
    """

    service: str
    target: str
    ref: str
    half: Half
    needs: tuple[Half, ...]


class RemoteCache(Struct, frozen=True):
    """A cache in a registry.

    Attributes:
        ref: the repository; each target has a tag of its own in it, so that none overwrites
            another's.
        export: write to it too, not only read.
    """

    ref: str
    export: bool = False

    def words(self, target: str) -> tuple[str, ...]:
        """The words of bake for one target. zstd: it unpacks several times as fast as gzip."""
        place = f"type=registry,ref={self.ref}:{target}"
        words = ["--set", f"{target}.cache-from={place}"]
        if self.export:
            how = "mode=max,compression=zstd,ignore-error=true"
            words += ["--set", f"{target}.cache-to={place},{how}"]
        return tuple(words)


class Scope(Struct, frozen=True):
    """What of the backend's sources is no part of a binary.

    Attributes:
        folders: those of the packages that it is not compiled from.
        package: the one that makes it.
        locked: the digest of that package's part of the Cargo.lock; empty where all of it counts.
    """

    folders: tuple[str, ...] = ()
    package: str = ""
    locked: str = ""


class BuildPlan(Struct, frozen=True):
    """Everything that a build needs to know.

    Attributes:
        folders: where each half is.
        dockerfiles: the Dockerfile of each half: the ignore file beside it counts.
        recipe: the files that say how images are made: Dockerfiles, their ignore files, the bake
            file, the tools.
        seed: what an empty cache mount is filled from, and why.
        refuse_empty: whether the compiling step shall stop at an empty cache mount.
        export: the output of each image, in bake's words.
        forced: build even where nothing changed.
        networks: online or offline, for the compiling step of each half.
        build_ids: the id that each half's sources must have.
        service_ids: the id of each backend service's own part of them; see `build.ids`.
        scopes: by binary, what of the backend's sources is no part of it.
        contexts: other names of folders, see `build.resend`.
        secrets: what the project declares: the variable or the file of each, by name.
        provenance: whether the images carry what BuildKit says of how they were made.
    """

    mode: Mode
    root: Path
    bake_file: Path
    images: tuple[PlannedImage, ...]
    folders: Mapping[Half, Path]
    variables: Mapping[str, str]
    no_cache: bool = False
    recipe: tuple[Path, ...] = ()
    seed: Seed = "none"
    seed_reason: str = ""
    refuse_empty: bool = False
    remote: RemoteCache | None = None
    export: str = EXPORTS["none"]
    forced: bool = False
    networks: Mapping[Half, str] = field(default_factory=dict)
    build_ids: Mapping[Half, str] = field(default_factory=dict)
    service_ids: Mapping[str, str] = field(default_factory=dict)
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    contexts: Mapping[Half, Path] = field(default_factory=dict)
    secrets: Mapping[str, str | Path] = field(default_factory=dict)
    provenance: bool = False
    dockerfiles: Mapping[Half, Path] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets of the bake file, in order, each once."""
        return tuple(dict.fromkeys(image.target for image in self.images))

    @property
    def halves(self) -> tuple[Half, ...]:
        """The halves that are built from, each once."""
        return tuple(dict.fromkeys(half for image in self.images for half in image.needs))

    @property
    def all_variables(self) -> dict[str, str]:
        """What bake is given: the variables, the seed, and the ids that the sources must have."""
        ids = {f"{half.upper()}_BUILD_ID": value for half, value in self.build_ids.items()}
        if self.service_ids:
            ids["SERVICE_BUILD_IDS"] = id_words(self.service_ids, self.scopes)
        names = {f"REBAKE_{h.upper()}_CONTEXT": str(path) for h, path in self.contexts.items()}
        ids |= {f"{half.upper()}_NETWORK": value for half, value in self.networks.items()}
        refuse = {"REBAKE_EMPTY_MOUNT": "refuse"} if self.refuse_empty else {}
        return {**self.variables, "SEED": self.seed, **ids, **names, **refuse}

    def seeded(self, seed: Seed, reason: str, *, refuse_empty: bool = False) -> BuildPlan:
        """The same plan with a choice of what an empty mount is filled from."""
        return replace(self, seed=seed, seed_reason=reason, refuse_empty=refuse_empty)

    def writing_nothing(self) -> BuildPlan:
        """The same plan, but its images are not written."""
        return replace(self, export="type=cacheonly", provenance=False)

    def networked(self, networks: Mapping[Half, str]) -> BuildPlan:
        """The same plan with a choice of who gets a network."""
        return replace(self, networks=networks)

    def expecting(
        self,
        build_ids: Mapping[Half, str],
        service_ids: Mapping[str, str] | None = None,
        scopes: Mapping[str, Scope] | None = None,
    ) -> BuildPlan:
        """The same plan for sources with these ids."""
        return replace(
            self, build_ids=build_ids, service_ids=service_ids or {}, scopes=scopes or {}
        )

    def expected_ids(self, image: PlannedImage) -> tuple[str, ...]:
        """The ids that prove an image: its service's own, where it has one, and its half's."""
        own = self.service_ids.get(image.service)
        return (*([own] if own else []), self.build_ids[image.half])


def plan_build(
    project: Project,
    mode: Mode,
    services: Sequence[str],
    host_settings: Path,
    proxies: Mapping[str, str] | None = None,
    *,
    no_cache: bool = False,
    again: str = "",
) -> BuildPlan:
    """Plan the images of `services` for a mode.

    Args:
        project: the project.
        mode: prod: an image each service; dev: one image each half, with the sources mounted later.
        services: resolved names of services.
        host_settings: the folder with the host's settings, given to the build as secrets.
        proxies: proxy variables of the host (`HTTPS_PROXY`).
        no_cache: run every step again, and throw the cache mounts' content away: that is what
            BuildKit does (seen on 28.5).
        again: any new text makes the compiling steps run again, on warm cache mounts.
    """
    prefix = project.compose_name(mode)
    images = []
    for service in services:
        half: Half = "ui" if service == "ui" else "backend"
        if mode == "prod":
            # The server in the UI's image is the backend's, unless the UI has one of its own.
            served = half == "ui" and project.config.ui.runtime != "own"
            needs: tuple[Half, ...] = ("ui", "backend") if served else (half,)
            ref = f"{prefix}-{service}:prod"
            images.append(PlannedImage(service, service, ref, half, needs))
        else:
            ref = f"{prefix}-{half}:dev"
            images.append(PlannedImage(service, f"{half}-dev", ref, half, (half,)))
    variables = {
        "PROJECT": project.name,
        "CACHE_ID": project.cache_id,
        "RUST_IMAGE": project.config.base_images.rust,
        "BUN_IMAGE": project.config.base_images.bun,
        **_of_ui(project),
        "COMPILER_CACHE": project.config.build.compiler_cache,
        "REBAKE_HOST_SETTINGS": str(host_settings),
        **(proxies or {}),
        **({"REBUILD": again} if again else {}),
    }
    cache = project.config.cache
    # Settings are plain tables here: see config.values.
    secrets = cast("Declared", project.config.secrets.build)
    return BuildPlan(
        mode,
        project.root,
        project.bake_file,
        tuple(images),
        cast("Mapping[Half, Path]", project.folders),
        variables,
        no_cache=no_cache,
        export=EXPORTS[project.config.build.compression],
        recipe=recipe_files(project),
        remote=RemoteCache(cache.remote, cache.export) if cache.remote else None,
        forced=no_cache or bool(again),
        secrets={
            name: place_of(source, project.root) or str(source["env"])
            for name, source in secrets.items()
        },
        provenance=mode == "prod" and _attests(project),
        dockerfiles=cast("Mapping[Half, Path]", project.dockerfiles),
    )


def _attests(project: Project) -> bool:
    """Whether the images of production tell how they were made: asked for, or held to it."""
    config = project.config
    return config.build.provenance or "provenance" in config.sign.attestations


def _of_ui(project: Project) -> dict[str, str]:
    """What the build of the UI is told where npm installs, or nginx serves; else nothing."""
    ui, images = project.config.ui, project.config.base_images
    npm = {"UI_MANAGER": ui.manager, "NODE_IMAGE": images.node} if ui.manager == "npm" else {}
    nginx = {"UI_RUNTIME": ui.runtime, "NGINX_IMAGE": images.nginx}
    return npm | (nginx if ui.runtime == "nginx" else {})


def id_words(ids: Mapping[str, str], scopes: Mapping[str, Scope]) -> str:
    """Write ids as docker/tools/step/ids.rs reads them: `api=ID:crates/web,crates/worker:api …`."""

    def words(name: str, own: str) -> str:
        scope = scopes.get(name, Scope())
        package = f":{scope.package}" if scope.locked else ""
        return f"{name}={own}:{','.join(scope.folders)}{package}"

    return " ".join(words(name, own) for name, own in ids.items())


def recipe_files(project: Project) -> tuple[Path, ...]:
    """The files that say how images are made; those that are not there are left out."""
    tools = project.bake_file.parent / "tools"
    files = [
        project.bake_file,
        *(
            file.with_name(name)
            for file in project.dockerfiles.values()
            for name in (file.name, ".dockerignore", f"{file.name}.dockerignore")
        ),
        *sorted(tools.rglob("*")),
    ]
    return tuple(file for file in files if file.is_file())


def bake_words(plan: BuildPlan, metadata: Path) -> tuple[str, ...]:
    """The words after `docker` for this plan; exact, since tests and --dry-run show them."""
    words = [
        "buildx", "bake",
        "--file", str(plan.bake_file),
        "--progress", "rawjson",
        "--metadata-file", str(metadata),
        # Bake asks before it reads outside the project: the host's settings are there.
        "--allow", f"fs.read={plan.variables['REBAKE_HOST_SETTINGS']}",
    ]  # fmt: skip
    for target in plan.targets:
        words += ["--set", f"{target}.output={plan.export}"]
        if plan.provenance:
            # Not mode=max: that holds every build argument.
            words += ["--set", f"{target}.attest=type=provenance,mode=min"]
    words += _secret_words(plan)
    if plan.no_cache:
        words.append("--no-cache")
    if plan.remote is not None:
        for target in plan.targets:
            words += plan.remote.words(target)
        if plan.seed == "deps":
            # Read only: the layer's own target writes it.
            reading = replace(plan.remote, export=False)
            place = reading.words(DEPENDENCIES)[1].partition("=")[2]
            words += ["--set", f"*.cache-from+={place}"]
    return (*words, *plan.targets)


# Known only when the files have been read; all else of a plan's variables is known before.
_LATE = frozenset(
    {
        *("BACKEND_BUILD_ID", "UI_BUILD_ID", "SERVICE_BUILD_IDS", "BACKEND_NETWORK", "UI_NETWORK"),
        *("REBAKE_BACKEND_CONTEXT", "REBAKE_UI_CONTEXT"),
    }
)
PLANNED = "rebake-planned"


def early_words(plan: BuildPlan, metadata: Path) -> tuple[str, ...]:
    """The words after `docker` of a bake that learns on its standard input what it makes."""
    words = bake_words(plan, metadata)
    words = words[: len(words) - len(plan.targets)]
    after = words.index("--file") + 2
    return (*words[:after], "--file", "-", *words[after:], PLANNED)


def early_variables(plan: BuildPlan) -> dict[str, str | None]:
    """The variables of such a bake: of those that come later, the user's own must not count."""
    known = {name: value for name, value in plan.all_variables.items() if name not in _LATE}
    return known | dict.fromkeys(_LATE)


def late_definition(plan: BuildPlan) -> str:
    """What such a bake is told: a bake file of its own, whose words count more than the others'."""
    late = {name: value for name, value in plan.all_variables.items() if name in _LATE}
    lines = [
        f"variable {_quoted(name)} {{ default = {_quoted(late[name])} }}" for name in sorted(late)
    ]
    targets = ", ".join(map(_quoted, plan.targets))
    lines.append(f"group {_quoted(PLANNED)} {{ targets = [{targets}] }}")
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    """A text as HCL writes it (https://github.com/hashicorp/hcl, `hclsyntax/spec.md`)."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def dependency_words(plan: BuildPlan) -> tuple[str, ...]:
    """The words after `docker` that bring the dependency layer up to date."""
    words = [
        "buildx", "bake",
        "--file", str(plan.bake_file),
        "--progress", "rawjson",
        "--allow", f"fs.read={plan.variables['REBAKE_HOST_SETTINGS']}",
    ]  # fmt: skip
    words += _secret_words(plan)
    if plan.remote is not None:
        words += plan.remote.words(DEPENDENCIES)
    return (*words, DEPENDENCIES)


def _secret_words(plan: BuildPlan) -> list[str]:
    """The words that give every target the project's secrets: names and places, no values."""
    words = []
    for name, place in plan.secrets.items():
        if isinstance(place, Path):
            quoted = str(place).replace('"', '""')
            words += ["--allow", f"fs.read={place}"]
            words += ["--set", f'*.secrets+=id={name},"src={quoted}"']
        else:
            words += ["--set", f"*.secrets+=id={name},env={place}"]
    return words
