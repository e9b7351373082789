"""The engine is asked for a bake's images while buildx ends, and nothing old is taken for new."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from rebake.build.plan import PlannedImage
from rebake.build.written import Written
from rebake.engine.client import ImageInfo
from rebake.errors import CannotRun
from rebake.history.records import LayerRecord
from rebake.report.events import Event, StepDone, StepStarted
from rebake.report.steps import parse_step_name

OLD, NEW, OTHER = "sha256:old", "sha256:new", "sha256:other"
LAYERS = (LayerRecord("sha256:layer", 7, "COPY api"),)


def planned(service: str) -> PlannedImage:
    return PlannedImage(service, service, f"app-{service}:prod", "backend", ("backend",))


API, WORKER = planned("api"), planned("worker")


def info(digest: str) -> ImageInfo:
    return ImageInfo(digest, digest, 1)


def ended(target: str) -> Event:
    return StepDone(parse_step_name(f"[{target}] exporting to image"), 0.1, cached=False)


class Engine:
    """Says what it has; counts the questions."""

    def __init__(self, **has: str) -> None:
        self.has = {f"app-{name}:prod": info(digest) for name, digest in has.items()}
        self.asked: list[str] = []
        self.of_layers: list[str] = []
        self.fault: Exception | None = None
        self.answered = threading.Event()

    def ask(self, ref: str) -> ImageInfo | None:
        self.asked.append(ref)
        try:
            if self.fault is not None:
                raise self.fault
            return self.has.get(ref)
        finally:
            self.answered.set()

    def layers(self, ref: str) -> tuple[LayerRecord, ...]:
        self.of_layers.append(ref)
        return LAYERS


def written(engine: Engine, *images: PlannedImage, **before: str) -> Written:
    known = {f"app-{name}:prod": info(digest) for name, digest in before.items()}
    return Written(images, known, engine.ask, engine.layers)


def heard(one: Written, *events: Event) -> list[Event]:
    got: list[Event] = []
    listen = one.watching(got.append)
    for event in events:
        listen(event)
    return got


def test_each_event_is_passed_on() -> None:
    one = written(Engine(), API)
    events = [StepStarted(parse_step_name("[build 1/1] RUN x")), ended("api")]
    assert heard(one, *events) == events


def test_what_was_answered_early_is_not_asked_again() -> None:
    engine = Engine(api=NEW)
    one = written(engine, API, api=OLD)
    heard(one, ended("api"))
    assert engine.answered.wait(5)
    assert one.images({"api": NEW}) == {API.ref: info(NEW)}
    assert one.layers(API.ref) == LAYERS
    assert (engine.asked, engine.of_layers) == ([API.ref], [API.ref])


def test_nothing_is_asked_before_the_last_image_is_written() -> None:
    engine = Engine(api=NEW, worker=NEW)
    one = written(engine, API, WORKER)
    heard(one, StepDone(parse_step_name("[build 1/1] RUN x"), 1.0, cached=False), ended("api"))
    assert engine.asked == []
    heard(one, ended("worker"))
    assert one.images({"api": NEW, "worker": NEW}) == {API.ref: info(NEW), WORKER.ref: info(NEW)}
    assert sorted(engine.asked) == [API.ref, WORKER.ref]


@pytest.mark.parametrize(
    "told", [{"api": OTHER}, {}, {"api": ""}], ids=["another image", "nothing told", "no digest"]
)
def test_an_answer_about_another_image_than_the_one_made_is_asked_again(
    told: dict[str, str],
) -> None:
    engine = Engine(api=OLD)
    one = written(engine, API, api=OLD)
    heard(one, ended("api"))
    assert engine.answered.wait(5)
    engine.has = {API.ref: info(OTHER)}
    assert one.images(told) == {API.ref: info(OTHER)}
    assert one.layers(API.ref) == LAYERS
    assert engine.asked == [API.ref, API.ref]


def test_a_question_that_failed_early_is_asked_again() -> None:
    engine = Engine(api=NEW)
    engine.fault = CannotRun("too early")
    one = written(engine, API)
    heard(one, ended("api"))
    assert engine.answered.wait(5)
    engine.fault = None
    assert one.images({"api": NEW}) == {API.ref: info(NEW)}


def test_an_engine_that_cannot_be_asked_at_all_is_told() -> None:
    engine = Engine()
    engine.fault = CannotRun("gone")
    with pytest.raises(CannotRun, match="gone"):
        written(engine, API).images({"api": NEW})


@pytest.mark.parametrize("listen", [True, False], ids=["seen", "not seen"])
def test_an_image_that_stayed_is_not_asked_for_its_layers(listen: bool) -> None:
    engine = Engine(api=OLD)
    one = written(engine, API, api=OLD)
    if listen:
        heard(one, ended("api"))
    assert one.images({"api": OLD}) == {API.ref: info(OLD)}
    assert one.layers(API.ref) is None
    assert engine.of_layers == []


def test_an_image_that_is_not_there_has_no_layers() -> None:
    one = written(Engine(), API)
    assert one.images({}) == {API.ref: None}
    assert one.layers(API.ref) is None
    assert one.layers("app-other:prod") is None


def test_the_images_come_before_their_layers() -> None:
    engine, gate = Engine(api=NEW), threading.Event()

    def slow(ref: str) -> tuple[LayerRecord, ...]:
        assert gate.wait(5)
        return engine.layers(ref)

    layers: Callable[[str], tuple[LayerRecord, ...]] = slow
    one = Written([API], {}, engine.ask, layers)
    assert one.images({"api": NEW}) == {API.ref: info(NEW)}
    assert engine.of_layers == []
    gate.set()
    assert one.layers(API.ref) == LAYERS
