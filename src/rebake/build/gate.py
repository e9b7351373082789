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
    images: Sequence[PlannedImage], made: Mapping[str, ImageResult], endpoint: Endpoint
) -> None:
    """Check every image that a build made.

    The label is only on an image whose build compared the sources' id with the plan's and asked
    each binary for it. An image without it (another Dockerfile made it) is started and asked.

    Raises:
        WrongImage: an image holds other sources, or does not tell.
    """
    unknown = [image for image in images if not _told_by_label(made[image.service])]
    if not unknown:
        return
    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = pool.map(lambda image: _ask(image, endpoint), unknown)
        for image, answer in zip(unknown, answers, strict=True):
            expected = made[image.service].build_id
            if expected not in answer:
                raise WrongImage(image.service, expected, answer or "unknown")


def _told_by_label(image: ImageResult) -> bool:
    return bool(image.label) and image.label == image.build_id


def _ask(image: PlannedImage, endpoint: Endpoint) -> str:
    return run(
        endpoint.command(
            "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
            "--pull", "never", image.ref, "--version",
            timeout_s=_ASK_LIMIT_S, what=f"{image.service} --version",
        )
    ).check().stdout.strip()  # fmt: skip
