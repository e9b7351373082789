"""Signs images and checks their signatures. One file an image, kept beside no registry."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from rebake import process
from rebake.errors import CommandFailed
from rebake.sign import cosign, keys
from rebake.sign.cosign import Trust
from rebake.sign.statement import Bundle, Reason, Refusal, Statement, read_bundle, refuse

if TYPE_CHECKING:
    from rebake.project.project import Project


class Image(Struct, frozen=True):
    """An image that is to be signed or checked.

    Attributes:
        name: project and service, as the signature names it.
        ref: the engine's name for it.
        digest: the engine's id of it: the digest of its manifest, or of its settings in an engine
            without the containerd image store. All of its bytes follow from either.
        build_id: what its label says.
    """

    service: str
    name: str
    ref: str
    digest: str
    build_id: str


class Verdict(Struct, frozen=True):
    """What the check of one image found; `statement` is what was verified."""

    image: Image
    statement: Statement | None
    refusal: Refusal | None

    def document(self) -> dict[str, object]:
        """The part of `--json` for this image."""
        found: dict[str, object] = {
            "ref": self.image.ref,
            "digest": self.image.digest,
            "verified": self.refusal is None,
        }
        if self.statement is not None:
            found["signed"] = {
                "name": self.statement.name,
                "build_id": self.statement.build_id,
                "sboms": dict(self.statement.sboms),
            }
        if self.refusal is not None:
            found |= {"reason": self.refusal.reason, "message": self.refusal.words}
        return found


def folder_of(project: Project) -> Path:
    """The folder of a project's signatures and lists of parts."""
    configured = project.config.sign.folder
    if configured:
        return project.root / Path(configured).expanduser()
    return project.state / "signatures"


def file_of(folder: Path, service: str) -> Path:
    """The file of a service's signature."""
    return folder / f"{service}.sigstore.json"


def sign(
    program: Path,
    statement: Statement,
    file: Path,
    *,
    key: Path | None,
    trust: Trust,
    password: str | None,
) -> None:
    """Sign a statement; the file is only written when the signature verifies.

    Args:
        program: cosign.
        statement: what is signed.
        file: where the signature goes; one that is there is replaced.
        key: the private key; None to sign without one.
        trust: what the new signature must verify with.
        password: of the key.

    Raises:
        CommandFailed: cosign could not, or what came out does not verify.
    """
    with tempfile.TemporaryDirectory(prefix="rebake-sign-") as name:
        folder = Path(name)
        said, bundle = folder / "statement.json", folder / "bundle.json"
        signing, trusted = folder / "signing.json", folder / "trusted.json"
        said.write_text(statement.text(), encoding="utf-8")
        if key is not None:
            for words in cosign.service_words(signing, trusted):
                process.run(cosign.command(program, words)).check()
        words = cosign.sign_words(said, bundle, key, signing, trusted)
        process.run(cosign.command(program, words, password)).check(
            "is the password right? It comes from COSIGN_PASSWORD, sign.password_file or a prompt"
        )
        check = cosign.verify_words(bundle, statement.digest, trust)
        process.run(cosign.command(program, check)).check(
            "the new signature does not verify: do private and public key belong together?"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        fresh.write_bytes(bundle.read_bytes())
        fresh.replace(file)


def verify(program: Path, images: Sequence[Image], folder: Path, trust: Trust) -> list[Verdict]:
    """Check the signature of each image.

    Raises:
        UsageError: the public key can't be read.
        CommandFailed: cosign ended in a way that is no answer.
    """
    key = keys.read_public(trust.public_key) if trust.public_key is not None else ""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(lambda one: _verify(program, one, folder, trust, key), images))


def _verify(program: Path, image: Image, folder: Path, trust: Trust, key: str) -> Verdict:
    file = file_of(folder, image.service)

    def refused(reason: Reason, words: str, bundle: Bundle | None = None) -> Verdict:
        return Verdict(image, bundle.statement if bundle else None, Refusal(reason, words))

    try:
        # Read once: what is checked is what is believed afterwards.
        text = file.read_text(encoding="utf-8")
        bundle = read_bundle(text)
    except FileNotFoundError:
        return refused("unsigned", f"is not signed: there is no {file}")
    except ValueError as error:
        return refused("damaged", f"has a signature that can't be read: {file}: {error}")
    if (refusal := refuse(bundle, image.name, image.digest, key)) is not None:
        return Verdict(image, None, refusal)
    with tempfile.TemporaryDirectory(prefix="rebake-verify-") as name:
        copy = Path(name) / "bundle.json"
        copy.write_text(text, encoding="utf-8")
        words = cosign.verify_words(copy, image.digest, trust)
        outcome = process.run(cosign.command(program, words))
    if outcome.returncode not in {0, 1}:
        raise CommandFailed(outcome.argv, outcome.returncode, outcome.tail())
    if not outcome.ok:
        return refused("forged", f"has a signature that is not genuine: {file} was changed")
    return Verdict(image, bundle.statement, None)
