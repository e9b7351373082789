"""What is in a base image that is made here; pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import asdict

from rebake.errors import UsageError

LABEL_MADE = "dev.rebake.base-image"
LABEL_RECIPE = "dev.rebake.base-image.recipe"
_REVISION = 1  # raised when the way of making changes without a recipe changing
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NPM = "11.21.2"  # of the images of node that are made here; pulled ones bring their own
NODE_FALLBACK = "/usr/local/bun-node-fallback-bin"


class Recipe(Struct, frozen=True):
    """How to make one base image.

    Attributes:
        name: such as `rust`.
        version: the tool's version that the reference names, such as `1.97`.
        packages: from the package archive.
        leading: the package whose version decides which suite is used; empty: `suites` decides.
        suites: suites to use, the best first; empty: any.
        check: the command in the image that prints the version.
        npm: the npm package (without architecture) whose binary goes into the image.
        trees: whole npm packages (`npm@11.0.0`) by the folder that they become.
    """

    name: str
    version: str
    packages: tuple[str, ...]
    check: tuple[str, ...]
    leading: str = ""
    suites: tuple[str, ...] = ()
    npm: str = ""
    env: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    users: tuple[Mapping[str, str], ...] = ()
    trees: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The recipe's fingerprint: an image with another one is made again."""
        values = asdict(self)
        if not self.trees:  # younger than the first images: theirs stay good
            del values["trees"]
        text = json.dumps([_REVISION, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the image that it gives."""
        return {LABEL_MADE: "made", LABEL_RECIPE: self.digest}


class Reference(Struct, frozen=True):
    """An image reference, taken apart as Docker does."""

    registry: str
    repository: str
    tag: str
    digest: str = ""

    @property
    def full(self) -> str:
        """The whole name with the tag."""
        return f"{self.registry}/{self.repository}:{self.tag}"


DEFAULT_REGISTRY = "docker.io"  # what the grammar of references means by no registry


def parse_reference(ref: str) -> Reference:
    """Take a reference apart.

    Raises:
        UsageError: it is no image reference.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", ref):
        raise UsageError(f"{ref!r} is no image reference", "base_images in rebake.toml")
    name, _, digest = ref.partition("@")
    head, separator, tail = name.rpartition(":")
    name, tag = (head, tail) if separator and "/" not in tail else (name, "latest")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return Reference(first, rest, tag, digest)
    repository = name if slash else f"library/{name}"
    return Reference(DEFAULT_REGISTRY, repository, tag, digest)


def recipe_for(ref: str) -> Recipe | None:
    """Return the recipe that makes what `ref` names, or None when we know none."""
    parsed = parse_reference(ref)
    version = re.match(r"\d+(?:\.\d+)*", parsed.tag)
    maker = _MAKERS.get(parsed.repository)
    return maker(version[0]) if maker and version else None


def pick_suite(
    recipe: Recipe, available: Sequence[str], versions: Mapping[str, Sequence[str]]
) -> str | None:
    """Return the suite to make an image from.

    Args:
        recipe: the recipe.
        available: the suites that can be used, oldest first.
        versions: for each suite, the versions of the leading package.
    """
    if recipe.leading:
        fitting = (
            suite
            for suite in available
            if any(fits(version, recipe.version) for version in versions.get(suite, ()))
        )
        return next(fitting, None)
    preferred = (suite for suite in recipe.suites if suite in available)
    return next(preferred, available[0] if available else None)


def fits(found: str, wanted: str) -> bool:
    """Tell whether a found version is the wanted one or a patch of it: 1.97.1 fits 1.97."""
    upstream = found.partition(":")[2] or found
    return re.match(rf"{re.escape(wanted)}(?!\d)", upstream) is not None


def _rust(version: str) -> Recipe:
    return Recipe(
        name="rust",
        version=version,
        packages=(
            *("rustc", "cargo", "rustfmt", "rust-clippy"),
            *("gcc", "libc6-dev", "mold", "pkg-config", "ca-certificates", "inotify-tools"),
        ),
        leading="rustc",
        check=("/usr/bin/rustc", "--version"),
        env=(f"PATH=/usr/local/cargo/bin:{_PATH}", "CARGO_HOME=/usr/local/cargo"),
        cmd=("bash",),
        folders={"usr/local/cargo": "0777", "usr/local/cargo/bin": "0777"},
    )


def _bun(version: str) -> Recipe:
    return Recipe(
        name="bun",
        version=version,
        packages=("ca-certificates",),
        suites=("trixie", "bookworm", "forky", "sid"),
        npm="@oven/bun-linux",
        check=("/usr/local/bin/bun", "--version"),
        env=(
            f"PATH={_PATH}:{NODE_FALLBACK}",
            "BUN_RUNTIME_TRANSPILER_CACHE_PATH=0",
            "BUN_INSTALL_BIN=/usr/local/bin",
        ),
        cmd=("/usr/local/bin/bun",),
        workdir="/home/bun/app",
        folders={"home/bun/app": "0755"},
        links={
            "usr/local/bin/bunx": "bun",
            f"{NODE_FALLBACK[1:]}/node": "/usr/local/bin/bun",
        },
        users=({"name": "bun", "uid": "1000", "home": "/home/bun"},),
    )


def _node(version: str) -> Recipe:
    modules = "usr/local/lib/node_modules"
    return Recipe(
        name="node",
        version=version,
        packages=("ca-certificates", "libstdc++6"),
        suites=("trixie", "bookworm", "forky", "sid"),
        # The packages of the npm package `node`: the binaries of nodejs.org, one for each machine.
        npm="node-linux",
        check=("/usr/local/bin/node", "--version"),
        cmd=("node",),
        env=(f"PATH={_PATH}",),
        # Where the official images have them.
        trees={f"{modules}/npm": f"npm@{NPM}"},
        links={
            "usr/local/bin/npm": "../lib/node_modules/npm/bin/npm-cli.js",
            "usr/local/bin/npx": "../lib/node_modules/npm/bin/npx-cli.js",
        },
        users=({"name": "node", "uid": "1000", "home": "/home/node"},),
    )


def _nginx(version: str) -> Recipe:
    """A Debian with what docker/tools/ensure-packages would install for the UI's nginx."""
    return Recipe(
        name="nginx",
        version=version,
        packages=("ca-certificates", "nginx", "libnginx-mod-http-brotli-static"),
        suites=("trixie", "bookworm"),
        check=("/bin/cat", "/etc/debian_version"),
        env=(f"PATH={_PATH}",),
        cmd=("bash",),
    )


_MAKERS: Mapping[str, Callable[[str], Recipe]] = {
    "library/rust": _rust,
    "library/debian": _nginx,
    "library/node": _node,
    "oven/bun": _bun,
}
