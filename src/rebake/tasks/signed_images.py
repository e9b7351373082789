"""Which images signatures and lists of parts are about: what the last good build here made."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from rebake.build.gate import LABEL
from rebake.errors import UsageError
from rebake.history.records import BuildRecord
from rebake.sign.signatures import Image
from rebake.tasks.session import Session


class BuiltImage(Struct, frozen=True):
    """An image and the record of the build that made it, with the files it was made from."""

    image: Image
    record: BuildRecord


def image_of(session: Session, service: str, ref: str = "") -> Image:
    """The production image of a service, as the engine has it; `ref` is another name of it.

    Raises:
        UsageError: there is none.
    """
    from rebake.engine.images import Images

    project = session.project
    given, ref = ref, ref or f"{project.compose_name('prod')}-{service}:prod"
    if ref.startswith("-"):
        raise UsageError(f"{ref} is no name of an image")
    found = Images(session.detected.endpoint).image(ref)
    if found is None and given:
        raise UsageError(f"there is no image {ref} in the engine", f"docker pull {ref}")
    if found is None:
        raise UsageError(f"there is no image of {service}", f"invoke build {service}")
    name = f"{project.slug}/{service}"
    return Image(service, name, ref, found.id, found.labels.get(LABEL, ""))


def own_images(
    session: Session, services: Sequence[str], *, inputs: bool = False
) -> list[BuiltImage]:
    """The images of services, all of them made by the last good build of this folder.

    Args:
        session: the task's.
        services: their names.
        inputs: read the lists of files too.

    Raises:
        UsageError: one is not there, or something else made it.
    """
    from rebake.history.store import History
    from rebake.tasks.image_flow import history_file

    found = []
    with History(history_file(), on_note=session.say) as store:
        for image in [image_of(session, service) for service in services]:
            last = store.last(
                session.project.cache_id, "prod", image.service, outcome="done", ref=image.ref
            )
            record = last.image(image.service) if last is not None else None
            if last is None or record is None or record.digest != image.digest:
                raise UsageError(
                    f"{image.ref} is not what the last build here made",
                    f"invoke build {image.service}",
                )
            whole = store.build(last.id) if inputs else None
            found.append(BuiltImage(image, (whole or last).record))
    return found
