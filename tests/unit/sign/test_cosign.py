"""The exact words that cosign is called with, and which cosign will do."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from rebake.errors import ProgramMissing
from rebake.sign import cosign
from rebake.sign.cosign import Trust

DIGEST = "sha256:" + "ab" * 32


def test_signing_with_a_key_asks_no_service() -> None:
    words = cosign.sign_words(Path("s"), Path("b"), Path("k"), Path("c"), Path("t"))
    assert words == (
        "cosign", "attest-blob", "--statement", "s", "--bundle", "b", "--yes",
        "--key", "k", "--signing-config", "c", "--trusted-root", "t",
    )  # fmt: skip
    assert cosign.service_words(Path("c"), Path("t")) == (
        ("cosign", "signing-config", "create", "--out", "c"),
        ("cosign", "trusted-root", "create", "--out", "t"),
    )


def test_signing_without_a_key_asks_the_usual_services() -> None:
    words = cosign.sign_words(Path("s"), Path("b"), None, Path("c"), Path("t"))
    assert words[2:] == ("--statement", "s", "--bundle", "b", "--yes")


def test_checking_with_a_key_and_by_identity() -> None:
    start = (
        "cosign", "verify-blob-attestation", "--bundle", "b", "--type", "urn:rebake:image:1",
        "--digest", "ab" * 32, "--digestAlg", "sha256",
    )  # fmt: skip
    by_key = cosign.verify_words(Path("b"), DIGEST, Trust(Path("k.pub")))
    assert by_key == (*start, "--key", "k.pub", "--insecure-ignore-tlog=true")
    by_identity = cosign.verify_words(Path("b"), DIGEST, Trust(None, "me@x.invalid", "issuer"))
    assert by_identity == (
        *start, "--certificate-identity", "me@x.invalid", "--certificate-oidc-issuer", "issuer",
    )  # fmt: skip


def test_the_password_is_never_among_the_words() -> None:
    command = cosign.command(Path("/x/cosign"), ("cosign", "attest-blob"), "hunter2")
    assert command.argv == ("/x/cosign", "attest-blob")
    assert command.env == {"COSIGN_PASSWORD": "hunter2"}


def test_the_version_is_read_where_there_is_one() -> None:
    assert cosign.version_of('{"gitVersion": "v3.0.2"}') == Version("3.0.2")
    for text in ('{"gitVersion": "devel"}', "{}", "", "no json"):
        assert cosign.version_of(text) is None


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program has a #! line")
@pytest.mark.parametrize(
    ("version", "knows", "good"),
    [("v3.0.0", "1", True), ("v2.6.9", "0", False), ("devel", "0", True), ("devel", "1", False)],
)
def test_an_old_one_on_path_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, knows: str, good: bool
) -> None:
    program = tmp_path / "cosign"
    told = f'[ "$1" = version ] && echo \'{{"gitVersion": "{version}"}}\' && exit'
    program.write_text(f"#!/bin/sh\n{told}\nexit {knows}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if good:
        assert cosign.find(print) == program
    else:
        with pytest.raises(ProgramMissing, match=r"3\.0 or newer"):
            cosign.find(print)
