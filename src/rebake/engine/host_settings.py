"""Hands the host's certificate authorities and package-manager settings on to builds.

They become BuildKit secrets: files in a folder of the user's state, readable by the user only.
The folder always holds all of them, empty where there is nothing to say, so that the compose and
bake files can name them; a file is rewritten only when its content changes.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from msgspec import Struct
from msgspec.structs import replace

from rebake.engine import apt_settings, apt_sources, ca
from rebake.engine.npm_registry import read_npmrc

FILES = (
    "ca.pem",
    "cargo-config.toml",
    "npmrc",
    "pip.conf",
    "apt-sources.sources",
    "apt.conf",
)
# Where Debian-based images have the archive's keys; the host's own keyring is not in them.
_IMAGE_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
VARIABLE = "REBAKE_HOST_SETTINGS"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY")
_SCOPED_REGISTRY = re.compile(r"^@[^:]+:registry$")
_AUTH = re.compile(r"^//.+:(_authToken|_auth|_password|username|email|always-auth)$")
_NPM_KEPT = {"registry", "strict-ssl", "proxy", "https-proxy", "noproxy", "always-auth"}
_CARGO_KEPT = ("source", "registry", "registries", "http", "net")
# Keys of cargo's configuration that name files or programs of the host.
_CARGO_DROPPED = {"cainfo", "proxy-cainfo", "credential-provider", "git-fetch-with-cli", "ssh"}
_CARGO_PATHS = {"directory", "local-registry"}
_PIP_KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")


class HostSettings(Struct, frozen=True):
    """The contents of the files, by name."""

    contents: Mapping[str, str]
    proxies: Mapping[str, str]

    @property
    def present(self) -> tuple[str, ...]:
        """The files that say something."""
        return tuple(name for name, text in self.contents.items() if text)


def usual_folder() -> Path:
    """Where the files are kept for this user."""
    return platformdirs.user_state_path("rebake") / "host-settings"


def digest(folder: Path) -> str:
    """Return a digest of all files in a folder of settings; it tells nothing of what they say."""
    total = hashlib.sha256()
    for name in FILES:
        file = folder / name
        content = file.read_bytes() if file.is_file() else b""
        total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()


def write(folder: Path | None = None) -> Path:
    """Write the files for this machine and return their folder.

    Args:
        folder: where to; the user's usual place when None.

    Raises:
        OSError: the folder can't be written.
    """
    target = folder or usual_folder()
    write_files(target, read(keep_in=target.with_name("apt-settings")).contents)
    return target


def write_files(folder: Path, contents: Mapping[str, str]) -> list[str]:
    """Write all files (0600, in a folder of 0700); return the names of those that changed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    changed = []
    for name in FILES:
        file, text = folder / name, contents.get(name, "")
        try:
            if file.read_text(encoding="utf-8") == text:
                continue
        except (OSError, UnicodeDecodeError):
            pass
        temporary = folder / f".{name}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        temporary.replace(file)
        changed.append(name)
    return changed


def read(
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
    etc: Path = Path("/etc"),
    *,
    keep_in: Path | None = None,
) -> HostSettings:
    """Read this machine's settings; `keep_in` names a file that keeps apt's answer."""
    env = os.environ if environ is None else environ
    user = home or Path.home()
    cargo_home = Path(env.get("CARGO_HOME") or user / ".cargo")
    return HostSettings(
        contents={
            "ca.pem": ca.bundle_text(env),
            "cargo-config.toml": cargo_config(_cargo_files(cargo_home), env),
            "npmrc": npmrc(read_npmrc(user / ".npmrc", env), env),
            "pip.conf": pip_conf(_read(user / ".config/pip/pip.conf"), env),
            "apt-sources.sources": apt_sources_text(etc),
            "apt.conf": "".join(f"{line}\n" for line in apt_settings.host_settings(keep_in)),
        },
        proxies=proxy_build_args(env),
    )


def proxy_build_args(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the proxies as build arguments (predefined ones: in no layer and no history).

    A proxy on the host's loopback can't be reached from a build and is left out.
    """
    env = os.environ if environ is None else environ
    found = {}
    for name in _PROXIES:
        value = env.get(name) or env.get(name.lower())
        if value and (name == "NO_PROXY" or not _is_loopback(value)):
            found[name] = value
            found[name.lower()] = value
    return found


def cargo_config(text: str, environ: Mapping[str, str]) -> str:
    """Return the sections of cargo's configuration that say where crates come from.

    Certificates, credential helpers and folders of the host stay behind.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        document = {}
    kept: dict[str, Any] = {
        section: _without_host_paths(document[section])
        for section in _CARGO_KEPT
        if isinstance(document.get(section), dict)
    }
    for name, value in environ.items():
        match = re.fullmatch(r"CARGO_REGISTRIES_([A-Z0-9_]+)_(INDEX|TOKEN)", name)
        if match and value:
            registry = match[1].lower().replace("_", "-")
            kept.setdefault("registries", {}).setdefault(registry, {})[match[2].lower()] = value
    usable = _drop_empty(kept)
    return _toml(usable) if usable else ""


def npmrc(settings: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Return npm's registries with their logins; certificates come through `ca.pem`."""
    kept = {
        name: value
        for name, value in settings.items()
        if name in _NPM_KEPT or _SCOPED_REGISTRY.match(name) or _AUTH.match(name)
    }
    registry = next((v for k, v in environ.items() if k.lower() == "npm_config_registry" and v), "")
    if registry:
        kept["registry"] = registry
    return "".join(f"{name}={value}\n" for name, value in kept.items())


def pip_conf(text: str, environ: Mapping[str, str]) -> str:
    """Return pip's index settings."""
    if not text and not any(name.startswith("PIP_") for name in environ):
        return ""  # nearly always: then the parser is not even imported
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
        section = dict(parser["global"]) if parser.has_section("global") else {}
    except configparser.Error:
        section = {}
    kept = {name: section[name] for name in _PIP_KEPT if name in section}
    for name in _PIP_KEPT:
        value = environ.get(f"PIP_{name.upper().replace('-', '_')}")
        if value and name not in {"timeout", "retries"}:
            kept[name] = value
    if not kept:
        return ""
    out = configparser.RawConfigParser()
    out["global"] = kept
    stream = io.StringIO()
    out.write(stream)
    return stream.getvalue()


def apt_sources_text(etc: Path = Path("/etc")) -> str:
    """Return the host's own package archive for Debian-based images; empty elsewhere.

    Args:
        etc: the host's /etc.
    """
    system = apt_sources.read_system(etc / "os-release")
    if not system.debian_like:
        return ""
    sources = [
        replace(source, signed_by=_IMAGE_KEYRING if source.signed_by else "")
        for source in apt_sources.read_sources(etc / "apt")
        if not source.uri.startswith(("file:", "copy:"))
    ]
    return apt_sources.render(sources)


def _cargo_files(cargo_home: Path) -> str:
    for name in ("config.toml", "config"):
        text = _read(cargo_home / name)
        if text:
            return text
    return ""


def _without_host_paths(section: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in section.items():
        if key in _CARGO_DROPPED or key in _CARGO_PATHS:
            continue
        if isinstance(value, dict):
            kept[key] = _without_host_paths(value)
        elif not (isinstance(value, str) and value.startswith(("file:", "/"))):
            kept[key] = value
    return kept


def _drop_empty(section: Mapping[str, Any]) -> dict[str, Any]:
    cleaned = {
        key: _drop_empty(value) if isinstance(value, dict) else value
        for key, value in section.items()
    }
    kept = {key: value for key, value in cleaned.items() if value != {}}
    # A source that is replaced by one whose folder stayed behind must not be replaced.
    if "replace-with" not in kept:
        for key, value in list(kept.items()):
            if isinstance(value, dict) and value.get("replace-with"):
                target = value["replace-with"]
                if target not in kept and _looks_like_sources(kept):
                    del value["replace-with"]
                    if not value:
                        del kept[key]
    return kept


def _looks_like_sources(section: Mapping[str, Any]) -> bool:
    return all(isinstance(value, dict) for value in section.values())


def _toml(document: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> str:
    """Write a document of tables, strings, numbers, booleans and lists as TOML."""
    lines = [
        f"{_key(key)} = {_value(value)}"
        for key, value in document.items()
        if not isinstance(value, dict)
    ]
    head = f"[{'.'.join(map(_key, prefix))}]\n" if prefix and lines else ""
    text = head + "".join(f"{line}\n" for line in lines)
    for key, value in document.items():
        if isinstance(value, dict):
            text += _toml(value, (*prefix, key))
    return text


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    escaped = re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped)
    return f'"{escaped}"'


def _is_loopback(url: str) -> bool:
    host = re.sub(r"^\w+://", "", url).rpartition("@")[2]
    return host.startswith(("127.", "localhost", "[::1]"))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
