"""Whether the images that are signed or verified come with what `sign.attestations` asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

from msgspec.structs import replace

from rebake.engine.saved_image import Attested, saved
from rebake.errors import NotAttested
from rebake.sign import sbom
from rebake.sign.attestations import PROVENANCE, Lack, lacks
from rebake.sign.signatures import Verdict, folder_of
from rebake.sign.statement import Refusal
from rebake.tasks.session import Session
from rebake.tasks.signed_images import BuiltImage

Reader = Callable[[str], Attested]


def reader(session: Session) -> Reader:
    """Return what reads all that is attached to an image, by its name, once for each.

    The engine saves the image for that, which takes a while. It raises CommandFailed where the
    engine does not have it.
    """
    return cache(partial(_attested, session))


def _attested(session: Session, ref: str) -> Attested:
    with saved(session.detected.endpoint, ref) as image:
        return image.attested()


def require(session: Session, images: Sequence[BuiltImage]) -> None:
    """See that images come with what is asked for, before they are signed.

    Raises:
        NotAttested: one does not; all that is lacking is told.
    """
    found: list[tuple[str, Lack]] = []
    read = reader(session)
    place = folder_of(session.project)
    for one in images:
        image = one.image
        listed = sbom.listed(place, {image.digest})
        found += [(image.ref, lack) for lack in _lacks(session, read, image.ref, listed=listed)]
    if found:
        steps = "; ".join(dict.fromkeys(lack.fix for _, lack in found))
        raise NotAttested([f"{ref} {lack.words}" for ref, lack in found], steps)


def judge(session: Session, verdict: Verdict, read: Reader) -> Verdict:
    """The same verdict, or a refusal where the image comes without what is asked for.

    The list of parts is one that was signed: it need not be on the machine that verifies.
    """
    if verdict.statement is None or verdict.refusal is not None:
        return verdict
    listed = bool(verdict.statement.sboms)
    words = [lack.words for lack in _lacks(session, read, verdict.image.ref, listed=listed)]
    if not words:
        return verdict
    return replace(verdict, refusal=Refusal("unattested", ", and ".join(words)))


def _lacks(session: Session, read: Reader, ref: str, *, listed: bool) -> Sequence[Lack]:
    required = session.project.config.sign.attestations
    if not required:
        return ()
    if PROVENANCE not in required and listed:  # nothing that is attached is asked for
        return ()
    return list(lacks(required, read(ref), listed=listed))
