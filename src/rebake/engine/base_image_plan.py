"""Decides for each base image: keep what is here, pull, or make. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from rebake.engine import recipes

Source = Literal["auto", "pull", "make"]


class BaseImage(Struct, frozen=True):
    """An image that Dockerfiles start from: its key in the configuration and its reference."""

    key: str
    ref: str


class LocalImage(Struct, frozen=True):
    """What the engine has under a reference."""

    digest: str
    bytes: int
    labels: Mapping[str, str]

    @property
    def recipe(self) -> str:
        """The digest of the recipe that made it; empty for one that was not made here."""
        return self.labels.get(recipes.LABEL_RECIPE, "")


class Action(Struct, frozen=True):
    """What to do for one image, and why."""

    image: BaseImage
    do: Literal["reuse", "pull", "make"]
    why: str
    digest: str = ""


def plan(
    images: Sequence[BaseImage],
    local: Mapping[str, LocalImage],
    locked: Mapping[str, str],
    registry_answers: Mapping[str, bool],
    *,
    source: Source = "auto",
    can_make: bool = True,
) -> list[Action]:
    """Decide what to do for each image.

    Args:
        images: what is needed.
        local: what the engine has, by reference.
        locked: the digests that the project pins, by reference.
        registry_answers: whether each registry host answers.
        source: `pull` never makes, `make` never pulls.
        can_make: whether this machine can make images at all.
    """
    return [
        _decide(
            image,
            local.get(image.ref),
            locked.get(image.ref, ""),
            answers=registry_answers.get(recipes.parse_reference(image.ref).registry, False),
            source=source,
            can_make=can_make and recipes.recipe_for(image.ref) is not None,
        )
        for image in images
    ]


def _decide(
    image: BaseImage,
    here: LocalImage | None,
    pinned: str,
    *,
    answers: bool,
    source: Source,
    can_make: bool,
) -> Action:
    may_pull = answers and source != "make"
    may_make = can_make and source != "pull"
    if here is not None and (
        why := why_reuse(image, here, pinned, source=source, may_pull=may_pull, may_make=may_make)
    ):
        return Action(image, "reuse", why, here.digest)
    if may_pull:
        why = "the registry answers" if here is None else "what is here is not what is wanted"
        return Action(image, "pull", why, pinned)
    if may_make:
        why = "no registry answers" if source == "auto" else "making was asked for"
        return Action(image, "make", why)
    return Action(image, "pull", "it can't be made here", pinned)


def why_reuse(
    image: BaseImage,
    here: LocalImage,
    pinned: str,
    *,
    source: Source,
    may_pull: bool,
    may_make: bool,
) -> str:
    """Say why what the engine has is good enough; empty when it is not."""
    recipe = recipes.recipe_for(image.ref)
    if here.recipe:
        if source != "pull" and recipe is not None and here.recipe == recipe.digest:
            return "made here earlier by the same recipe"
        return "" if may_pull or may_make else "made here earlier; no registry answers"
    if source == "make" and may_make:
        return ""
    if pinned and here.digest != pinned and may_pull:
        return ""
    return "the engine has it"
