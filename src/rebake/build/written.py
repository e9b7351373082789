"""Asks the engine for a bake's images as soon as they are written, while buildx still ends.

From the last image's end to that of buildx it takes a tenth of a second, and these questions take
as long. An answer counts only where it is about the very image that buildx tells of at its end;
what is in doubt is asked once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from msgspec import Struct, field

from rebake.build.layers import Layers
from rebake.build.plan import PlannedImage
from rebake.engine.client import ImageInfo
from rebake.report.events import Event, OnEvent, StepDone

_AT_ONCE = 8


class _Answers(Struct):
    """What the engine says of one image: the image first, its layers (where it is new) after it."""

    image: Future[ImageInfo | None] = field(default_factory=Future)
    layers: Future[Layers | None] = field(default_factory=Future)


class Written:
    """The images of one bake.

    Args:
        images: what the bake makes.
        before: what the engine had under each name.
        ask: asks the engine for an image by name.
        layers: asks the engine for an image's layers by name.
    """

    def __init__(
        self,
        images: Sequence[PlannedImage],
        before: Mapping[str, ImageInfo | None],
        ask: Callable[[str], ImageInfo | None],
        layers: Callable[[str], Layers],
    ) -> None:
        self._targets = {image.ref: image.target for image in images}
        self._before, self._ask, self._layers = before, ask, layers
        self._ended = 0
        self._answers: dict[str, _Answers] = {}

    def watching(self, on_event: OnEvent) -> OnEvent:
        """Return a listener that passes each event on, and sees when the last image is written."""

        def listen(event: Event) -> None:
            if isinstance(event, StepDone) and event.step.kind == "export":
                self._ended += 1
                if self._ended == len(self._targets):
                    self._begin(self._targets)
            on_event(event)

        return listen

    def images(self, digests: Mapping[str, str]) -> dict[str, ImageInfo | None]:
        """Return what the engine has under each name, now that the bake has ended.

        Args:
            digests: of each target's image, as buildx told them at its end.

        Raises:
            RebakeError: the engine can't be asked.
        """
        self._begin([ref for ref in self._targets if not self._certain(ref, digests)])
        return {ref: self._answers[ref].image.result() for ref in self._targets}

    def layers(self, ref: str) -> Layers | None:
        """Return the layers of an image that the bake made; None for one that it left as it was."""
        answers = self._answers.get(ref)
        return None if answers is None else answers.layers.result()

    def _certain(self, ref: str, digests: Mapping[str, str]) -> bool:
        """Whether what was answered early is about the image that the bake has made."""
        answers, digest = self._answers.get(ref), digests.get(self._targets[ref])
        if answers is None or not digest or answers.image.exception() is not None:
            return False
        info = answers.image.result()
        return info is not None and info.digest == digest

    def _begin(self, refs: Iterable[str]) -> None:
        new = {ref: _Answers() for ref in refs}
        if not new:
            return
        self._answers |= new
        pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
        for ref, answers in new.items():
            pool.submit(self._answer, ref, answers)
        pool.shutdown(wait=False)

    def _answer(self, ref: str, answers: _Answers) -> None:
        try:
            info = self._ask(ref)
            answers.image.set_result(info)
            old = self._before.get(ref)
            new = info is not None and (old is None or old.id != info.id)
            answers.layers.set_result(self._layers(ref) if new else None)
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for it
            for one in (answers.image, answers.layers):
                if not one.done():
                    one.set_exception(error)
