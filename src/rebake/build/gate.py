"""The gate after a build: refuses an image that does not hold the sources at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rebake.build.plan import PlannedImage
from rebake.engine.endpoint import Endpoint
from rebake.errors import WrongImage
from rebake.process import run
from rebake.results import ImageResult

LABEL = "rebake.build-id"  # set by the Dockerfiles
_ASK_LIMIT_S = 60.0


def check(
    images: Sequence[PlannedImage],
    made: Mapping[str, ImageResult],
    expected: Mapping[str, Sequence[str]],
    endpoint: Endpoint,
) -> dict[str, str]:
    """Check every image that a build made.

    The label is only on an image whose build compared the sources' id with the plan's and asked
    each binary for it. An image without it (another Dockerfile made it) is started and asked.

    Args:
        images: the images.
        made: what is known of them, by service.
        expected: the ids that prove each one: that of the service's own sources, or of all.
        endpoint: the engine.

    Returns:
        The id that each image told.

    Raises:
        WrongImage: an image holds other sources, or does not tell.
    """
    told = {image.service: made[image.service].label for image in images}
    unknown = [image for image in images if told[image.service] not in expected[image.service]]
    if not unknown:
        return told
    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = pool.map(lambda image: _ask(image, endpoint), unknown)
        for image, answer in zip(unknown, answers, strict=True):
            wanted = expected[image.service]
            found = next((one for one in wanted if one in answer), None)
            if found is None:
                raise WrongImage(image.service, wanted[0], answer or "unknown")
            told[image.service] = found
    return told


def _ask(image: PlannedImage, endpoint: Endpoint) -> str:
    return run(
        endpoint.command(
            "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
            "--pull", "never", image.ref, "--version",
            timeout_s=_ASK_LIMIT_S, what=f"{image.service} --version",
        )
    ).check().stdout.strip()  # fmt: skip
