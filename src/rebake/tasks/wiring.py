"""Connects tasks with the engine's floor: which engine, which base images, what runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rebake.build.plan import BuildPlan, bake_words
from rebake.errors import NoEngine, UsageError
from rebake.tasks.session import Session

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rebake.engine.base_image_plan import LocalImage
    from rebake.engine.base_images import BaseImage, BaseImageResult
    from rebake.engine.detect import Detected
    from rebake.engine.endpoint import Endpoint

LOCK_FILE = "base-images.lock.json"


def find_engine(session: Session) -> Detected:
    """Find the engine to use; where there is none on Linux, set up the private one.

    Raises:
        NoEngine: there is none, and installing one is up to the user.
        CannotRun: an engine of ours can't run here.
    """
    from rebake.engine import detect

    kind = session.project.config.engine.kind
    if kind != "private":
        try:
            return detect.detect()
        except NoEngine as error:
            if kind == "system" or error.found_unusable:
                raise
    from rebake.engine import private

    limit_s = session.project.config.engine.start_timeout_s
    return detect.examine(private.start(say=session.say, limit_s=limit_s))


def engine_if_running(session: Session) -> Endpoint | None:
    """The engine when one answers now; nothing is started."""
    from rebake.engine import detect

    if "detected" in session.__dict__:
        return session.detected.endpoint
    try:
        found = detect.detect(remember=not session.dry_run)
        session.__dict__["detected"] = found
    except NoEngine:
        return None
    return found.endpoint


def base_images(session: Session) -> list[BaseImage]:
    """The base images that the project's Dockerfiles start from."""
    from rebake.engine.base_images import BaseImage

    return [BaseImage(key, ref) for key, ref in session.project.base_images.items()]


def ensure_base_images(session: Session) -> dict[str, str]:
    """See to it that the engine has the base images; return their digests by reference."""
    return {result.ref: result.digest for result in fetch_base_images(session)}


def ask_base_images(session: Session) -> Future[dict[str, LocalImage]]:
    """Ask which base images the engine has, while the caller does something else."""
    from rebake.engine import base_images as room

    return room.survey_ahead(session.detected.endpoint, base_images(session))


def fetch_base_images(
    session: Session, ahead: Future[dict[str, LocalImage]] | None = None
) -> list[BaseImageResult]:
    """All base images, pulled or made where they are missing; `ahead` is of `ask_base_images`."""
    from rebake.engine import base_images as room

    config = session.project.config
    return room.ensure(
        session.detected.endpoint,
        base_images(session),
        lock_file=lock_file(session),
        source=config.base_images.source,
        retries=config.base_images.retries,
        say=session.say,
        ahead=ahead,
    )


def lock_file(session: Session) -> Path:
    """The file with the digests that base images are pulled by; it is meant to be committed."""
    return session.project.bake_file.parent / LOCK_FILE


def pin_base_images(session: Session, results: Sequence[BaseImageResult]) -> None:
    """Write down the digests that a registry gave; an image that was made here has none.

    Raises:
        UsageError: all of them were made here.
    """
    from rebake.engine import base_images as room

    pulled = {result.ref: result.digest for result in results if not result.made}
    if not pulled:
        raise UsageError(
            "all base images were made on this machine: there is no registry's digest to pin",
            "invoke base-images --pin, on a machine that reaches the registry",
        )
    file = lock_file(session)
    room.write_lock(file, {**room.read_lock(file), **pulled})
    session.say(f"wrote {file}: commit it")


def data_folder(session: Session) -> Path | None:
    """Where the engine keeps its data, when that is a folder of this machine."""
    from rebake.engine.home import Home

    endpoint = session.detected.endpoint
    if endpoint.kind == "private":
        return Home.default().folder
    if not endpoint.docker_host.startswith("unix://"):
        return None
    from rebake.engine import api

    answer = api.ask(endpoint.docker_host, "/info")
    document = answer.document if answer is not None and answer.ok else {}
    folder = Path(str(document.get("DockerRootDir") or ""))
    return folder if folder.is_absolute() and folder.is_dir() else None


def published_ports(session: Session, name: str) -> dict[str, int]:
    """The ports of this machine that a stack's containers hold, by service."""
    from rebake.engine.client import containers_light

    return {
        container.service: port.host_port
        for container in containers_light(session.detected.endpoint, name)
        for port in container.ports
        if container.service and port.host_port
    }


def stack_exists(session: Session, name: str, *, volumes: bool) -> bool:
    """Whether there is anything of a stack to stop, or a volume to delete."""
    from rebake.engine.client import containers_light

    if containers_light(session.detected.endpoint, name):
        return True
    return volumes and bool(session.client.volumes(f"com.docker.compose.project={name}"))


def shown_bake(plan: BuildPlan) -> Sequence[str]:
    """The command of a build as a person would type it, for --dry-run."""
    return shown(plan.all_variables, "docker", *bake_words(plan, Path("metadata.json")))


def shown_layer(session: Session) -> list[Sequence[str]]:
    """The command that makes the dependency layer, where there shall be one, for --dry-run."""
    from rebake.build.plan import dependency_words
    from rebake.tasks.image_flow import plan_images

    config = session.project.config
    if not config.build.dependency_layer:
        return []
    plan = plan_images(session, "prod", config.backend.services)
    return [shown(plan.all_variables, "docker", *dependency_words(plan))]


def shown_pulls(session: Session) -> list[Sequence[str]]:
    """The pulls of the base images as a person would type them, for --dry-run."""
    from rebake.engine import base_images as room

    locked = room.read_lock(lock_file(session))
    return [
        ("docker", "pull", image.ref + (f"@{locked[image.ref]}" if image.ref in locked else ""))
        for image in base_images(session)
    ]


def shown(variables: Mapping[str, str | None], *words: str) -> Sequence[str]:
    """A command with its variables as a person would type it, for --dry-run."""
    given = [f"{name}={value}" for name, value in sorted(variables.items()) if value is not None]
    return ("env", *given, *words) if given else words
