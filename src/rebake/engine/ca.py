"""Finds the host's bundle of certificate authorities."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# In the order of how directly they were meant for programs like ours.
VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "NIX_SSL_CERT_FILE",
)
_EXTRA = "NODE_EXTRA_CA_CERTS"  # added to the usual ones, not instead of them
_SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_LOCAL = (
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/ca-certificates/trust-source/anchors",
)


def host_bundle(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the bundle file that programs on this machine are told to use, or the system's."""
    env = os.environ if environ is None else environ
    for name in VARIABLES:
        value = env.get(name)
        if value and Path(value).is_file():
            return Path(value)
    return _system_bundle(Path("/"))


def bundle_text(environ: Mapping[str, str] | None = None, root: Path = Path("/")) -> str:
    """Return the certificates that a build needs beyond the usual ones; empty when there are none.

    A bundle is handed on when a variable names it, or when authorities were added to the system's
    own (then its whole bundle is, since tools take one file). `NODE_EXTRA_CA_CERTS` is added.
    """
    env = os.environ if environ is None else environ
    named = [Path(env[name]) for name in VARIABLES if env.get(name)]
    bundle = next((file for file in named if file.is_file()), None)
    if bundle is None and _has_local_authorities(root):
        bundle = _system_bundle(root)
    text = _read(bundle) if bundle else ""
    extra = env.get(_EXTRA)
    if extra and (bundle is None or Path(extra).resolve() != bundle.resolve()):
        added = _read(Path(extra))
        if added and added not in text:
            base = text or _read(_system_bundle(root))
            text = f"{base.rstrip()}\n{added}" if base else added
    return text


def _system_bundle(root: Path) -> Path | None:
    files = (root / name.lstrip("/") for name in _SYSTEM)
    return next((file for file in files if file.is_file()), None)


def _has_local_authorities(root: Path) -> bool:
    for name in _LOCAL:
        folder = root / name.lstrip("/")
        if folder.is_dir() and any(file.is_file() for file in folder.rglob("*")):
            return True
    return False


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
