"""Reads the layers of new images for the record, while the build still does something else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from rebake.engine.endpoint import Endpoint
from rebake.engine.image_layers import image_layers
from rebake.errors import RebakeError
from rebake.history.records import LayerRecord
from rebake.history.store import History
from rebake.results import ImageResult, Mode


class LayersMeanwhile:
    """The layers of a build's images.

    The engine is asked in threads as soon as this is made, and only for images that the build made:
    what the history knows of an image that stayed is still true.

    Args:
        endpoint: the engine.
        project: the project's id in the history.
        mode: `dev` or `prod`.
        images: the images after the build.
    """

    def __init__(
        self, endpoint: Endpoint, project: str, mode: Mode, images: Iterable[ImageResult]
    ) -> None:
        self._endpoint, self._project, self._mode = endpoint, project, mode
        self._found: dict[str, Future[tuple[LayerRecord, ...]]] = {}
        new = {image.ref for image in images if image.built}
        if new:
            pool = ThreadPoolExecutor(max_workers=4)
            self._found = {ref: pool.submit(self._read, ref) for ref in sorted(new)}
            pool.shutdown(wait=False)

    def of(self, image: ImageResult, history: History) -> tuple[LayerRecord, ...]:
        """Return an image's layers, the lowest first; empty where they can't be known."""
        found = self._found.get(image.ref)
        if found is not None:
            return found.result()
        known = history.last_image(self._project, self._mode, image.service)
        if known is not None and known.digest == image.digest and known.layers:
            return known.layers
        return self._read(image.ref)

    def _read(self, ref: str) -> tuple[LayerRecord, ...]:
        with contextlib.suppress(RebakeError, OSError):
            return image_layers(self._endpoint, ref)
        return ()
