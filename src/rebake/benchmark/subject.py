"""What all subjects have in common: one sample's facts, and looking into what came out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct, field

from rebake.benchmark.copies import Copy
from rebake.benchmark.edits import LABEL, expected
from rebake.benchmark.layout import Layout
from rebake.benchmark.made import LABEL_RUN, Made
from rebake.engine.endpoint import Endpoint
from rebake.engine.images import inspect
from rebake.engine.ping import ping
from rebake.errors import BuildFailed, EngineLost, RebakeError
from rebake.process import Outcome, run, stopping_children
from rebake.redact import Redactor
from rebake.results import Manager

_LOOK_TIMEOUT_S = 120.0
_AT_ONCE = 4
_UI_FOLDER = "/srv/www"
EXIT_NO_ENGINE = 69


class Site(Struct, frozen=True):
    """What all subjects of one run are given alike.

    Attributes:
        made: keeps track of what is made.
        project: the folder that the copies are made from.
        files: what of it is copied.
        host_settings: the folder with the host's settings.
        runtime_image: what the other recipes' images stand on.
        ui_manager: what installs the UI's packages; npm comes from `node_image`.
        local: whether the engine's work is seen in this machine's numbers.
    """

    made: Made
    endpoint: Endpoint
    layout: Layout
    project: Path
    files: Sequence[str]
    host_settings: Path
    rust_image: str
    bun_image: str
    runtime_image: str
    local: bool
    proxies: Mapping[str, str] = field(default_factory=dict)
    ui_manager: Manager = "bun"
    node_image: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """All that the subjects' images stand on, each once."""
        npm = (self.node_image,) if self.ui_manager == "npm" else ()
        return tuple(dict.fromkeys((self.rust_image, self.bun_image, *npm, self.runtime_image)))

    @property
    def run(self) -> str:
        """The run's name."""
        return self.made.run


class Sample(Struct, frozen=True):
    """One build, timed. `seconds` is the whole command's; see `statistics.Result` for the rest."""

    seconds: float
    cpu_s: float | None = None
    peak_bytes: int | None = None
    steps: int | None = None
    cached_steps: int | None = None
    context_bytes: int | None = None
    export_s: float | None = None
    background_s: float = 0.0
    image_bytes: Mapping[str, int] = field(default_factory=dict)


class Subject(Protocol):
    """One way to build a project."""

    name: str
    copy: Copy

    def make_cold(self) -> None:
        """Leave the next build nothing but the base images."""

    def lose_mounts(self) -> None:
        """Remove this subject's cache mounts; layers stay."""

    def build(self, edit: str) -> Sample:
        """Build everything, timed, after an edit of this kind."""

    def faults(self) -> list[str]:
        """Say what of the last build does not hold what the sources say."""


def engine_answers(endpoint: Endpoint) -> bool:
    """Whether the engine still answers; one that can't be asked without the client counts."""
    if not endpoint.docker_host.startswith(("unix://", "npipe://")):
        return True
    return ping(endpoint.docker_host) is not None


def failure(endpoint: Endpoint, what: str, outcome: Outcome, tail: Sequence[str]) -> RebakeError:
    """The error of a build that ended badly; the engine's fault is told from the build's."""
    if outcome.returncode == EXIT_NO_ENGINE or not engine_answers(endpoint):
        return EngineLost(f"the engine went away during {what}")
    redactor = Redactor.from_environment()
    return BuildFailed(what, [redactor.text(line) for line in tail], f"exit {outcome.returncode}")


def image_faults(site: Site, copy: Copy, refs: Mapping[str, str]) -> list[str]:
    """Look into the images: does each hold the texts that the sources have?

    Args:
        site: the engine.
        copy: the sources.
        refs: the images' names, by service.
    """
    texts = expected(copy.layout, copy.sources)
    entries = inspect(site.endpoint, [refs[image] for image in texts if image in refs])

    def look(image: str) -> list[str]:
        ref = refs.get(image, "")
        if ref not in entries:
            return [f"{image}: no image"]
        config = entries[ref].get("Config") or {}
        faults = []
        label = copy.sources.label
        if label and image != "ui" and (config.get("Labels") or {}).get(LABEL) != label:
            faults.append(f"{image}: the label is not there")
        place = _content_of(image, config)
        content = _read(site, ref, place)
        lost = [text for text in texts[image] if text not in content]
        return [*faults, *(f"{image}: {text} is not in {place}" for text in lost)]

    # Side by side: what is read is small, and most of the time goes by in the engine.
    with (
        ThreadPoolExecutor(max_workers=_AT_ONCE) as pool,
        stopping_children(
            "looking into the images", lambda: pool.shutdown(wait=False, cancel_futures=True)
        ),
    ):
        return [fault for faults in pool.map(look, texts) for fault in faults]


def image_ids(endpoint: Endpoint, refs: Sequence[str]) -> dict[str, str]:
    """The id of each image that is there, by name."""
    return {ref: str(entry.get("Id") or "") for ref, entry in inspect(endpoint, refs).items()}


def search_folder(folder: Path) -> Content:
    """Everything that lies in a folder (or in one file), to search in."""
    files = [folder] if folder.is_file() else [p for p in folder.rglob("*") if p.is_file()]
    return Content([file.read_bytes() for file in files])


class Content:
    """The bytes of some files."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts

    def __contains__(self, text: str) -> bool:
        return any(text.encode() in part for part in self._parts)


def _content_of(image: str, config: Mapping[str, Any]) -> str:
    """Where the binary (or the UI's files) of an image is."""
    if image == "ui":
        variables = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
        return str(variables.get("WEB_ROOT", _UI_FOLDER))
    command = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    return str(command[0]) if command else "/bin/service"


def _read(site: Site, ref: str, place: str) -> Content:
    label = f"{LABEL_RUN}={site.run}"
    endpoint = site.endpoint
    words = ("create", "--pull", "never", "--label", label, ref)
    container = run(endpoint.command(*words, timeout_s=_LOOK_TIMEOUT_S)).check().stdout.strip()
    with tempfile.TemporaryDirectory(prefix="rebake-", dir=site.made.folder) as folder:
        target = Path(folder) / "content"
        copied = run(
            endpoint.command(
                "cp", "--follow-link", f"{container}:{place}", target, timeout_s=_LOOK_TIMEOUT_S
            )
        )
        run(endpoint.command("rm", "--force", container, timeout_s=_LOOK_TIMEOUT_S))
        return search_folder(target) if copied.ok else Content([])
