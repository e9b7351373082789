"""What a signature says, and what makes it useless for an image."""

from __future__ import annotations

import base64
import json

import pytest
from msgspec.structs import astuple

from rebake.sign.statement import (
    PREDICATE,
    Bundle,
    Statement,
    fingerprint,
    read_bundle,
    refuse,
)

DIGEST = "sha256:" + "ab" * 32
KEY = "mNgky6uZnsdwl+edFsprjBjDFBX10L3u+Cv2ehdOJJk="
SAID = Statement("shop/api", DIGEST, "0123456789abcdef", {"spdx": "sha256:" + "cd" * 32})


def bundle_of(statement: Statement = SAID, hint: str | None = KEY, **changes: object) -> str:
    document = json.loads(statement.text()) | changes
    payload = base64.b64encode(json.dumps(document).encode()).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.in-toto+json"}
    material = {"publicKey": {"hint": hint}} if hint is not None else {"certificate": {}}
    return json.dumps({"verificationMaterial": material, "dsseEnvelope": envelope})


def test_it_is_an_in_toto_statement_and_always_the_same_bytes() -> None:
    assert json.loads(SAID.text()) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "shop/api", "digest": {"sha256": "ab" * 32}}],
        "predicateType": PREDICATE,
        "predicate": {"buildId": "0123456789abcdef", "sboms": dict(SAID.sboms)},
    }
    assert SAID.text() == Statement(*astuple(SAID)).text()


def test_a_bundle_gives_back_what_was_signed() -> None:
    assert read_bundle(bundle_of()) == Bundle(SAID, KEY)
    assert read_bundle(bundle_of(hint=None)).hint == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        bundle_of()[:-30],
        bundle_of(predicateType="urn:another"),
        bundle_of(_type="https://in-toto.io/Statement/v0.1"),
        bundle_of(subject=[]),
        bundle_of(subject=[{"name": "x", "digest": {"sha256": "--help"}}]),
        bundle_of(predicate={}),
        bundle_of().replace("application/vnd.in-toto+json", "text/plain"),
        '{"dsseEnvelope": {"payload": "***", "payloadType": "application/vnd.in-toto+json"}}',
    ],
)
def test_whatever_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_bundle(text)


def test_a_good_one_has_nothing_against_it() -> None:
    assert refuse(Bundle(SAID, KEY), "shop/api", DIGEST, KEY) is None
    assert refuse(Bundle(SAID, ""), "shop/api", DIGEST, "") is None


@pytest.mark.parametrize(
    ("image", "key", "hint", "reason", "says"),
    [
        (("shop/worker", DIGEST), KEY, KEY, "replayed", "signature of another image, shop/api"),
        (("shop/api", "sha256:" + "00" * 32), KEY, KEY, "altered", f"that was {DIGEST}"),
        (("shop/api", DIGEST), KEY, "b3RoZXI=", "wrong-key", "the key b3RoZXI="),
        (("shop/api", DIGEST), KEY, "", "wrong-key", "a certificate, without a key"),
        (("shop/api", DIGEST), "", KEY, "wrong-key", "only certificates"),
    ],
)
def test_what_stands_against_an_image(image, key, hint, reason, says) -> None:
    refusal = refuse(Bundle(SAID, hint), *image, key)
    assert refusal is not None
    assert refusal.reason == reason
    assert says in refusal.words


def test_the_fingerprint_is_that_of_the_key_s_own_form() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"
    assert fingerprint(pem.format("aGVsbG8=")) == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    for text in ("", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"):
        with pytest.raises(ValueError, match="no public key"):
            fingerprint(text)
