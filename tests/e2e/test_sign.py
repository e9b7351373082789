"""Signatures by the real cosign on a real engine, and canaries wherever a secret could stand."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import shutil
import sqlite3
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

import attested_archive
from attested_archive import provenance
from e2e import sign_project
from e2e.sign_project import LOGIN, MARK, PASSWORD, PROXY, VARIABLES, Signing, containers
from e2e.support import REPOSITORY
from rebake.history.store import History
from rebake.sign.sbom import Contents, cyclonedx

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake"))
SERVICES = ("api", "worker", "ui")
OTHER = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def signing() -> Iterator[Signing]:
    """The project with its images built, listed and signed; its stack is down afterwards."""
    made = sign_project.make(FOLDER / "e2e-sign")
    made.images.update(made.invoke("build", "--json").ok().document["images"])
    made.invoke("sbom", "sign", "--make-key").ok()
    yield made
    sign_project.remove_containers(made)
    made.invoke("down", "--volumes").ok()
    assert list((made.home / "state" / "projects").glob("*/secrets/prod")) == []


def signature(signing: Signing, service: str) -> Path:
    return signing.signatures / f"{service}.sigstore.json"


def change(file: Path, field: str, value: object) -> None:
    """Change a field of what a signature says, without signing it again."""
    document = json.loads(file.read_text())
    envelope = document["dsseEnvelope"]
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["predicate"][field] = value
    envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    file.write_text(json.dumps(document))


def reasons(signing: Signing, **env: str) -> tuple[dict[str, str], str]:
    """Why each image is refused, and what people are told."""
    done = signing.invoke("verify", "--json", **env)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error: ") == 1
    images: dict[str, dict[str, Any]] = done.document["images"]
    return {name: one.get("reason", "verified") for name, one in images.items()}, done.stderr


def kept(signing: Signing) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in signing.signatures.iterdir()}


def put_back(files: dict[Path, bytes]) -> None:
    for file, content in files.items():
        file.write_bytes(content)


def test_a_key_is_for_its_owner_alone_and_never_overwritten(signing: Signing) -> None:
    key = signing.home / "one.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    again = signing.invoke("sign", "--make-key")
    assert (again.returncode, "never overwritten" in again.stderr) == (2, True)
    assert key.read_bytes() == before


def test_a_wrong_password_signs_nothing(signing: Signing) -> None:
    before = kept(signing)
    done = signing.invoke("sign", "api", COSIGN_PASSWORD=f"another-password-{MARK}")
    assert (done.returncode, "is the password right?" in done.stderr) == (1, True)
    assert kept(signing) == before


def test_what_was_signed_is_verified(signing: Signing) -> None:
    images = signing.invoke("verify", "--json").ok().document["images"]
    for service in SERVICES:
        told = images[service]
        assert told["verified"] is True
        assert told["signed"]["name"] == f"tiny/{service}"
        assert set(told["signed"]["sboms"]) == {"spdx", "cyclonedx"}
        assert told["provenance"]["slsa_build_level"] == 1
        assert told["provenance"]["materials"] is not None


def test_the_lists_of_parts_hold_what_is_in_the_image(signing: Signing) -> None:
    def bom(name: str) -> Any:
        return json.loads((signing.signatures / name).read_text())

    api = {part["name"] for part in bom("api.cdx.json")["components"]}
    assert {"api", "core_lib", "/bin/service"} <= api
    assert "worker" not in api
    assert {"react", "web"} <= {part["name"] for part in bom("ui.spdx.json")["packages"]}


def test_another_image_another_one_s_signature_and_none(signing: Signing) -> None:
    ref = signing.images["api"]["ref"]
    original = f"{ref.rpartition(':')[0]}:original"
    before = kept(signing)
    signing.docker("tag", ref, original)
    folder = signing.home / "changed"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {ref}\nENV EVIL=1\n")
    signing.docker("buildx", "build", "--provenance=false", "--load", "--tag", ref, str(folder))
    shutil.copy(signature(signing, "api"), signature(signing, "worker"))
    signature(signing, "ui").unlink()
    try:
        found, told = reasons(signing)
        assert found == {"api": "altered", "worker": "replayed", "ui": "unsigned"}
        assert "is not the image that was signed: that was sha256:" in told
        assert "the signature of another image, tiny/api" in told
        assert "ui:prod is not signed" in told
        signed = signing.invoke("sign", "api")
        assert signed.returncode == 2
        assert "not what the last build here made" in signed.stderr
    finally:
        signing.docker("tag", original, ref)
        signing.docker("rmi", original)
        put_back(before)


def test_a_changed_signature_a_broken_one_and_a_changed_list(signing: Signing) -> None:
    before = kept(signing)
    try:
        change(signature(signing, "api"), "buildId", "0123456789abcdef")
        signature(signing, "worker").write_bytes(before[signature(signing, "worker")][:-40])
        with (signing.signatures / "ui.spdx.json").open("a") as file:
            file.write("\n")
        found, told = reasons(signing)
        assert found == {"api": "forged", "worker": "damaged", "ui": "sbom"}
        assert "is not genuine" in told
        assert "ui.spdx.json is not that one" in told
        started = signing.invoke("prod", "--require-signed")
        assert (started.returncode, "3 images are refused" in started.stderr) == (1, True)
        assert containers(signing) == []
    finally:
        put_back(before)


def test_the_signature_of_another_key(signing: Signing) -> None:
    other = {"REBAKE_SIGN_FOLDER": str(signing.home / "other-signatures")}
    key = str(signing.home / "two.key")
    signing.invoke("sign", "api", "worker", "--make-key", REBAKE_SIGN_KEY=key, **other).ok()
    # One says that it is of the trusted key: cosign finds that it is not.
    file = signing.home / "other-signatures" / "api.sigstore.json"
    ours = json.loads(signature(signing, "api").read_text())["verificationMaterial"]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"verificationMaterial": ours}))
    found, told = reasons(signing, **other)
    assert found == {"api": "forged", "worker": "wrong-key", "ui": "unsigned"}
    assert "was signed with the key" in told


ATTESTED = {"REBAKE_SIGN_ATTESTATIONS": "sbom,provenance"}


def test_an_image_that_comes_with_nothing_is_neither_signed_nor_verified(signing: Signing) -> None:
    signing.invoke("verify", **ATTESTED).ok()
    other = {"REBAKE_SIGN_FOLDER": str(signing.home / "other-signatures")}
    file = signing.home / "other-signatures" / "worker.sigstore.json"
    file.unlink(missing_ok=True)
    refused = signing.invoke("sign", "worker", **other, **ATTESTED)
    assert refused.returncode == 1
    assert "worker:prod has no list of its parts (SBOM)" in refused.stderr
    assert not file.exists()
    signing.invoke("sign", "worker", **other).ok()
    done = signing.invoke("verify", "worker", "--json", **other, **ATTESTED)
    assert done.returncode == 1
    assert done.document["images"]["worker"]["reason"] == "unattested"


def test_each_image_that_lacks_one_thing_is_named_by_a_scan(signing: Signing) -> None:
    api, worker = (signing.images[name]["ref"] for name in ("api", "worker"))
    bare, foreign = ("rebake-e2e-attested:bare", "rebake-e2e-attested:foreign")
    before = kept(signing)
    folder = signing.home / "bare"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {worker}\n")
    signing.docker("buildx", "build", "--provenance=false", "--load", "--tag", bare, str(folder))
    attested_archive.rename(
        signing.docker, worker, foreign, folder / "image.tar", provenance(OTHER)
    )
    try:
        for name, ref in (("bare", bare), ("foreign", foreign)):  # they lack that one thing only
            digest = signing.docker("image", "inspect", "--format", "{{.Id}}", ref).strip()
            parts = Contents(f"tiny/{name}", digest, 1.0, (), (), {})
            (signing.signatures / f"{name}.cdx.json").write_text(cyclonedx(parts))
        for name in ("api.spdx.json", "api.cdx.json"):
            (signing.signatures / name).unlink()
        document = scan(signing, api, worker, bare, foreign, **ATTESTED)
        found = {(one["target"], one["id"]): one for one in document["findings"]}
        assert set(found) == {
            (api, "image-sbom"), (bare, "image-provenance"), (foreign, "image-provenance"),
        }  # fmt: skip
        assert {one["standing"] for one in found.values()} == {"fails"}
        assert f"about {OTHER}" in found[foreign, "image-provenance"]["message"]
        assert document["exit_code"] == 14
    finally:
        signing.docker("rmi", bare, foreign)
        for name in ("bare", "foreign"):
            (signing.signatures / f"{name}.cdx.json").unlink(missing_ok=True)
        put_back(before)


def test_another_value_of_a_secret_is_no_other_image(signing: Signing) -> None:
    done = signing.invoke("build", "--json", BUILD_SETTING=f"canary-other-{MARK}").ok()
    assert "nothing changed" in done.document["skipped"]


def test_a_missing_secret_starts_nothing(signing: Signing) -> None:
    done = signing.invoke("prod", RUN_SETTING="")
    assert done.returncode == 2
    assert "secrets.run.from_variable: the variable RUN_SETTING is not set" in done.stderr
    assert containers(signing) == []


def test_only_verified_digests_run_and_secrets_are_files(signing: Signing) -> None:
    signing.invoke("prod", "--require-signed").ok()
    running = {
        one["Config"]["Labels"]["com.docker.compose.service"]: one  # type: ignore[index]
        for one in containers(signing)
    }
    assert set(running) == set(SERVICES)
    secrets = {}
    for service, one in running.items():
        container: Any = one
        assert container["Config"]["Image"] == signing.images[service]["digest"]
        assert_clean(json.dumps(container))
        for mount in container["Mounts"]:
            if mount["Destination"].startswith("/run/secrets/"):
                file = Path(mount["Source"])
                assert stat.S_IMODE(file.parents[1].stat().st_mode) == 0o700
                secrets[service, mount["Destination"]] = file.read_text().strip()
    variable, from_file = VARIABLES["RUN_SETTING"], f"canary-run-file-{MARK}"
    assert secrets == {
        **{(name, "/run/secrets/from_variable"): variable for name in SERVICES},
        ("api", "/run/secrets/from_file"): from_file,
    }
    before = {one["Id"] for one in containers(signing)}
    file, content = signature(signing, "ui"), signature(signing, "ui").read_bytes()
    file.unlink()
    again = signing.invoke("up", "--prod", REBAKE_SIGN_REQUIRED="true")
    file.write_bytes(content)
    assert (again.returncode, "ui:prod is not signed" in again.stderr) == (1, True)
    assert {one["Id"] for one in containers(signing)} == before


def test_a_build_that_prints_its_secrets_and_fails(signing: Signing) -> None:
    dockerfile = signing.root / "backend" / "Dockerfile"
    bake = signing.root / "docker" / "docker-bake.hcl"
    before = dockerfile.read_text(), bake.read_text()
    stage = (
        f"FROM rust AS leaky\nARG DEPLOY_TOKEN\nARG API_KEY=canary-default-{MARK}\n"
        "RUN --mount=type=secret,id=from_variable,required=true"
        " --mount=type=secret,id=from_file,required=true --network=none"
        " cat /run/secrets/*; env; exit 9\n\n"
        "FROM scratch AS prod\nCOPY --from=leaky /etc/hostname /\n"
    )
    dockerfile.write_text(before[0].replace("FROM scratch AS prod\n", stage, 1))
    text = 'variable "DEPLOY_TOKEN" {\n  default = null\n}\n' + before[1]
    given = 'SERVICE = "api", DEPLOY_TOKEN = DEPLOY_TOKEN'
    bake.write_text(text.replace('SERVICE = "api"', given))
    try:
        done = signing.invoke("build", "api", "--progress", "plain", HTTPS_PROXY=PROXY)
        assert done.returncode == 1
        assert "exit code: 9" in done.stderr
        assert done.stderr.count("***") >= 3  # what it printed was masked, and not left out
        found = signing.invoke("doctor", "--check", "secrets").stdout
        assert "backend/Dockerfile" in found
        assert "ARG API_KEY" in found
        assert "backend/crates/api/id_ed25519 travels to the builder" in found
        assert "ui/.npmrc" in found
        assert "backend/.cargo/credentials.toml travels to the builder" in found
    finally:
        dockerfile.write_text(before[0])
        bake.write_text(before[1])


def test_no_canary_is_anywhere(signing: Signing) -> None:
    logs = signing.home / "logs.txt"
    page = signing.home / "report.html"
    words = ("history", "why", "config", "logs", "--export", str(logs), "report")
    signing.invoke(*words, "--output", str(page)).ok()
    assert logs.stat().st_size >= 0
    scanned = scan(signing, code=1, **ATTESTED)  # there are no advisories
    leaks = {one["target"] for one in scanned["findings"] if one["id"] == "context-secret"}
    assert {"backend/crates/api/id_ed25519", "backend/.cargo/credentials.toml"} <= leaks
    assert scanned["parts"]["rules api:prod"]["state"] == "ok"
    for name in SERVICES:
        assert scanned["parts"][f"attestations {name}:prod"]["state"] == "ok"
    pages = [file.read_text() for file in (signing.root / ".rebake" / "scan").iterdir()]
    assert len(pages) == 3
    for text in (*signing.told, page.read_text(), logs.read_text(), *pages):
        assert_clean(text)
    assert_not_in_state(signing)
    for image in signing.images.values():
        assert_not_in_image(signing, image["ref"])
    assert PASSWORD not in (signing.home / "one.key").read_text()
    (signing.home / "clean").touch()


def assert_clean(content: str | bytes, where: object = "") -> None:
    """Hold a text to have no canary in it, plain or packed as Docker packs logins."""
    found = content.encode() if isinstance(content, str) else content
    assert MARK.encode() not in found, where
    assert LOGIN.encode() not in found, where


def scan(signing: Signing, *images: str, code: int = 14, **env: str) -> Any:
    """Scan by our own rules alone, without a network, and return the document."""
    (signing.root / "noxfile.py").write_text((REPOSITORY / "noxfile.py").read_text())
    # Without CI, where a scanner that is missing is an error of its own.
    alone = {"REBAKE_SCAN_SCANNER": "snyk", "SNYK_TOKEN": "", "REBAKE_SCAN_OFFLINE": "true"}
    alone["CI"] = ""
    done = signing.run("-m", "nox", "-s", "scan", "--", "--json", *images, **alone, **env)
    assert done.returncode == code, done.stderr
    return done.document


def assert_not_in_state(signing: Signing) -> None:
    """The state holds no canary but in the folders that hold secrets: those for the stack."""
    state = signing.home / "state"
    allowed = {"secrets", "host-settings"}
    for file in (*state.rglob("*"), *signing.signatures.rglob("*")):
        if file.is_file() and not allowed & set(file.parts):
            assert_clean(file.read_bytes(), file)
    for folder in ("host-settings", *(str(p) for p in (state / "projects").glob("*/secrets/*"))):
        assert stat.S_IMODE((state / folder).stat().st_mode) == 0o700
    with History(state / "history.sqlite3", on_note=lambda _text: None) as store:
        for summary in store.builds(limit=20):
            assert_clean(repr(store.build(summary.id)))
    with contextlib.closing(sqlite3.connect(state / "history.sqlite3")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        for (name,) in tables:
            for row in database.execute(f"SELECT * FROM {name}"):
                for value in row:
                    assert_clean(unpacked(value), name)


def unpacked(value: object) -> bytes:
    """A value of the database as text, unpacked where it is packed."""
    content = value if isinstance(value, bytes) else str(value).encode()
    try:
        return content + zlib.decompress(content)
    except zlib.error:
        return content


def assert_not_in_image(signing: Signing, ref: str) -> None:
    """Nothing of an image holds a canary: settings, history, layers, provenance."""
    history = signing.docker("history", "--no-trunc", "--format", "json", ref)
    assert_clean(history)
    file = signing.home / "image.tar"
    signing.docker("save", "--output", str(file), ref)
    blobs = 0
    with tarfile.open(file) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None:
                continue
            content = stream.read()
            if content.startswith(b"\x1f\x8b"):
                content = gzip.decompress(content)
            assert not content.startswith(b"\x28\xb5\x2f\xfd"), "zstd: not looked into"
            assert_clean(content, member.name)
            if b'"predicateType"' in content:
                blobs += 1
            if member.name.startswith("blobs/") and tarfile.is_tarfile(io.BytesIO(content)):
                with tarfile.open(fileobj=io.BytesIO(content)) as layer:
                    names = layer.getnames()
                assert not any(name.endswith((".env", "id_ed25519", ".npmrc")) for name in names)
    file.unlink()
    assert blobs == 1  # the provenance was among them
