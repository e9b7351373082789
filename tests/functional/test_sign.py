"""sign, verify and what `--require-signed` starts, with docker and cosign faked."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from attested_archive import Archive, provenance
from rebake.build.gate import LABEL
from rebake.engine.endpoint import Endpoint
from rebake.errors import NotAttested, NotVerified, UsageError
from rebake.history.records import BuildRecord, ImageRecord
from rebake.history.store import History
from rebake.sign.sbom import Contents, spdx
from rebake.sign.statement import Refusal
from rebake.stack.plan import plan_stack
from rebake.tasks import overlay, sign_flow
from rebake.tasks.image_flow import history_file
from rebake.tasks.session import Session

if sys.platform == "win32":
    pytest.skip("the fake programs are scripts with a #! line", allow_module_level=True)

# Both are started a hundred times: as Python they would take longer than all the rest here.
# `docker image inspect` prints what lies by the image's name, `docker compose config` a file.
DOCKER = """\
    #!/bin/sh
    case " $* " in
    " image inspect "*)
        file="{folder}/images/$(echo "$3" | tr / _).json"
        [ -f "$file" ] || {{ echo '[]'; exit 1; }}
        cat "$file";;
    " image save "*)
        echo "$5" >>"{folder}/saves"
        cat "{folder}/image.tar" >"$4";;
    *" config "*) cat "{folder}/config.json";;
    esac
"""
# Good is what bears the password that it was signed with.
COSIGN = """\
    #!/bin/sh
    command=$1
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --output-key-prefix) prefix=$2;;
        --statement) statement=$2;;
        --bundle) bundle=$2;;
        esac
        shift
    done
    case $command in
    version) echo '{{"gitVersion": "v3.1.1"}}';;
    generate-key-pair)
        echo private > "$prefix.key"
        printf '%s\\n' "-----BEGIN PUBLIC KEY-----" aGVsbG8= "-----END PUBLIC KEY-----" \\
            > "$prefix.pub";;
    attest-blob)
        good=false
        [ "$COSIGN_PASSWORD" = secret-enough ] && good=true
        payload=$(base64 < "$statement" | tr -d '\\n')
        cat > "$bundle" <<END
    {{"good": $good, "verificationMaterial": {{"publicKey":
     {{"hint": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}}}},
     "dsseEnvelope": {{"payload": "$payload", "payloadType": "application/vnd.in-toto+json"}}}}
    END
        ;;
    verify-blob-attestation) grep -q '"good": true' "$bundle";;
    esac
"""
DIGESTS = {name: f"sha256:{number * 64}" for name, number in (("api", "a"), ("worker", "b"))}


class Bench:
    """A project of two services whose images are there and were built here."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REBAKE_STATE_HOME", str(folder / "state"))
        monkeypatch.setenv("COSIGN_PASSWORD", "secret-enough")
        monkeypatch.setenv("REBAKE_SIGN_KEY", str(folder / "keys" / "shop.key"))
        self.folder, self.root = folder, folder / "shop"
        self.root.mkdir()
        (self.root / "rebake.toml").write_text('[project]\nname = "shop"\n')
        for name, text in (("docker", DOCKER), ("cosign", COSIGN)):
            program = folder / name
            program.write_text(textwrap.dedent(text).format(folder=folder))
            program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        self.endpoint = Endpoint("default", "unix:///nowhere.sock", folder / "docker")
        self.images = dict(DIGESTS)
        self.show()
        self.remember()

    def session(self, **more: Any) -> Session:
        session = Session("sign", progress="quiet", folder=self.root, **more)
        session.__dict__["detected"] = SimpleNamespace(endpoint=self.endpoint)
        return session

    def ref(self, service: str) -> str:
        return f"{self.session().project.name}-{service}:prod"

    def show(self) -> None:
        """Give the engine these images, and no others."""
        shutil.rmtree(self.folder / "images", ignore_errors=True)
        (self.folder / "images").mkdir()
        for name, digest in self.images.items():
            entry = {"Id": digest, "Config": {"Labels": {LABEL: f"id-of-{name}"}}}
            self.image(self.ref(name)).write_text(json.dumps([entry]))

    def image(self, ref: str) -> Path:
        """The file of an image that the engine has."""
        return self.folder / "images" / f"{ref.replace('/', '_')}.json"

    def remember(self) -> None:
        """Write down that a build here made them."""
        project = self.session().project
        made = tuple(
            ImageRecord(name, self.ref(name), digest, 1, "id") for name, digest in DIGESTS.items()
        )
        record = BuildRecord(
            project.cache_id, str(self.root), "prod", tuple(DIGESTS), time.time(), 1.0, "done",
            images=made,
        )  # fmt: skip
        with History(history_file()) as store:
            store.record(record)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_what_is_signed_is_verified_and_may_start_by_its_digest(bench: Bench) -> None:
    names = tuple(DIGESTS)
    done = sign_flow.sign(bench.session(), names, make_key=True)
    assert done["key"] == str(bench.folder / "keys" / "shop.key")
    told: Any = sign_flow.verify(bench.session(), names)
    assert told["images"]["api"]["signed"]["name"] == "shop/api"
    assert told["images"]["api"]["signed"]["build_id"] == "id-of-api"
    assert sign_flow.require(bench.session(), names) == DIGESTS


def test_another_image_of_the_name_is_neither_verified_nor_signed(bench: Bench) -> None:
    sign_flow.sign(bench.session(), ("api",), make_key=True)
    bench.images["api"] = DIGESTS["worker"]
    bench.show()
    with pytest.raises(NotVerified, match="is not the image that was signed"):
        sign_flow.require(bench.session(), ("api",))
    with pytest.raises(UsageError, match="is not what the last build here made"):
        sign_flow.sign(bench.session(), ("api",), make_key=False)


def test_an_image_by_another_name(bench: Bench) -> None:
    sign_flow.sign(bench.session(), ("api",), make_key=True)
    for ref, name in (
        ("mirror.invalid/shop/api:1", "api"),
        ("mirror.invalid/shop/api:2", "worker"),
    ):
        shutil.copy(bench.image(bench.ref(name)), bench.image(ref))
    verified: Any = sign_flow.verify(bench.session(), ("api",), "mirror.invalid/shop/api:1")
    assert verified["images"]["api"]["ref"] == "mirror.invalid/shop/api:1"
    with pytest.raises(NotVerified, match=r"mirror.invalid/shop/api:2 is not the image that was"):
        sign_flow.verify(bench.session(), ("api",), "mirror.invalid/shop/api:2")
    for services, ref, says in (
        (tuple(DIGESTS), "x", "for one service"),
        (("api",), "gone:1", "no image gone:1 in the engine"),
        (("api",), "--help", "no name of an image"),
    ):
        with pytest.raises(UsageError, match=says):
            sign_flow.verify(bench.session(), services, ref)


def test_several_refusals_are_told_at_once_and_in_json(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_flow.sign(bench.session(), tuple(DIGESTS), make_key=True)
    for file in (bench.session().project.state / "signatures").iterdir():
        file.write_text(file.read_text().replace('"good": true', '"good": false'))
    capsys.readouterr()
    with pytest.raises(NotVerified) as caught:
        sign_flow.verify(bench.session(as_json=True), tuple(DIGESTS))
    assert caught.value.what == "2 images are refused"
    told = json.loads(capsys.readouterr().out)["images"]
    assert {one["reason"] for one in told.values()} == {"forged"}


def require(bench: Bench, words: str) -> None:
    text = f'[project]\nname = "shop"\n[sign]\nattestations = {words}\n'
    (bench.root / "rebake.toml").write_text(text)


def test_an_image_without_what_is_asked_for_is_not_signed(bench: Bench) -> None:
    require(bench, '["sbom", "provenance"]')
    Archive([b""], {}).write(bench.folder / "image.tar")
    for make_key in (True, False):
        with pytest.raises(NotAttested) as caught:
            sign_flow.sign(bench.session(), ("api",), make_key=make_key)
        assert caught.value.what == "nothing was signed: 2 things are lacking"
        assert caught.value.details == [
            f"{bench.ref('api')} has no list of its parts (SBOM)",
            f"{bench.ref('api')} has no provenance",
        ]
        assert caught.value.hint.startswith("invoke sbom writes it into sign.folder; invoke build")
    assert not (bench.session().project.state / "signatures").exists()


def test_a_signed_image_without_what_is_asked_for_is_refused(bench: Bench) -> None:
    sign_flow.sign(bench.session(), ("api",), make_key=True)
    Archive([b""], {}).write(bench.folder / "image.tar")
    for words, says in (
        ('["sbom"]', "has no list of its parts (SBOM)"),
        ('["provenance"]', "has no provenance"),
        ('["provenance", "sbom"]', "has no list of its parts (SBOM), and has no provenance"),
    ):
        require(bench, words)
        (verdict,) = sign_flow.check(bench.session(), ("api",))
        assert verdict.refusal == Refusal("unattested", says)
        with pytest.raises(NotVerified):
            sign_flow.require(bench.session(), ("api",))


def test_an_image_with_all_that_is_asked_for(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    require(bench, '["sbom", "provenance"]')
    Archive([b""], {}, provenance).write(bench.folder / "image.tar")
    folder = bench.session().project.state / "signatures"
    folder.mkdir(parents=True)
    contents = Contents("shop/api", DIGESTS["api"], 1.0, (), (), {})
    (folder / "api.spdx.json").write_text(spdx(contents))
    sign_flow.sign(bench.session(), ("api",), make_key=True)
    (folder / "api.spdx.json").unlink()  # it need not be where the image is verified
    (bench.folder / "saves").unlink()
    told: Any = sign_flow.verify(bench.session(as_json=True), ("api",))
    assert (bench.folder / "saves").read_text() == f"{bench.ref('api')}\n"  # once, it takes a while
    assert told["images"]["api"]["verified"] is True
    assert told["images"]["api"]["provenance"]["slsa_build_level"] == 1
    # One about another image is told as none.
    Archive([b""], {}, lambda _: provenance(DIGESTS["worker"])).write(bench.folder / "image.tar")
    with pytest.raises(NotVerified, match="has no provenance of its own"):
        sign_flow.verify(bench.session(), ("api",))
    require(bench, "[]")
    capsys.readouterr()
    told = sign_flow.verify(bench.session(as_json=True), ("api",))
    assert told["images"]["api"]["provenance"] is None


def test_an_image_that_is_not_there(bench: Bench) -> None:
    del bench.images["api"]
    bench.show()
    with pytest.raises(UsageError, match="there is no image of api"):
        sign_flow.sign(bench.session(), ("api",), make_key=True)


def test_the_password_of_a_new_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    with pytest.raises(UsageError, match="without a password"):
        sign_flow.sign(bench.session(), ("api",), make_key=True)
    monkeypatch.delenv("COSIGN_PASSWORD")
    monkeypatch.setattr("sys.stdin", None)
    file = bench.folder / "password"
    monkeypatch.setenv("REBAKE_SIGN_PASSWORD_FILE", str(file))
    file.write_text("secret-enough\n")
    sign_flow.sign(bench.session(), ("api",), make_key=True)


def test_only_what_is_signed_may_run(bench: Bench) -> None:
    sign_flow.sign(bench.session(), tuple(DIGESTS), make_key=True)
    (bench.root / "rebake.toml").write_text('[project]\nname = "shop"\n[sign]\nrequired = true\n')
    session = bench.session()
    plan = plan_stack(
        session.project, "prod", {"api": 1}, host_settings=bench.folder, owner=None, watch="x"
    )
    plan = replace(plan, services=tuple(DIGESTS))
    services = {name: {"image": digest} for name, digest in DIGESTS.items()}
    config = bench.folder / "config.json"
    config.write_text(json.dumps({"services": services}))
    over: Any = overlay.laid_over(session, plan, (), require_signed=False).override
    assert {name: one["image"] for name, one in over["services"].items()} == DIGESTS
    services["db"] = {"image": "postgres:17"}
    config.write_text(json.dumps({"services": services}))
    with pytest.raises(NotVerified, match=r"postgres:17 of db in .* is not signed"):
        overlay.laid_over(session, plan, (), require_signed=False)
