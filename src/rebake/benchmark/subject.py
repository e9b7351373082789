"""What all subjects have in common: one sample's facts, and looking into what came out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rebake.benchmark.copies import Copy
from rebake.benchmark.edits import LABEL, expected
from rebake.benchmark.layout import Layout
from rebake.benchmark.made import LABEL_RUN, Made
from rebake.engine.endpoint import Endpoint
from rebake.engine.ping import ping
from rebake.errors import BuildFailed, EngineLost, RebakeError
from rebake.process import Outcome, run
from rebake.redact import Redactor
from rebake.results import Manager

_LOOK_TIMEOUT_S = 120.0
_UI_FOLDER = "/srv/www"
EXIT_NO_ENGINE = 69


@dataclass(frozen=True)
class Site:
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


@dataclass(frozen=True)
class Sample:
    """One build, timed. `seconds` is the whole command's; see `statistics.Result` for the rest."""

    seconds: float
    cpu_s: float | None = None
    peak_bytes: int | None = None
    steps: int | None = None
    cached_steps: int | None = None
    context_bytes: int | None = None
    export_s: float | None = None
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
    found = []
    for image, texts in expected(copy.layout, copy.sources).items():
        ref = refs.get(image, "")
        config = _config(site.endpoint, ref) if ref else None
        if config is None:
            found.append(f"{image}: no image")
            continue
        label = copy.sources.label
        if label and image != "ui" and (config.get("Labels") or {}).get(LABEL) != label:
            found.append(f"{image}: the label is not there")
        place = _content_of(image, config)
        content = _read(site, ref, place)
        found += [f"{image}: {text} is not in {place}" for text in texts if text not in content]
    return found


def image_ids(endpoint: Endpoint, refs: Sequence[str]) -> dict[str, str]:
    """The id of each image that is there, by name."""
    found = {}
    for ref in refs:
        outcome = run(
            endpoint.command(
                "image", "inspect", "--format", "{{.Id}}", ref, timeout_s=_LOOK_TIMEOUT_S
            )
        )
        if outcome.ok:
            found[ref] = outcome.stdout.strip()
    return found


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


def _config(endpoint: Endpoint, ref: str) -> dict[str, Any] | None:
    words = ("image", "inspect", "--format", "{{json .Config}}", ref)
    outcome = run(endpoint.command(*words, timeout_s=_LOOK_TIMEOUT_S))
    if not outcome.ok:
        return None
    config = json.loads(outcome.stdout)
    return config if isinstance(config, dict) else None


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
