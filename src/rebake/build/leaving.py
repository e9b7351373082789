"""Leaves images out of one build (`parts` says which), and puts them back into its result."""

from __future__ import annotations

from collections.abc import Mapping

from rebake.build import skip
from rebake.build.binaries import held
from rebake.build.outside import Images
from rebake.build.parts import Left, Parts, as_promised, binaries_of
from rebake.build.plan import BuildPlan
from rebake.build.recording import as_it_was
from rebake.engine.client import ImageInfo
from rebake.history.evidence import BakeTarget
from rebake.history.records import StoredBuild
from rebake.results import ImageResult


class Leaving:
    """The images that one build leaves out.

    Args:
        parts: the images that were asked for, and what each is made from.
        lasts: the newest build of each image that ended well.
        before: what the engine has under the name of each image.
        outside: the images from outside.
    """

    def __init__(
        self,
        parts: Parts,
        lasts: Mapping[str, StoredBuild | None],
        before: Mapping[str, ImageInfo | None],
        outside: Images,
    ) -> None:
        self._parts, self._plan = parts, parts.plan
        self._lasts, self._before, self._outside = lasts, before, outside
        self.left: dict[str, Left] = {}
        self._holds: tuple[Mapping[str, BakeTarget], dict[str, frozenset[str] | None]] | None = None

    def begin(self, doubt: str) -> BuildPlan:
        """Return the plan of the images that are to be built.

        Args:
            doubt: why nobody knows whether anything changed; empty where it is known.
        """
        if doubt or not self._parts.possible:
            return self._plan
        present = {ref: skip.present(info) for ref, info in self._before.items()}
        left = self._parts.left(self._lasts, present)
        known = {service: last for service in left if (last := self._lasts[service]) is not None}
        if not left or self._outside.unlike(known) != (False, ""):
            return self._plan
        self.left = left
        return self._parts.without(left)

    def all_after(self, plan: BuildPlan, told: Mapping[str, str]) -> BuildPlan | None:
        """Return the plan of all images where the build did not keep its promises, else None.

        Args:
            plan: what was built.
            told: what the compiling step says that its binaries are known by.
        """
        if as_promised(self.left, told):
            return None
        self.left = {}
        return self._parts.with_all(plan)

    def together(self, made: Mapping[str, ImageResult]) -> dict[str, ImageResult]:
        """All images in their order: those that were built, and those that stayed."""
        found = {}
        for image in self._plan.images:
            if (one := made.get(image.service)) is None:
                one = as_it_was(self.left[image.service].image, self._before[image.ref])
            found[image.service] = one
        return found

    def holds(self, targets: Mapping[str, BakeTarget]) -> Mapping[str, frozenset[str] | None]:
        """The binaries that each service's image holds, see `binaries.held`.

        Empty where the backend is no folder of the project's.
        """
        if self._holds is None or self._holds[0] is not targets:
            recipe, folder = self._outside.recipe(targets), self._plan.folders["backend"]
            found: dict[str, frozenset[str] | None] = {}
            if folder.is_relative_to(self._plan.root):
                backend = folder.relative_to(self._plan.root).as_posix()
                found = {i.service: held(recipe, i.target, backend) for i in self._plan.images}
            self._holds = (targets, found)
        return self._holds[1]

    def settings(
        self, targets: Mapping[str, BakeTarget], told: Mapping[str, str]
    ) -> dict[str, str]:
        """What the next build needs to know of the images, for the record.

        Args:
            targets: the bake targets.
            told: what the binaries are known by that this build made.
        """
        again = self._parts.linked_again(self._lasts, told)
        holds = dict(self.holds(targets))
        if not holds:
            return again
        known_by = dict.fromkeys(holds, told)
        for service in self.left:
            known_by[service] = binaries_of(service, self._lasts[service])
            holds[service] = frozenset(known_by[service])
        return again | self._parts.settings(holds, known_by)
