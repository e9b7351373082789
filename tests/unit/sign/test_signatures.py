"""Signing and checking with a faked cosign: what is kept, and what each refusal is."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest

from rebake.errors import CommandFailed, UsageError
from rebake.sign import signatures
from rebake.sign.cosign import Trust
from rebake.sign.signatures import Image
from rebake.sign.statement import Statement, fingerprint

if sys.platform == "win32":
    pytest.skip("the fake program is a script with a #! line", allow_module_level=True)

PEM = "-----BEGIN PUBLIC KEY-----\naGVsbG8=\n-----END PUBLIC KEY-----\n"
IMAGE = Image("api", "shop/api", "shop-1-api:prod", "sha256:" + "ab" * 32, "0123")
# Signs like cosign, but only checks that the file says `good`.
FAKE = """\
#!{python} -IS
import sys
if sys.argv[1] not in ("attest-blob", "verify-blob-attestation"):
    sys.exit()  # before imports that take longer than all the rest
import json
words = dict(zip(sys.argv[2::2], sys.argv[3::2]))
if sys.argv[1] == "attest-blob":
    import base64
    payload = base64.b64encode(open(words["--statement"], "rb").read()).decode()
    json.dump({{
        "good": {good},
        "verificationMaterial": {{"publicKey": {{"hint": {hint!r}}}}},
        "dsseEnvelope": {{"payload": payload, "payloadType": "application/vnd.in-toto+json"}},
    }}, open(words["--bundle"], "w"))
if sys.argv[1] == "verify-blob-attestation":
    sys.exit({{True: 0, False: 1}}.get(json.load(open(words["--bundle"]))["good"], 7))
"""


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    (tmp_path / "one.pub").write_text(PEM)
    return Trust(tmp_path / "one.pub")


def fake(folder: Path, good: object = True) -> Path:
    program = folder / "cosign"
    program.write_text(FAKE.format(python=sys.executable, good=good, hint=fingerprint(PEM)))
    program.chmod(0o755)
    return program


def sign(folder: Path, trust: Trust, good: object = True) -> Path:
    file = signatures.file_of(folder / "signatures", "api")
    statement = Statement(IMAGE.name, IMAGE.digest, IMAGE.build_id)
    key = folder / "one.key"
    signatures.sign(
        fake(folder, good), statement, file, key=key, trust=trust, password="secret-enough"
    )
    return file


def verdict(folder: Path, trust: Trust) -> signatures.Verdict:
    (found,) = signatures.verify(folder / "cosign", [IMAGE], folder / "signatures", trust)
    return found


def test_what_was_signed_is_verified(tmp_path: Path, trust: Trust) -> None:
    file = sign(tmp_path, trust)
    assert file == tmp_path / "signatures" / "api.sigstore.json"
    found = verdict(tmp_path, trust)
    assert found.refusal is None
    assert found.document() == {
        "ref": IMAGE.ref,
        "digest": IMAGE.digest,
        "verified": True,
        "signed": {"name": "shop/api", "build_id": "0123", "sboms": {}},
    }


def test_a_signature_that_does_not_verify_is_never_kept(tmp_path: Path, trust: Trust) -> None:
    file = sign(tmp_path, trust)
    before = file.read_bytes()
    with pytest.raises(CommandFailed) as caught:
        sign(tmp_path, trust, good=False)
    assert "belong together" in caught.value.hint
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_each_refusal_has_its_word(tmp_path: Path, trust: Trust) -> None:
    file = sign(tmp_path, trust)
    good = file.read_text()

    def reason() -> str:
        found = verdict(tmp_path, trust)
        assert found.statement is None
        assert found.document()["verified"] is False
        return found.refusal.reason if found.refusal else ""

    file.write_text(good.replace('"good": true', '"good": false'))
    assert reason() == "forged"
    file.write_text(good[:-9])
    assert reason() == "damaged"
    file.write_text(good.replace(fingerprint(PEM), "b3RoZXI="))
    assert reason() == "wrong-key"
    document = json.loads(good)
    said = Statement("shop/worker", IMAGE.digest, "0123").text()
    document["dsseEnvelope"]["payload"] = base64.b64encode(said.encode()).decode()
    file.write_text(json.dumps(document))
    assert reason() == "replayed"
    file.unlink()
    assert reason() == "unsigned"


def test_an_end_of_cosign_s_that_is_no_answer_is_an_error(tmp_path: Path, trust: Trust) -> None:
    file = sign(tmp_path, trust)
    file.write_text(file.read_text().replace('"good": true', '"good": "?"'))
    with pytest.raises(CommandFailed):
        verdict(tmp_path, trust)


def test_without_the_public_key_nothing_is_believed(tmp_path: Path, trust: Trust) -> None:
    sign(tmp_path, trust)
    with pytest.raises(UsageError, match="no public key"):
        verdict(tmp_path, Trust(tmp_path / "two.pub"))
