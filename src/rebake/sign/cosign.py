"""The program that signs and checks signatures, and the words that it is called with.

Source: `cosign attest-blob --help` and `cosign verify-blob-attestation --help` of 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from packaging.version import InvalidVersion, Version

from rebake import process
from rebake.engine import archive_program
from rebake.errors import CommandFailed, NoEngine, ProgramMissing
from rebake.process import Command
from rebake.sign.statement import PREDICATE, hex_of

LEAST = "3.0"  # bundles in the form of Sigstore, and signing without any service
_NAME = "cosign"
_TIMEOUT_S = 120.0

Say = Callable[[str], None]


class Trust(Struct, frozen=True):
    """Whose signatures count: a key's, or those of an identity that an issuer vouches for.

    Attributes:
        public_key: the key's file; None where signatures are made without one.
        identity: who signs, as in the certificate (an address, or a workflow's URL).
        issuer: who vouches for that: the address of the OpenID provider.
    """

    public_key: Path | None = None
    identity: str = ""
    issuer: str = ""


def key_words(prefix: Path) -> tuple[str, ...]:
    """Make a pair of keys, `prefix`.key and `prefix`.pub; the password comes by COSIGN_PASSWORD."""
    return (_NAME, "generate-key-pair", "--output-key-prefix", str(prefix))


def service_words(signing: Path, trusted: Path) -> tuple[tuple[str, ...], ...]:
    """Write what names the services to ask while signing with a key: none."""
    return (
        (_NAME, "signing-config", "create", "--out", str(signing)),
        (_NAME, "trusted-root", "create", "--out", str(trusted)),
    )


def sign_words(
    statement: Path, bundle: Path, key: Path | None, signing: Path, trusted: Path
) -> tuple[str, ...]:
    """Sign a statement.

    Args:
        statement: its file.
        bundle: the file of the signature that comes out.
        key: the private key; None to sign without one, as whoever the OpenID provider says.
        signing: the file of the services to ask, `service_words`; only for a key.
        trusted: the same for those that are trusted.
    """
    words = [_NAME, "attest-blob", "--statement", str(statement), "--bundle", str(bundle), "--yes"]
    if key is not None:
        words += ["--key", str(key)]
        words += ["--signing-config", str(signing), "--trusted-root", str(trusted)]
    return tuple(words)


def verify_words(bundle: Path, digest: str, trust: Trust) -> tuple[str, ...]:
    """Check a signature, and that it is about this digest."""
    words = [
        _NAME, "verify-blob-attestation",
        "--bundle", str(bundle),
        "--type", PREDICATE,
        "--digest", hex_of(digest),
        "--digestAlg", "sha256",
    ]  # fmt: skip
    if trust.public_key is not None:
        # What is signed with a key is in no public log.
        words += ["--key", str(trust.public_key), "--insecure-ignore-tlog=true"]
    else:
        words += ["--certificate-identity", trust.identity]
        words += ["--certificate-oidc-issuer", trust.issuer]
    return tuple(words)


def find(say: Say) -> Path:
    """Return cosign: from PATH, else from the package archive, unpacked with nothing installed.

    Raises:
        ProgramMissing: it can't be had here, or the one on PATH is too old.
    """
    home = archive_program.tool_home(_NAME)
    found = archive_program.installed([_NAME], home)
    if found is None:
        try:
            found = archive_program.fetch(_NAME, _NAME, home, say)
        except (NoEngine, CommandFailed) as error:
            raise ProgramMissing(
                _NAME, f"install cosign {LEAST} or newer, so that it is on PATH ({error.what})"
            ) from error
    _require_new_enough(found)
    return found


def _require_new_enough(program: Path) -> None:
    # Distributions build it without a version ("devel"): then what it can do tells.
    words = ("version", "--json")
    told = process.run(Command.of(program, *words, timeout_s=_TIMEOUT_S)).stdout
    version = version_of(told)
    if version is None:
        help_words = ("signing-config", "create", "--help")
        if process.run(Command.of(program, *help_words, timeout_s=_TIMEOUT_S)).ok:
            return
    elif version >= Version(LEAST):
        return
    raise ProgramMissing(
        f"a cosign of {LEAST} or newer ({program} is {version or 'older'})",
        "install a newer one, or take that one from PATH: rebake then fetches its own",
    )


def version_of(text: str) -> Version | None:
    """Read `cosign version --json`; None where it does not tell."""
    import json

    try:
        return Version(str(json.loads(text)["gitVersion"]))
    except (ValueError, KeyError, TypeError, InvalidVersion):
        return None


def command(program: Path, words: tuple[str, ...], password: str | None = None) -> Command:
    """A command of cosign; the password is in its environment, never among its words."""
    env = {} if password is None else {"COSIGN_PASSWORD": password}
    return Command.of(program, *words[1:], env=env, timeout_s=_TIMEOUT_S, what=" ".join(words[:2]))
