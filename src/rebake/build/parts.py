"""Chooses the images that a build can leave as they are: those that no change reaches. Pure.

Two reasons are good enough. Nothing at all that the image is made from is another one (`skip`).
Or: what changed lies in packages that its binaries are not compiled from, all else is the same,
and afterwards the compiling step tells that it did not link these binaries again. The second one is
a promise until then: where the step tells anything else, or did not run, all images are built.

What an image holds is known from its last build: which binaries (`binaries`), and what each was
known by to the step that made it.

Some binaries are linked at every edit, whatever it was: those of a `main` that tells the id of all
sources. A build that sees this writes it down, and the next one promises nothing for such an image.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.build import skip
from rebake.build.ids import own
from rebake.build.inputs import digest_of
from rebake.build.plan import RECIPE, BuildPlan, PlannedImage, Scope
from rebake.history.records import FileDigest, ImageRecord, StoredBuild

_HOLDS = "binaries of: "
_PART = "part of: "
_AGAIN = "linked without a change: "


class Left(Struct, frozen=True):
    """An image that stays as it is.

    Attributes:
        image: as its last build left it.
        binaries: what its binaries must still be known by; empty where nothing changed at all.
    """

    image: ImageRecord
    binaries: Mapping[str, str] = field(default_factory=dict)


class Around(Struct, frozen=True):
    """What decides beside a plan: see `skip.image_key`."""

    digests: Mapping[str, str]
    modes: Mapping[str, Mapping[str, str]]
    base_images: Mapping[str, str]
    surroundings: Mapping[str, str]


class Parts:
    """The images of one plan, and what each is made from.

    Args:
        plan: the build, of all that was asked for.
        inputs: the files of each half, and the recipe's.
        around: all else that decides, as `skip.keys_of` is given it.
        keys: the key of each image, by service.
    """

    def __init__(
        self,
        plan: BuildPlan,
        inputs: Mapping[str, Sequence[FileDigest]],
        around: Around,
        keys: Mapping[str, str],
    ) -> None:
        self.plan, self._inputs, self._around, self._keys = plan, inputs, around, keys

    @property
    def possible(self) -> bool:
        """Whether any image may be left out of such a build."""
        plan = self.plan
        usual = plan.mode == "prod" and not (plan.forced or plan.no_cache or plan.provenance)
        return usual and plan.remote is None and len(plan.images) > 1

    def left(
        self,
        lasts: Mapping[str, StoredBuild | None],
        present: Mapping[str, Collection[str]],
    ) -> dict[str, Left]:
        """Choose, by service.

        Args:
            lasts: the newest build of each image that ended well.
            present: the id and the digest of what the engine has under each image's name.
        """
        found: dict[str, Left] = {}
        if not self.possible:
            return found
        for image in self.plan.images:
            last = lasts[image.service]
            old = last.image(image.service) if last is not None else None
            if last is None or old is None or old.ref != image.ref:
                continue
            if old.digest not in present[image.ref]:
                continue
            if skip.same_key(image.service, self._keys[image.service], last):
                found[image.service] = Left(old)
            elif _AGAIN + image.service in last.record.settings:
                continue
            elif binaries := self._as_before(image, last):
                found[image.service] = Left(old, binaries)
        return self._sound(found)

    def _sound(self, found: dict[str, Left]) -> dict[str, Left]:
        """Those alone whose promise the build will tell of."""
        built = [image for image in self.plan.images if image.service not in found]
        if any("backend" in image.needs for image in built):
            return found
        return {s: left for s, left in found.items() if not left.binaries} if built else {}

    def without(self, left: Collection[str]) -> BuildPlan:
        """The plan of the other images."""
        images = tuple(image for image in self.plan.images if image.service not in left)
        return replace(self.plan, images=images)

    def with_all(self, plan: BuildPlan) -> BuildPlan:
        """A plan of some of the images, but of all."""
        return replace(plan, images=self.plan.images)

    def settings(
        self, holds: Mapping[str, frozenset[str] | None], known_by: Mapping[str, Mapping[str, str]]
    ) -> dict[str, str]:
        """What the next build needs to know, for the record.

        Args:
            holds: the binaries of each image, by service; None where that is not known.
            known_by: by service, what each binary is known by.
        """
        found = {}
        for image in self.plan.images:
            names, known = holds.get(image.service), known_by.get(image.service, {})
            if not names or not names <= known.keys():
                continue
            if key := self._key(image, names):
                told = {name: known[name] for name in sorted(names)}
                found[_HOLDS + image.service] = json.dumps(told)
                found[_PART + image.service] = key
        return found

    def linked_again(
        self, lasts: Mapping[str, StoredBuild | None], told: Mapping[str, str]
    ) -> dict[str, str]:
        """Which images' binaries were linked though no change reached them, for the record.

        Args:
            lasts: as `left` is given them.
            told: what the compiling step of this build says that its binaries are known by.
        """
        found = {}
        for image in self.plan.images:
            if (last := lasts[image.service]) is None:
                continue
            before = self._as_before(image, last) if self.possible else {}
            again = _AGAIN + image.service in last.record.settings  # holds until seen otherwise
            if before and before.keys() <= told.keys():
                again = any(told[name] != by for name, by in before.items())
            if again:
                found[_AGAIN + image.service] = "yes"
        return found

    def _as_before(self, image: PlannedImage, last: StoredBuild) -> dict[str, str]:
        """The binaries of an image whose part did not change; empty where it did."""
        binaries = binaries_of(image.service, last)
        key = self._key(image, binaries) if binaries else ""
        same = key and last.record.settings.get(_PART + image.service) == key
        return binaries if same else {}

    def _key(self, image: PlannedImage, binaries: Collection[str]) -> str:
        """A digest of all that decides about an image with these binaries; empty for all files."""
        scopes = [self.plan.scopes.get(name, Scope()) for name in binaries]
        part = own(self._inputs["backend"], scopes)
        if part == list(self._inputs["backend"]):
            return ""
        around = self._around
        digests = {name: around.digests[name] for name in (RECIPE, *image.needs)}
        return skip.image_key(
            inputs=digests | {"backend": digest_of(part)},
            modes={half: around.modes[half] for half in image.needs},
            arguments=self.plan.variables,
            base_images=around.base_images,
            surroundings={**around.surroundings, "export": self.plan.export},
        )


def binaries_of(service: str, last: StoredBuild | None) -> dict[str, str]:
    """The binaries of an image and what each was known by, as a build recorded them."""
    text = last.record.settings.get(_HOLDS + service, "") if last is not None else ""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def as_promised(left: Mapping[str, Left], told: Mapping[str, str]) -> bool:
    """Whether the binaries of the images that were left out are the very ones that they hold."""
    return all(told.get(name) == by for one in left.values() for name, by in one.binaries.items())
