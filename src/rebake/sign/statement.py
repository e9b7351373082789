"""What a signature says: this project's service is the image with this digest. Pure.

It is an in-toto statement in a Sigstore bundle, so cosign by itself can check it.

Sources: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md,
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

# The type of what is said beside name and digest. It is raised when a field changes its meaning.
PREDICATE = "urn:rebake:image:1"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PAYLOAD = "application/vnd.in-toto+json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Reason = Literal[
    "unsigned", "damaged", "wrong-key", "replayed", "altered", "forged", "sbom", "unattested"
]


class Statement(Struct, frozen=True):
    """What is signed of one image.

    Attributes:
        name: project and service, `shop/api`: no other image can bear this signature.
        digest: the image's, `sha256:…`: every byte of it follows from this.
        build_id: the id of the sources that it was built from.
        sboms: the digest of each list of its parts that was there, by format.
    """

    name: str
    digest: str
    build_id: str
    sboms: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The statement as it is signed; the same one has the same bytes."""
        predicate: dict[str, object] = {"buildId": self.build_id}
        if self.sboms:
            predicate["sboms"] = dict(self.sboms)
        document = {
            "_type": _STATEMENT,
            "subject": [{"name": self.name, "digest": {"sha256": hex_of(self.digest)}}],
            "predicateType": PREDICATE,
            "predicate": predicate,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))


class Bundle(Struct, frozen=True):
    """A signature's file, read and not yet checked.

    Attributes:
        statement: what it says.
        hint: the fingerprint of the key that it names; empty for one that was made without a key.
    """

    statement: Statement
    hint: str


class Refusal(Struct, frozen=True):
    """Why an image is not run: one word for programs, a sentence for people."""

    reason: Reason
    words: str


def hex_of(digest: str) -> str:
    """The hexadecimal part of a digest."""
    return digest.removeprefix("sha256:")


def fingerprint(public_key: str) -> str:
    """Return what a bundle calls a public key by: the digest of its DER form, in base64.

    Raises:
        ValueError: the text is no key in PEM form.
    """
    found = re.search(
        r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----", public_key
    )
    if found is None:
        raise ValueError("no public key in PEM form")
    der = base64.b64decode("".join(found[1].split()), validate=True)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def read_bundle(text: str) -> Bundle:
    """Read a signature's file.

    Raises:
        ValueError: it is none, or not one of ours.
    """
    try:
        document = json.loads(text)
        envelope = document["dsseEnvelope"]
        if envelope["payloadType"] != _PAYLOAD:
            raise ValueError(f"it holds {envelope['payloadType']}")
        payload = base64.b64decode(envelope["payload"], validate=True)
        material = document["verificationMaterial"]
        hint = str((material.get("publicKey") or {}).get("hint") or "")
        return Bundle(_statement(json.loads(payload)), hint)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"it has no {error}") from None
    except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(str(error)) from None


def _statement(document: Any) -> Statement:  # noqa: ANN401 - JSON
    if document["_type"] != _STATEMENT or document["predicateType"] != PREDICATE:
        raise ValueError(f"it is about {document['predicateType']}")
    (subject,) = document["subject"]
    digest = f"sha256:{subject['digest']['sha256']}"
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest} is no digest")
    predicate = document["predicate"]
    sboms = {str(name): str(value) for name, value in predicate.get("sboms", {}).items()}
    return Statement(str(subject["name"]), digest, str(predicate["buildId"]), sboms)


def refuse(bundle: Bundle, name: str, digest: str, key: str) -> Refusal | None:
    """Say what stands against an image by what its signature says; None when nothing does.

    Whether the signature is genuine is cosign's to tell: this only finds what makes it useless
    even then.

    Args:
        bundle: the signature's file.
        name: project and service of the image.
        digest: the image's.
        key: the fingerprint of the trusted key; empty where signatures are made without one.
    """
    said = bundle.statement
    if bundle.hint != key:
        by = f"the key {bundle.hint}" if bundle.hint else "a certificate, without a key"
        trusted = f"the key {key}" if key else "certificates"
        return Refusal("wrong-key", f"was signed with {by}, and only {trusted} counts here")
    if said.name != name:
        return Refusal("replayed", f"comes with the signature of another image, {said.name}")
    if said.digest != digest:
        words = f"is not the image that was signed: that was {said.digest}, and this is {digest}"
        return Refusal("altered", words)
    return None
