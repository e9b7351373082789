"""Lists of what production images are made of, as the task makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rebake.errors import ProjectError, UnknownName
from rebake.project.lockfiles import BUN, CARGO, parse_lock
from rebake.results import SCHEMA_VERSION
from rebake.tasks.session import Session
from rebake.tasks.signed_images import BuiltImage, own_images

if TYPE_CHECKING:
    from rebake.sign.parts import Part

_UI_SERVER = "web"  # the binary that the image of the UI is built on


def formats_of(text: str) -> tuple[str, ...]:
    """The formats of `--format`; all of them when it is empty.

    Raises:
        UnknownName: there is no such format.
    """
    from rebake.sign.sbom import FORMATS

    names = [name.strip() for name in text.split(",") if name.strip()] or list(FORMATS)
    for name in names:
        if name not in FORMATS:
            raise UnknownName("format", name, list(FORMATS))
    return tuple(dict.fromkeys(names))


def sbom(session: Session, services: Sequence[str], form: str, to: str) -> dict[str, object]:
    """Write the lists of services' images.

    Raises:
        UnknownName: there is no such format.
        UsageError: an image is not there, or not the last build's.
        ProjectError: a lock file is another than the image was built from.
    """
    from rebake.engine.saved_image import saved
    from rebake.sign.sbom import FORMATS, Contents, file_of
    from rebake.tasks.sign_flow import folder

    forms = formats_of(form)
    place = Path(to).expanduser() if to else folder(session)
    if session.dry_run:
        from rebake.tasks.wiring import shown

        refs = [f"{session.project.compose_name('prod')}-{service}:prod" for service in services]
        words = ("docker", "image", "save", "--output", "image.tar")
        return session.show_commands([shown({}, *words, ref) for ref in refs])
    images: dict[str, object] = {}
    for built in own_images(session, services, inputs=True):
        image = built.image
        parts = parts_of(session, built)
        with saved(session.detected.endpoint, image.ref) as archive:
            files = archive.files()
        contents = Contents(
            image.name,
            image.digest,
            built.record.started_at,
            parts,
            files,
            built.record.base_images,
        )
        written: dict[str, str] = {}
        place.mkdir(parents=True, exist_ok=True)
        for name in forms:
            file = file_of(place, image.service, name)
            file.write_text(FORMATS[name][1](contents), encoding="utf-8")
            written[name] = str(file)
            session.say(f"wrote {file}: {len(parts)} packages, {len(files)} files")
        images[image.service] = {
            "ref": image.ref,
            "digest": image.digest,
            "packages": len(parts),
            "files": len(files),
            "written": written,
        }
    return {"schema_version": SCHEMA_VERSION, "images": images}


def parts_of(session: Session, built: BuiltImage) -> tuple[Part, ...]:
    """The packages of an image, by the lock files that it was built from.

    Raises:
        ProjectError: a lock file is not that one any more.
    """
    from rebake.sign.parts import bun_packages, crates, npm_packages

    project = session.project
    service = built.image.service
    found: list[Part] = []
    if service == "ui":
        lock = project.ui_lock_file
        text = _as_built(built, lock, "ui")
        if lock.name == BUN:
            found += bun_packages(parse_lock(BUN, text) or ())
        else:
            found += npm_packages(text)
    name = _UI_SERVER if service == "ui" else service
    binary = project.workspace.binary(name)
    alone = service == "ui" and project.config.ui.runtime == "own"
    if binary is not None and not alone:
        text = _as_built(built, project.backend / CARGO, "backend")
        found += crates(parse_lock(CARGO, text) or (), binary.package)
    return tuple(found)


def _as_built(built: BuiltImage, file: Path, half: str) -> str:
    """The text of a lock file, when it is the one of the build."""
    content = file.read_bytes()
    known = {one.path: one.sha256 for one in built.record.inputs.get(half, ())}
    if known.get(file.name) != hashlib.sha256(content).hexdigest():
        raise ProjectError(
            file,
            f"is not the one that {built.image.ref} was built from",
            f"invoke build {built.image.service}",
        )
    return content.decode("utf-8")
