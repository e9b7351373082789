"""What a secret looks like: by a file's name, and by what is in it. Pure.

The forms are those that the issuers document for secret scanners; each is long and begins with a
mark of its own, so that ordinary text is not taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

# Files whose very purpose is to hold one.
NAMES = (
    ".env", ".env.*", "*.env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.p12", "*.pfx",
    "*.jks", "*.keystore", "*.kdbx", "*.ppk", ".netrc", "_netrc", ".pypirc", ".git-credentials",
    ".htpasswd", ".dockercfg", "credentials.toml", "terraform.tfstate", "*.tfvars",
)  # fmt: skip
_HARMLESS = re.compile(r"\.(?:example|sample|template|dist|defaults?|schema)(?:\.|$)|\.d\.ts$")
# What is safe to leave out of these by name has nothing secret in it either.
_BY_CONTENT = {".npmrc": rb"(?m)^[^#;\n]*(?:_authToken|_auth|_password)\s*=\s*(?!\$\{)\S+"}

# Kind: a mark that every one of them holds, which is quick to look for, and the whole form.
_TOKENS = {
    "a private key": (
        b"PRIVATE KEY",
        rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:]",
    ),
    "an AWS access key": (b"AKIA", rb"\bAKIA(?![A-Z0-9]*EXAMPLE)[A-Z0-9]{16}\b"),
    "an AWS session key": (b"ASIA", rb"\bASIA(?![A-Z0-9]*EXAMPLE)[A-Z0-9]{16}\b"),
    "a GitHub token": (b"gh", rb"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    "a fine-grained GitHub token": (b"github_pat_", rb"\bgithub_pat_\w{60,}"),
    "a GitLab token": (b"glpat-", rb"\bglpat-[\w-]{20,}"),
    "an npm token": (b"npm_", rb"\bnpm_[A-Za-z0-9]{36}\b"),
    "a PyPI token": (b"pypi-AgEI", rb"\bpypi-AgEI[\w-]{50,}"),
    "a crates.io token": (b"cio", rb"\bcio[A-Za-z0-9]{32}\b"),
    "a Docker Hub token": (b"dckr_", rb"\bdckr_(?:pat|oat)_[\w-]{20,}"),
    "a Slack token": (b"xox", rb"\bxox[baprs]-\d+-[\w-]{10,}"),
    "a Stripe key": (b"k_live_", rb"\b[sr]k_live_[A-Za-z0-9]{20,}"),
    "a Google API key": (b"AIza", rb"\bAIza[\w-]{35}\b"),
    "a Google service account": (
        b"private_key_id",
        rb"\"private_key_id\"\s*:\s*\"[0-9a-f]{40}\"",
    ),
    "an Anthropic key": (b"sk-ant-", rb"\bsk-ant-[\w-]{20,}"),
    "an OpenAI key": (b"sk-", rb"\bsk-(?:proj|svcacct)-[\w-]{40,}"),
}


def by_name(name: str) -> bool:
    """Whether a file of this name holds secrets; `.env.example` and the like do not."""
    lower = name.lower()
    if _HARMLESS.search(lower):
        return False
    return any(fnmatchcase(lower, pattern) for pattern in NAMES)


def by_content(name: str, content: bytes) -> Iterator[tuple[int, str]]:
    """Yield the line (from 1) and the kind of each secret in a file; never the secret itself."""
    own = _BY_CONTENT.get(name.lower())
    if own is not None:
        for match in re.finditer(own, content):
            yield _line(content, match.start()), "a registry's password or token"
    for what, (mark, form) in _TOKENS.items():
        if mark in content:
            for match in re.finditer(form, content):
                yield _line(content, match.start()), what


def _line(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1
