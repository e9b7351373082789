"""Signatures by the real cosign on a real engine: what is verified, and each thing that is not."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from e2e import sign_project
from e2e.sign_project import PASSWORD, Signing

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake"))
SERVICES = ("api", "worker", "ui")


@pytest.fixture(scope="module")
def signing() -> Iterator[Signing]:
    """The tiny project with its images built; its stack is down afterwards."""
    made = sign_project.make(FOLDER / "e2e-sign")
    made.invoke("build").ok()
    yield made
    made.invoke("down", "--volumes").ok()


def refs(signing: Signing) -> dict[str, str]:
    images = signing.invoke("build", "--json").ok().document["images"]
    return {name: image["ref"] for name, image in images.items()}


def refused(signing: Signing, service: str, reason: str, *says: str, **env: str) -> None:
    """The image is refused for this reason, in words and in JSON, and `prod` starts nothing."""
    done = signing.invoke("verify", service, "--json", **env)
    assert done.returncode == 1, done.stderr
    told: dict[str, Any] = done.document["images"][service]
    assert (told["verified"], told["reason"]) == (False, reason)
    assert done.stderr.count("error: ") == 1
    for text in says:
        assert text in done.stderr


def change(file: Path, field: str, value: object) -> None:
    """Change a field of what a signature says, without signing it again."""
    document = json.loads(file.read_text())
    envelope = document["dsseEnvelope"]
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["predicate"][field] = value
    envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    file.write_text(json.dumps(document))


def test_a_key_is_made_once_and_for_its_owner_alone(signing: Signing) -> None:
    done = signing.invoke("sign", "--make-key", "--json").ok()
    key, public = signing.home / "one.key", signing.home / "one.pub"
    assert (done.document["key"], done.document["public_key"]) == (str(key), str(public))
    assert set(done.document["images"]) == set(SERVICES)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    again = signing.invoke("sign", "--make-key")
    assert (again.returncode, "never overwritten" in again.stderr) == (2, True)
    assert key.read_bytes() == before
    for text in (done.stdout, done.stderr, again.stderr, before.decode()):
        assert PASSWORD not in text


def test_what_was_signed_is_verified(signing: Signing) -> None:
    done = signing.invoke("verify", "--json").ok()
    for service in SERVICES:
        told = done.document["images"][service]
        assert told["verified"] is True
        assert told["signed"]["name"] == f"tiny/{service}"
        assert told["signed"]["build_id"]
    assert "verified" in signing.invoke("verify", "api").ok().stdout


def test_an_unsigned_image(signing: Signing) -> None:
    file = signing.signatures / "worker.sigstore.json"
    kept = file.read_bytes()
    file.unlink()
    try:
        refused(signing, "worker", "unsigned", "is not signed", "invoke sign")
        stopped = signing.invoke("prod", "--require-signed")
        assert (stopped.returncode, "worker:prod is not signed" in stopped.stderr) == (1, True)
        assert containers(signing) == {}
    finally:
        file.write_bytes(kept)


def test_the_signature_of_another_image(signing: Signing) -> None:
    file = signing.signatures / "worker.sigstore.json"
    kept = file.read_bytes()
    shutil.copy(signing.signatures / "api.sigstore.json", file)
    try:
        refused(signing, "worker", "replayed", "the signature of another image, tiny/api")
    finally:
        file.write_bytes(kept)


def test_a_changed_image(signing: Signing) -> None:
    ref = refs(signing)["api"]
    original = f"{ref.rpartition(':')[0]}:original"
    signing.docker("tag", ref, original)
    folder = signing.home / "changed"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {ref}\nENV EVIL=1\n")
    signing.docker("buildx", "build", "--provenance=false", "--load", "--tag", ref, str(folder))
    try:
        refused(signing, "api", "altered", "is not the image that was signed: that was sha256:")
        signed = signing.invoke("sign", "api")
        assert signed.returncode == 2
        assert "is not what the last build here made" in signed.stderr
    finally:
        signing.docker("tag", original, ref)
        signing.docker("rmi", original)
    signing.invoke("verify", "api").ok()


def test_a_changed_signature(signing: Signing) -> None:
    file = signing.signatures / "api.sigstore.json"
    kept = file.read_bytes()
    try:
        change(file, "buildId", "0123456789abcdef")
        refused(signing, "api", "forged", "is not genuine")
        file.write_bytes(kept[:-40])
        refused(signing, "api", "damaged", "can't be read")
    finally:
        file.write_bytes(kept)


def test_the_signature_of_another_key(signing: Signing) -> None:
    other = {"REBAKE_SIGN_KEY": str(signing.home / "two.key")}
    theirs = {"REBAKE_SIGN_FOLDER": str(signing.home / "signatures-of-two")}
    signing.invoke("sign", "api", "--make-key", **other, **theirs).ok()
    refused(signing, "api", "wrong-key", "was signed with the key", **theirs)
    # It says that it is of the trusted key: cosign finds that it is not.
    file = signing.home / "signatures-of-two" / "api.sigstore.json"
    ours = json.loads((signing.signatures / "api.sigstore.json").read_text())
    document = json.loads(file.read_text()) | {"verificationMaterial": ours["verificationMaterial"]}
    file.write_text(json.dumps(document))
    refused(signing, "api", "forged", "is not genuine", **theirs)


def test_a_wrong_password_signs_nothing(signing: Signing) -> None:
    before = (signing.signatures / "api.sigstore.json").read_bytes()
    done = signing.invoke("sign", "api", COSIGN_PASSWORD="another-password")
    assert (done.returncode, "is the password right?" in done.stderr) == (1, True)
    assert "another-password" not in done.stderr
    assert (signing.signatures / "api.sigstore.json").read_bytes() == before


def containers(signing: Signing) -> dict[str, str]:
    """What runs of the project: the image that each container was started with, and its id."""
    listed = signing.docker(
        "ps", "--all", "--format", "{{.Names}}", "--filter", "label=com.docker.compose.project"
    ).split()
    names = [name for name in listed if name.startswith("tiny-")]
    found = signing.docker.json("inspect", *names) if names else []
    return {
        one["Config"]["Labels"]["com.docker.compose.service"]: one["Config"]["Image"]
        for one in found
        if one["Config"]["Labels"]["com.docker.compose.project.working_dir"]
        == str(signing.root / "docker")
    }


def test_only_verified_digests_run(signing: Signing) -> None:
    verified = signing.invoke("verify", "--json").ok().document["images"]
    signing.invoke("prod", "--require-signed").ok()
    running = containers(signing)
    assert set(running) == set(SERVICES)
    for service, image in running.items():
        assert image.endswith(f"@{verified[service]['digest']}")
