"""Base images: pulled by digest where a registry answers, made here where none does.

`base_image_plan` decides, purely; `ensure` carries it out, all images side by side.
"""

from __future__ import annotations

import json
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from rebake import process
from rebake.engine import recipes
from rebake.engine.base_image_plan import Action, BaseImage, LocalImage, Source, plan, why_reuse
from rebake.engine.endpoint import Endpoint
from rebake.engine.images import inspect
from rebake.errors import CannotRun, CommandFailed
from rebake.results import SCHEMA_VERSION

Say = Callable[[str], None]
_INSPECT_TIMEOUT_S = 15.0
_PULL_TIMEOUT_S = 600.0
_LOAD_TIMEOUT_S = 180.0
_FIRST_PAUSE_S = 1.0
_sleep = time.sleep  # replaced by tests
_TRANSIENT = re.compile(
    r"(\bEOF\b|toomanyrequests|too many requests|\b429\b|"
    r"(status|code|error)[^\n]{0,40}\b5\d\d\b|internal server error|bad gateway|"
    r"service unavailable|gateway time-?out|connection reset)",
    re.IGNORECASE,
)


class BaseImageResult(Struct, frozen=True):
    """One base image as it is now.

    Attributes:
        source: `pulled` or `made` by this run, or `present` before it.
        made: whether it was made on this machine, now or earlier.
    """

    key: str
    ref: str
    source: Literal["pulled", "made", "present"]
    digest: str
    bytes: int
    seconds: float
    made: bool = False

    def document(self) -> dict[str, object]:
        """The part of `base-images --json` for this image."""
        return {
            "key": self.key,
            "ref": self.ref,
            "source": self.source,
            "made_here": self.made,
            "digest": self.digest,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
        }


def survey(endpoint: Endpoint, refs: Sequence[str]) -> dict[str, LocalImage]:
    """Return what the engine has under each reference; absent ones are left out."""
    return {ref: local_image(entry, ref) for ref, entry in inspect(endpoint, refs).items()}


def survey_ahead(endpoint: Endpoint, images: Sequence[BaseImage]) -> Future[dict[str, LocalImage]]:
    """The same as `survey`, while the caller does something else; for `ensure`."""
    pool = ThreadPoolExecutor(max_workers=1)
    asked = pool.submit(survey, endpoint, [image.ref for image in images])
    pool.shutdown(wait=False)
    return asked


def local_image(entry: Mapping[str, Any], ref: str) -> LocalImage:
    """Read one image from the engine's description (`docker image inspect`)."""
    return LocalImage(
        digest=_digest_of(entry, ref),
        bytes=int(entry.get("Size") or 0),
        labels=(entry.get("Config") or {}).get("Labels") or {},
    )


def ensure(
    endpoint: Endpoint,
    images: Sequence[BaseImage],
    *,
    lock_file: Path | None = None,
    source: Source = "auto",
    retries: int = 3,
    say: Say = lambda _line: None,
    ahead: Future[dict[str, LocalImage]] | None = None,
) -> list[BaseImageResult]:
    """See to it that the engine has every base image.

    Args:
        endpoint: the engine.
        images: what is needed.
        lock_file: the project's `base-images.lock.json`, if it has one.
        source: see `plan`.
        retries: how often a pull that broke off is tried again.
        say: told of each step, from several threads.
        ahead: what the engine has, where that was asked before (`survey_ahead`).

    Raises:
        CommandFailed: a pull failed, or a step of making.
        CannotRun: an image can't be made here, and no registry answers.
        TimedOut: making took longer than three minutes.
    """
    started = time.monotonic()
    local = survey(endpoint, [i.ref for i in images]) if ahead is None else ahead.result()
    locked = read_lock(lock_file)
    settled = plan(images, local, locked, {}, source=source, can_make=False)
    # Only what is not settled by what is here needs a look at the network.
    open_images = [
        action.image
        for action in settled
        if action.do != "reuse" or _might_change(action.image, local, locked, source)
    ]
    answers = _probe(endpoint, open_images) if open_images and source != "make" else {}
    actions = plan(images, local, locked, answers, source=source, can_make=can_make_images())
    return carry_out(endpoint, actions, local, retries=retries, say=say, started=started)


def _probe(endpoint: Endpoint, images: Sequence[BaseImage]) -> dict[str, bool]:
    from rebake.engine.registry_probe import probe

    return probe(endpoint, images)


def _might_change(
    image: BaseImage,
    local: Mapping[str, LocalImage],
    locked: Mapping[str, str],
    source: Source,
) -> bool:
    """Tell whether an answering registry would change what is done for this image."""
    here = local.get(image.ref)
    pinned = locked.get(image.ref, "")
    return here is None or not why_reuse(
        image, here, pinned, source=source, may_pull=True, may_make=True
    )


def carry_out(
    endpoint: Endpoint,
    actions: Sequence[Action],
    local: Mapping[str, LocalImage],
    *,
    retries: int = 3,
    say: Say = lambda _line: None,
    started: float | None = None,
) -> list[BaseImageResult]:
    """Carry out a plan, all images side by side; see `ensure` for what it raises."""
    before = time.monotonic() if started is None else started
    if all(action.do == "reuse" for action in actions):
        # Nearly always: then nothing that makes images is even imported.
        return [_result(action, local[action.image.ref], {}) for action in actions]
    from rebake.engine import make_image, privilege

    workshop = (
        make_image.open_workshop(privilege.find(), say)
        if any(action.do == "make" for action in actions)
        else None
    )
    voice = _serial(say)
    seconds: dict[str, float] = {}

    def work(action: Action) -> None:
        if action.do == "pull":
            pull(endpoint, action, retries=retries, say=voice)
        elif action.do == "make" and workshop is not None:
            recipe = recipes.recipe_for(action.image.ref)
            if recipe is None:
                raise CannotRun(f"there is no recipe to make {action.image.ref}")
            make_image.make(action.image.ref, recipe, workshop, lambda f: load(endpoint, f), voice)
        seconds[action.image.ref] = time.monotonic() - before
        if action.do != "reuse":
            voice(f"{action.image.ref}: ready after {seconds[action.image.ref]:.1f} s")

    with ThreadPoolExecutor(max_workers=max(1, len(actions))) as pool:
        futures = [pool.submit(work, action) for action in actions]
        errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error
    changed = [action.image.ref for action in actions if action.do != "reuse"]
    now = {**local, **survey(endpoint, changed)}
    return [_result(action, now[action.image.ref], seconds) for action in actions]


def pull(endpoint: Endpoint, action: Action, *, retries: int, say: Say) -> None:
    """Pull one image by digest and give it its name.

    Raises:
        CommandFailed: it failed; what may pass by itself was tried again first.
    """
    ref = action.image.ref
    parsed = recipes.parse_reference(ref)
    digest = action.digest or parsed.digest or resolve(endpoint, ref, retries=retries, say=say)
    name = f"{parsed.registry}/{parsed.repository}@{digest}"
    say(f"{ref}: pulling {digest[:19]}")
    _with_retries(endpoint, ("pull", "--quiet", name), ref, retries, say)
    process.run(endpoint.command("tag", name, parsed.full, timeout_s=_INSPECT_TIMEOUT_S)).check()


def resolve(endpoint: Endpoint, ref: str, *, retries: int = 3, say: Say) -> str:
    """Ask the registry for a reference's digest.

    Raises:
        CommandFailed: it does not tell.
    """
    words = ("buildx", "imagetools", "inspect", ref, "--format", "{{json .Manifest}}")
    outcome = _with_retries(endpoint, words, ref, retries, say)
    try:
        return str(json.loads(outcome.stdout)["digest"])
    except (ValueError, KeyError, TypeError):
        raise CommandFailed(
            outcome.argv, outcome.returncode, ("the answer names no digest",)
        ) from None


def is_transient(text: str) -> bool:
    """Tell whether a pull's error may pass by itself: broken off, 5xx, 429."""
    return _TRANSIENT.search(text) is not None


def load(endpoint: Endpoint, archive: Path) -> None:
    """Hand an image archive to the engine.

    Raises:
        CommandFailed: it does not take it.
    """
    command = endpoint.command("load", "--quiet", "--input", archive, timeout_s=_LOAD_TIMEOUT_S)
    process.run(command).check()


def can_make_images() -> bool:
    """Tell whether this machine can make base images."""
    from rebake.engine import apt_sources

    return sys.platform == "linux" and apt_sources.read_system().debian_like


def read_lock(file: Path | None) -> dict[str, str]:
    """Read the digests that the project pins; empty when there is no (readable) file."""
    if file is None:
        return {}
    try:
        images = json.loads(file.read_text(encoding="utf-8"))["images"]
        return {str(ref): str(digest) for ref, digest in images.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def write_lock(file: Path, digests: Mapping[str, str]) -> None:
    """Write the digests that the project pins."""
    document = {"schema_version": SCHEMA_VERSION, "images": dict(sorted(digests.items()))}
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    temporary.replace(file)


def document(results: Sequence[BaseImageResult], seconds: float) -> dict[str, object]:
    """The `--json` document of `base-images`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "base_images": [result.document() for result in results],
        "seconds": round(seconds, 3),
    }


def _with_retries(
    endpoint: Endpoint, words: Sequence[str], ref: str, retries: int, say: Say
) -> process.Outcome:
    command = replace(endpoint.command(*words), timeout_s=_PULL_TIMEOUT_S, what=f"pulling {ref}")
    for attempt in range(retries + 1):
        outcome = process.run(command)
        if outcome.ok or attempt == retries or not is_transient(outcome.stderr):
            break
        pause = _FIRST_PAUSE_S * 2**attempt * random.uniform(0.8, 1.2)  # noqa: S311
        say(f"{ref}: broken off, trying again in {pause:.0f} s")
        _sleep(pause)
    return outcome.check("check that this machine reaches the registry: invoke base-images")


def _digest_of(entry: Mapping[str, object], ref: str) -> str:
    repository = recipes.parse_reference(ref).repository.removeprefix("library/")
    digests = entry.get("RepoDigests")
    for name in digests if isinstance(digests, list) else ():
        place, _, digest = str(name).partition("@")
        if place.endswith(repository) and digest:
            return digest
    return str(entry.get("Id") or "")


def _result(action: Action, image: LocalImage, seconds: Mapping[str, float]) -> BaseImageResult:
    sources: dict[str, Literal["pulled", "made", "present"]] = {
        "pull": "pulled",
        "make": "made",
        "reuse": "present",
    }
    return BaseImageResult(
        key=action.image.key,
        ref=action.image.ref,
        source=sources[action.do],
        digest=image.digest,
        bytes=image.bytes,
        seconds=seconds.get(action.image.ref, 0.0),
        made=bool(image.recipe),
    )


def _serial(say: Say) -> Callable[[str], None]:
    lock = threading.Lock()

    def speak(line: str) -> None:
        with lock:
            say(line)

    return speak


__all__ = [
    "Action",
    "BaseImage",
    "BaseImageResult",
    "LocalImage",
    "Source",
    "can_make_images",
    "carry_out",
    "document",
    "ensure",
    "is_transient",
    "load",
    "local_image",
    "plan",
    "pull",
    "read_lock",
    "resolve",
    "survey",
    "write_lock",
]
