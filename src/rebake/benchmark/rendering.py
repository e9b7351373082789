"""The recipes' Dockerfiles and their bake file: from templates of ours to exact texts. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path, PurePosixPath

from msgspec import Struct

from rebake.benchmark.edits import LABEL
from rebake.benchmark.layout import Crate, Layout
from rebake.results import Manager

_TOOLS = "--mount=type=bind,from=tools,target=/tools --mount=type=secret,id=ca"
CARGO_SETTINGS = f"{_TOOLS} --mount=type=secret,id=cargo-config,target=/cargo/config.toml"
UI_SETTINGS = f"{_TOOLS} --mount=type=secret,id=npmrc,target=/root/.npmrc"


class RecipeBuild(Struct, frozen=True):
    """Everything that decides one recipe's build.

    Attributes:
        recipe: its name.
        folder: the project's copy, `rendered` where the Dockerfiles are written.
        prefix: of the images' names; `cache_id` of the cache mounts' ids.
        cold: a new text makes every step but the base images (and cargo-chef itself) run again.
        label: of the last stage; none when empty.
        host_settings: the folder with the host's settings, given as secrets.
        ui_manager: what installs the UI's packages; npm comes from `node_image`.
        cache_from: registry references to import from and to export to; none when empty.
    """

    recipe: str
    folder: Path
    rendered: Path
    prefix: str
    cache_id: str
    rust_image: str
    bun_image: str
    runtime_image: str
    host_settings: Path
    cold: str = ""
    label: str = ""
    cache_from: str = ""
    cache_to: str = ""
    proxies: Mapping[str, str] | None = None
    ui_manager: Manager = "bun"
    node_image: str = ""

    def ref(self, image: str) -> str:
        """The name of an image."""
        return f"{self.prefix}-{image}:latest"


def tools_folder() -> Path:
    """The scripts that run inside the recipes' builds."""
    return Path(str(resources.files("rebake.benchmark") / "recipes" / "tools"))


def dockerfile(
    recipe: str, layout: Layout, *, cache_id: str, label: str = "", ui_manager: Manager = "bun"
) -> str:
    """Return the Dockerfile of a recipe (or of `ui`) for a workspace."""
    from jinja2 import Environment, StrictUndefined

    place = resources.files("rebake.benchmark") / "recipes" / f"{recipe}.Dockerfile.jinja"
    environment = Environment(  # noqa: S701 - a Dockerfile is no HTML
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    text = environment.from_string(place.read_text(encoding="utf-8")).render(
        cargo_settings=CARGO_SETTINGS,
        ui_settings=UI_SETTINGS,
        ui_manager=ui_manager,
        cache_id=cache_id,
        configuration=layout.configuration,
        crates=[crate for crate in layout.crates if crate.folder != "."],
        dummies=dummies(layout.crates),
        built_binaries=" ".join(f"/target/release/{name}" for name in layout.binaries),
    )
    return text + (f'LABEL {LABEL}="{label}"\n' if label else "")


def dummies(crates: Sequence[Crate]) -> str:
    """Return the shell words that write a source that says nothing for each target."""
    words = []
    for crate in crates:
        for path in crate.sources:
            folder = PurePosixPath(path).parent
            text = "" if path == crate.library else "fn main() {}"
            words.append(f"mkdir -p {shlex.quote(str(folder))}")
            words.append(f"echo {shlex.quote(text)} > {shlex.quote(path)}")
    return " && \\\n    ".join(dict.fromkeys(words))


def bake_document(build: RecipeBuild, layout: Layout) -> dict[str, object]:
    """Return the bake file of a recipe: one target an image."""
    common: dict[str, object] = {
        "contexts": {"tools": str(tools_folder())},
        "secret": [
            f'id={name},"src={build.host_settings / file}"'
            for name, file in (
                ("ca", "ca.pem"), ("cargo-config", "cargo-config.toml"), ("npmrc", "npmrc"),
            )
        ],
        # A local image needs no attestation: none of the subjects makes one.
        "attest": ["type=provenance,disabled=true"],
    }  # fmt: skip
    arguments = {
        "RUST_IMAGE": build.rust_image,
        "BUN_IMAGE": build.bun_image,
        "RUNTIME_IMAGE": build.runtime_image,
        **({"NODE_IMAGE": build.node_image} if build.ui_manager == "npm" else {}),
        "COLD": build.cold,
        **(build.proxies or {}),
    }
    targets: dict[str, object] = {}
    for image in layout.images:
        half = "ui" if image == "ui" else build.recipe
        targets[image] = {
            **common,
            "context": str(build.folder / (layout.ui if image == "ui" else layout.backend)),
            "dockerfile": str(build.rendered / f"{half}.Dockerfile"),
            "args": {**arguments, **({} if image == "ui" else {"SERVICE": image})},
            "tags": [build.ref(image)],
            **_cache(build, image, layout),
        }
    return {"group": {"default": {"targets": list(layout.images)}}, "target": targets}


def bake_words(file: Path) -> tuple[str, ...]:
    """The words after `docker` that build all images of a bake file."""
    return (
        *("buildx", "bake", "--file", str(file), "--progress", "rawjson"),
        # The Dockerfiles and the host's settings lie outside of the project.
        *("--load", "--allow", "fs.read=*"),
    )


def write(build: RecipeBuild, layout: Layout) -> Path:
    """Write the Dockerfiles and the bake file; return the bake file."""
    build.rendered.mkdir(parents=True, exist_ok=True)
    for half in (build.recipe, *(["ui"] if layout.ui else [])):
        text = dockerfile(
            half,
            layout,
            cache_id=build.cache_id,
            label=build.label,
            ui_manager=build.ui_manager,
        )
        (build.rendered / f"{half}.Dockerfile").write_text(text, encoding="utf-8", newline="\n")
    file = build.rendered / "bake.json"
    file.write_text(json.dumps(bake_document(build, layout), indent=2), encoding="utf-8")
    return file


def _cache(build: RecipeBuild, image: str, layout: Layout) -> dict[str, object]:
    """Import and export of the registry cache: one reference a half, written by one target."""
    half = "ui" if image == "ui" else "backend"
    found: dict[str, object] = {}
    if build.cache_from:
        found["cache-from"] = [f"type=registry,ref={build.cache_from}-{half}"]
    if build.cache_to and image in {layout.services[0], "ui"}:
        found["cache-to"] = [f"type=registry,ref={build.cache_to}-{half},mode=max"]
    return found
