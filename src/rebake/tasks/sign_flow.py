"""Signing and verifying, as the tasks do it: which images, which key, what is told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from rebake.errors import NotVerified, UsageError
from rebake.results import SCHEMA_VERSION
from rebake.sign import cosign, keys, signatures
from rebake.sign import sbom as parts
from rebake.sign.signatures import Verdict
from rebake.sign.statement import Refusal, Statement
from rebake.tasks import attested_images
from rebake.tasks.session import Session
from rebake.tasks.signed_images import image_of, own_images


def sign(session: Session, services: Sequence[str], *, make_key: bool) -> dict[str, object]:
    """Sign the images of services; with `make_key`, make the keys first.

    Raises:
        UsageError: there is no key, no password, or no image that a build here made.
        NotAttested: an image comes without what `sign.attestations` asks for.
        CommandFailed: cosign could not.
    """
    keyless = session.project.config.sign.method == "keyless"
    if make_key and keyless:
        raise UsageError('sign.method is "keyless": there is no key to make')
    key = None if keyless else private_key(session)
    if make_key and key is not None:
        keys.require_place(key, session.project.root)
    if session.dry_run:
        return session.show_commands(_sign_commands(session, services, make_key=make_key))
    made: Path | None = None
    if key is not None and not make_key:
        keys.require_private(key)
        # What can't be signed is told before a password is asked for.
        attested_images.require(session, own_images(session, services))
    program = cosign.find(session.say)
    password = None if key is None else _password(session, again=make_key)
    if key is not None and make_key:
        made = keys.make(program, key, session.project.root, password or "")
        session.say(f"made {key}; {made} is for those who verify, and no secret")
    own = own_images(session, services)
    if make_key or key is None:
        attested_images.require(session, own)
    images = [built.image for built in own]
    document: dict[str, object] = {"schema_version": SCHEMA_VERSION}
    for image in images:
        sboms = parts.digests(folder(session), image.service, image.digest)
        statement = Statement(image.name, image.digest, image.build_id, sboms)
        file = signatures.file_of(folder(session), image.service)
        signatures.sign(program, statement, file, key=key, trust=trust(session), password=password)
        session.say(f"signed {image.ref}, {image.digest}")
    document["images"] = {
        image.service: {
            "ref": image.ref,
            "digest": image.digest,
            "build_id": image.build_id,
            "signature": str(signatures.file_of(folder(session), image.service)),
        }
        for image in images
    }
    if made is not None:
        document["key"], document["public_key"] = str(key), str(made)
    return document


def verify(session: Session, services: Sequence[str], ref: str = "") -> dict[str, object]:
    """Check the images of services and tell what was found.

    Args:
        session: the task's.
        services: their names.
        ref: another name of the image of the one service; empty for the one that builds give it.

    Raises:
        UsageError: an image is not there, or one name was given for several services.
        NotVerified: one is refused; everything that was found was told.
    """
    if ref and len(services) != 1:
        raise UsageError("--image is for one service", "invoke verify SERVICE --image NAME")
    if session.dry_run:
        return session.show_commands(shown_checks(session, services))
    read = attested_images.reader(session)
    verdicts = check(session, services, ref, read)
    document: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "images": {
            one.image.service: one.document() | _provenance(session, one, read) for one in verdicts
        },
    }
    refused = refusals(verdicts)
    if refused and session.as_json:
        from rebake.report.json import write_document

        write_document(document)
    if not session.as_json:
        for one in verdicts:
            if one.refusal is None:
                session.reporter.result(f"{one.image.ref} is verified: {one.image.digest}")
    if refused:
        raise NotVerified(refused)
    return document


def shown_checks(session: Session, services: Sequence[str]) -> list[Sequence[str]]:
    """The checks as a person would type them, for --dry-run."""
    trusted, place = trust(session), folder(session)
    return [
        cosign.verify_words(signatures.file_of(place, service), "DIGEST", trusted)
        for service in services
    ]


def _provenance(
    session: Session, verdict: Verdict, read: attested_images.Reader
) -> dict[str, object]:
    """What the builder said of how an image was made, for `--json`: saving an image takes a while.

    Of an image that is not verified nothing is told: anyone may have written it.
    """
    if not session.as_json or verdict.refusal is not None:
        return {}
    from rebake.sign.attestations import about
    from rebake.sign.provenance import summary

    return {"provenance": summary(about(read(verdict.image.ref)))}


def require(session: Session, services: Sequence[str]) -> dict[str, str]:
    """Return the digest of each service's verified image; nothing else may be started.

    Raises:
        NotVerified: one is refused.
    """
    verdicts = check(session, services)
    if refused := refusals(verdicts):
        raise NotVerified(refused)
    return {one.image.service: one.image.digest for one in verdicts}


def check(
    session: Session,
    services: Sequence[str],
    ref: str = "",
    read: attested_images.Reader | None = None,
) -> list[Verdict]:
    """Check the images of services.

    Args:
        session: the task's.
        services: their names.
        ref: another name of the image of the only one.
        read: reads what is attached to an image; one of its own where there is none.

    Raises:
        UsageError: an image or the public key is not there.
    """
    require_public_key(session)
    images = [image_of(session, service, ref) for service in services]
    program = cosign.find(session.say)
    found = signatures.verify(program, images, folder(session), trust(session))
    checked = [_with_sboms(session, one) for one in found]
    read = read or attested_images.reader(session)
    return [attested_images.judge(session, one, read) for one in checked]


def _with_sboms(session: Session, verdict: Verdict) -> Verdict:
    """The same verdict, or a refusal where a list of parts is not the one that was signed."""
    statement = verdict.statement
    if statement is None or verdict.refusal is not None:
        return verdict
    place = folder(session)
    for name in parts.changed(place, verdict.image.service, statement.sboms):
        words = f"was signed with a list of its parts, and {name} is not that one"
        return replace(verdict, refusal=Refusal("sbom", words))
    return verdict


def require_public_key(session: Session) -> None:
    """See that the key is there that signatures are checked with, before anything is done.

    Raises:
        UsageError: it is not there, or none.
    """
    if (public := trust(session).public_key) is not None:
        keys.read_public(public)


def refusals(verdicts: Sequence[Verdict]) -> list[str]:
    """What stands against the images, a sentence each."""
    return [f"{one.image.ref} {one.refusal.words}" for one in verdicts if one.refusal is not None]


def private_key(session: Session) -> Path:
    """The file of the private key: the configured one, or one in the user's data folder."""
    import platformdirs

    project = session.project
    if project.config.sign.key:
        return project.root / Path(project.config.sign.key).expanduser()
    return platformdirs.user_data_path("rebake") / "keys" / f"{project.slug}.key"


def trust(session: Session) -> cosign.Trust:
    """Whose signatures count, by the configuration."""
    table = session.project.config.sign
    if table.method == "keyless":
        return cosign.Trust(None, table.identity, table.issuer)
    if table.public_key:
        return cosign.Trust(session.project.root / Path(table.public_key).expanduser())
    return cosign.Trust(keys.public_of(private_key(session)))


def folder(session: Session) -> Path:
    """The folder of the signatures."""
    return signatures.folder_of(session.project)


def _password(session: Session, *, again: bool) -> str:
    """The key's password; asked for where a person sits, twice for a new key."""
    from rebake.redact import learn

    password = os.environ.get(keys.PASSWORD)
    file = session.project.config.sign.password_file
    if password is None and file:
        path = session.project.root / Path(file).expanduser()
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    if password is None:
        from rebake.report.prompt import ask_secret

        password = ask_secret("password of the key", again=again)
    if password is None:
        raise UsageError(
            "the key's password is not known",
            f"set {keys.PASSWORD}, or name a file that holds it: sign.password_file",
        )
    if again and not password:
        raise UsageError("a key without a password is for everyone who can read its file")
    learn([password])
    return password


def _sign_commands(
    session: Session, services: Sequence[str], *, make_key: bool
) -> list[Sequence[str]]:
    key = None if session.project.config.sign.method == "keyless" else private_key(session)
    statement, signing, trusted = (Path(f"{n}.json") for n in ("statement", "signing", "trusted"))
    commands: list[Sequence[str]] = []
    if key is not None and make_key:
        commands.append(cosign.key_words(key.with_suffix("")))
    if key is not None:
        commands += cosign.service_words(signing, trusted)
    for service in services:
        bundle = signatures.file_of(folder(session), service)
        commands.append(cosign.sign_words(statement, bundle, key, signing, trusted))
    return commands
