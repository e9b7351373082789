"""Decides whether an image would only be made again as it is. Pure; in doubt, it is built.

An image is what a build would make when a build that ended well made it from the same files, the
same recipe, the same arguments, base images and engine, and the engine still has that very image
under the same name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

from rebake.build.plan import RECIPE, BuildPlan
from rebake.engine.client import ImageInfo
from rebake.history.records import ImageRecord, StoredBuild
from rebake.results import SET_BY_BUILD

# Arguments that say how, and not what, is built; proxies can hold a password besides.
_NOT_DECISIVE = SET_BY_BUILD | {
    *("REBAKE_HOST_SETTINGS", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY")
}
_SETTING = "made of: "


def keys_of(
    plan: BuildPlan,
    digests: Mapping[str, str],
    modes: Mapping[str, Mapping[str, str]],
    base_images: Mapping[str, str],
    surroundings: Mapping[str, str],
) -> dict[str, str]:
    """Return the key of each image of a plan, by service; see `image_key`."""
    attested = {"provenance": "min"} if plan.provenance else {}
    return {
        image.service: image_key(
            inputs={name: digests[name] for name in (RECIPE, *image.needs)},
            modes={half: modes[half] for half in image.needs},
            arguments=plan.variables,
            base_images=base_images,
            surroundings={**surroundings, **attested, "export": plan.export},
        )
        for image in plan.images
    }


def image_key(
    *,
    inputs: Mapping[str, str],
    modes: Mapping[str, Mapping[str, str]],
    arguments: Mapping[str, str],
    base_images: Mapping[str, str],
    surroundings: Mapping[str, str],
) -> str:
    """Return a digest of all that decides what one image holds.

    Args:
        inputs: a digest of the files of each folder, the recipe's among them.
        modes: the modes of what is in each folder, and its empty folders: they are in no build id,
            but the builder copies them.
        arguments: the build arguments.
        base_images: digests by reference.
        surroundings: whatever else: the engine, the host's settings, rebake's version.
    """
    decisive = {name: value for name, value in arguments.items() if name not in _NOT_DECISIVE}
    text = json.dumps(
        [
            dict(inputs),
            {name: dict(some) for name, some in modes.items()},
            decisive,
            dict(base_images),
            dict(surroundings),
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def settings_of(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of images, by service, in the form that a build record keeps."""
    return {_SETTING + service: key for service, key in keys.items()}


def same_key(service: str, key: str, last: StoredBuild | None) -> bool:
    """Whether a build in the history made a service's image from the very same things."""
    return last is not None and last.record.settings.get(_SETTING + service) == key


def present(there: ImageInfo | None) -> frozenset[str]:
    """The id and the digest of what the engine has under an image's name."""
    return frozenset((there.id, there.digest)) if there is not None else frozenset()


def made_already(
    service: str, key: str, ref: str, present: Collection[str], last: StoredBuild | None
) -> ImageRecord | None:
    """Return the image that a build would only make again; None when it must build.

    Args:
        service: whose image it is.
        key: what the build would be made from (`image_key`).
        ref: the image's name.
        present: the id and the digest of what the engine has under that name.
        last: the newest build of this image that ended well.
    """
    if last is None or not same_key(service, key, last):
        return None
    image = last.image(service)
    if image is None or image.ref != ref or image.digest not in present:
        return None
    return image
