"""A service that goes on the fast build, and what must be true of it. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from rebake.scaffold.adopt_carry import Carried
from rebake.scaffold.adopt_compose import BuiltService
from rebake.scaffold.adopt_words import Unfit

DOCKERFILE = "Dockerfile.rebake"
# As the configuration has them.
_IMAGE = re.compile(r"[a-z0-9][\w./-]*(?::[0-9]+/[\w./-]+)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")
_SERVICE = re.compile(r"(?=.{1,40}\Z)[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
# Where no other thing of the recipe, or of the image, is.
_FOLDER = re.compile(
    r"(?!/(?:bin|cargo|context|dev|etc|lib\w*|out|proc|sbin|seed|skeleton|sys|target|tmp|tools|warm)\b)"
    r"/(?!usr$|var$|root$)[\w.-]+(?:/[\w.-]+)*"
)
_ALPINE = re.compile(r"-?alpine[\w.]*$")
# Arguments of our own recipe.
_OURS = frozenset(
    [
        *("BINARIES", "BUN_IMAGE", "CACHE_ID", "COMPILER_CACHE", "EXPECTED_BUILD_ID", "NETWORK"),
        *("NODE_IMAGE", "REBUILD", "RUST_IMAGE", "SEED", "SERVICE_BUILD_ID", "SERVICE_BUILD_IDS"),
        *("UI_MANAGER", "UI_OUTPUT", "UI_INSTALL"),
    ]
)


class Mapped(Struct, frozen=True):
    """A service of the compose file that goes on the fast build.

    Attributes:
        service: as the compose file has it.
        dockerfile: the one that it was built from, from the root.
        carried: what is taken over of that.
    """

    service: BuiltService
    dockerfile: str
    carried: Carried

    @property
    def name(self) -> str:
        """What rebake calls it: the program's name, or `ui`."""
        return self.carried.binary or "ui"

    @property
    def stage(self) -> str:
        """The stage of its image."""
        return f"prod-{self.name}"


def check_usable(mapped: Mapped) -> None:
    """Refuse names and images that the recipe can't do with.

    Raises:
        Unfit: there is one.
    """
    if odd := sorted(_OURS & mapped.service.args.keys()):
        raise Unfit(f"build.args.{odd[0]} is a name that the fast build uses itself")
    if not _SERVICE.fullmatch(mapped.name) or mapped.carried.binary == "ui":
        raise Unfit(f"the program {mapped.name!r} can't be a service's name")
    place = mapped.carried.sources
    if mapped.carried.kind == "backend" and not _FOLDER.fullmatch(place):
        raise Unfit(
            f"{mapped.dockerfile} compiles in {place}: only a folder of its own will do, such as "
            "WORKDIR /app"
        )
    base = mapped.carried.base
    if not _IMAGE.fullmatch(base):
        raise Unfit(f"{mapped.dockerfile} compiles on {base}, which is no image's name")
    name, _, tag = base.partition("@")[0].rpartition("/")[2].partition(":")
    if mapped.carried.kind == "backend":
        if "rust" not in f"{name} {tag}" or "alpine" in tag:
            raise Unfit(
                f"{mapped.dockerfile} compiles on {base}: only images of Rust on Debian will do, "
                "such as rust:1-slim-trixie"
            )
    elif name not in {"node", "bun"}:
        raise Unfit(f"{mapped.dockerfile} builds on {base}: only node and oven/bun will do")


def on_debian(image: str) -> str:
    """Return the image of the same program on Debian, where one is on Alpine."""
    if not _ALPINE.search(image):
        return image
    name = _ALPINE.sub("", image)
    return f"{name}slim" if name.endswith(":") else f"{name}-slim"
