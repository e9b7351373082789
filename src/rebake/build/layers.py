"""The layers of a build's images, for the record: asked for where the history has none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from rebake.engine.endpoint import Endpoint
from rebake.engine.image_layers import image_layers
from rebake.errors import RebakeError
from rebake.history.records import LayerRecord
from rebake.history.store import History
from rebake.results import ImageResult, Mode

Layers = tuple[LayerRecord, ...]


def read_layers(endpoint: Endpoint, ref: str) -> Layers:
    """Ask the engine for an image's layers, the lowest first; empty where they can't be known."""
    with contextlib.suppress(RebakeError, OSError):
        return image_layers(endpoint, ref)
    return ()


class LayersOf:
    """The layers of images after a build; what the history knows of one that stayed is still true.

    Args:
        endpoint: the engine.
        project: the project's id in the history.
        mode: `dev` or `prod`.
        new: the layers of an image that the build made, by name; None for one that stayed.
    """

    def __init__(
        self, endpoint: Endpoint, project: str, mode: Mode, new: Callable[[str], Layers | None]
    ) -> None:
        self._endpoint, self._project, self._mode, self._new = endpoint, project, mode, new

    def __call__(self, image: ImageResult, history: History) -> Layers:
        """Return an image's layers, the lowest first; empty where they can't be known."""
        found = self._new(image.ref)
        if found is not None:
            return found
        known = history.last_image(self._project, self._mode, image.service)
        if known is not None and known.digest == image.digest and known.layers:
            return known.layers
        return read_layers(self._endpoint, image.ref)
