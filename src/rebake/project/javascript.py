"""Reads the UI's package.json, and finds the bun that it wants (from npm where there is none)."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock
from msgspec import Struct

from rebake.errors import CommandFailed, ProgramMissing, ProjectError, TimedOut
from rebake.process import Command, run, which
from rebake.results import Manager

_EXACT = re.compile(r"^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$")
_INSTALL_TIMEOUT_S = 300.0
_VERSION_TIMEOUT_S = 20.0


class Package(Struct, frozen=True):
    """What package.json says."""

    path: Path
    name: str
    package_manager: str | None
    scripts: Mapping[str, str]

    def script(self, name: str) -> str:
        """The command behind a script.

        Raises:
            ProjectError: there is no script of that name.
        """
        if name not in self.scripts:
            known = ", ".join(sorted(self.scripts)) or "none"
            raise ProjectError(
                self.path, f"has no script {name!r}", f"add it; its scripts are: {known}"
            )
        return self.scripts[name]


def read_package(folder: Path) -> Package:
    """Read the package.json in `folder`.

    Raises:
        ProjectError: it is missing, is not JSON, or a field has the wrong type.
    """
    path = folder / "package.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ProjectError(
            path, "is not there", "set ui.path in rebake.toml to the UI's folder"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(path, f"can't be read: {error}") from error
    except json.JSONDecodeError as error:
        raise ProjectError(
            path,
            f"is not valid JSON: {error.msg} (column {error.colno})",
            "mend that line; nothing was built",
            error.lineno,
        ) from error
    if not isinstance(document, dict):
        raise ProjectError(path, "is not a JSON object", "package.json starts with {")
    return Package(
        path,
        name=_field(path, document, "name", str, folder.name),
        package_manager=_field(path, document, "packageManager", str, None),
        scripts={k: str(v) for k, v in _field(path, document, "scripts", dict, {}).items()},
    )


def wanted_bun(package: Package, base_image: str, manager: Manager = "bun") -> str | None:
    """The version of bun that the UI wants, or None when nothing names an exact one.

    `packageManager` decides where it is bun; else the tag of the configured base image does, so
    that native mode and the containers run the same bun.

    Args:
        package: the UI's package.json.
        base_image: what the containers' bun comes from.
        manager: what `ui.manager` says. What runs the UI's programs is bun with either.

    Raises:
        ProjectError: `packageManager` names another package manager.
    """
    if package.package_manager:
        name, _, version = package.package_manager.partition("@")
        if name != manager:
            raise ProjectError(
                package.path,
                f"packageManager is {package.package_manager!r}, but ui.manager is {manager}",
                f"set packageManager to {manager}@<version>, or leave it out",
            )
        if name == "bun":
            version = version.partition("+")[0]  # a checksum may follow
            return version if _EXACT.match(version) else None
    found = re.search(r":v?(\d+\.\d+\.\d+)", base_image)
    return found[1] if found else None


def find_bun(
    version: str | None,
    cache_dir: Path | None = None,
    *,
    say: Callable[[str], None] = lambda _line: None,
) -> Path:
    """Return a bun that does: from PATH, else from our cache, else installed there from npm.

    One on PATH does when it has the wanted major and minor version, or a newer one.

    Args:
        version: the exact version that is wanted; any when None.
        cache_dir: our cache folder; the user's own when None.
        say: told before something is downloaded.

    Raises:
        ProgramMissing: there is neither bun nor npm.
        CommandFailed: npm could not install it.
    """
    on_path = which("bun")
    if on_path is not None and _does(bun_version(on_path), version):
        return on_path
    base = platformdirs.user_cache_path("rebake") if cache_dir is None else cache_dir
    home = base / "bun" / (version or "latest")
    program = _program_in(home, version)
    if program is not None:
        return program
    npm = which("npm")
    if npm is None:
        raise ProgramMissing(_words(on_path, version), _how_to_install(version))
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        program = _program_in(home, version)  # another process may have done it by now
        if program is None:
            say(f"installing bun {version or '(latest)'} from npm into {home}")
            program = _install(npm, version, home)
    return program


def find_npm() -> Path:
    """Return the npm of this machine.

    Raises:
        ProgramMissing: there is none.
    """
    npm = which("npm")
    if npm is None:
        raise ProgramMissing(
            "npm (ui.manager is npm)",
            "install Node.js, which brings it; containers have one of their own",
        )
    return npm


def bun_version(program: Path) -> str | None:
    """What `bun --version` answers, or None when it does not run."""
    if not program.is_file():
        return None
    try:
        outcome = run(Command.of(program, "--version", timeout_s=_VERSION_TIMEOUT_S))
    except (ProgramMissing, TimedOut, OSError):
        return None
    text = outcome.stdout.strip()
    return text if outcome.ok and re.match(r"\d+\.\d+", text) else None


def _install(npm: Path, version: str | None, home: Path) -> Path:
    """Install into a folder beside `home`, try it, then rename: a half one is never found."""
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".new-") as folder:
        fresh = Path(folder) / "bun"
        command = Command.of(
            npm, "install", "--prefix", fresh, f"bun@{version or 'latest'}", "--no-audit",
            "--no-fund", "--no-package-lock", "--loglevel=error", timeout_s=_INSTALL_TIMEOUT_S,
            cwd=Path(folder), what="npm install bun",
        )  # fmt: skip
        fresh.mkdir()
        run(command).check(_how_to_install(version))
        program = _program_in(fresh, version)
        if program is None:
            tail = ["npm ended well, but no bun that runs came of it"]
            raise CommandFailed(command.argv, 0, tail, _how_to_install(version))
        if home.exists():  # an older or broken one
            home.rename(Path(folder) / "old")
        fresh.rename(home)
        return home / program.relative_to(fresh)


def _program_in(home: Path, version: str | None) -> Path | None:
    """The bun in an npm prefix, or None when there is none that runs and does."""
    modules = home / "node_modules"
    windows = sys.platform == "win32"
    name = "bun.exe" if windows else "bun"
    candidates = [
        # npm's link bears the name that scripts call; Windows has only the program behind it.
        modules / "bun" / "bin" / name if windows else modules / ".bin" / name,
        # Where install scripts are switched off: the package for this kind of machine.
        *sorted((modules / "@oven").glob(f"bun-*/bin/{name}")),
    ]
    return next((path for path in candidates if _does(bun_version(path), version)), None)


def _does(found: str | None, wanted: str | None) -> bool:
    if found is None:
        return False
    return wanted is None or _minor(found) >= _minor(wanted)


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\d+", version)[:2])


def _words(on_path: Path | None, version: str | None) -> str:
    wanted = f"bun {version}" if version else "bun"
    return wanted if on_path is None else f"{wanted} (or newer; {on_path} is older)"


def _how_to_install(version: str | None) -> str:
    if os.name == "nt":
        return 'powershell -c "irm bun.sh/install.ps1 | iex"'
    wanted = f' "bun-v{version}"' if version else ""
    curl = f"curl -fsSL https://bun.sh/install | bash -s --{wanted}"
    return f"{curl}  (or: brew install oven-sh/bun/bun)" if shutil.which("brew") else curl


def _field(path: Path, document: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:  # noqa: ANN401 - JSON
    value = document.get(name, default)
    if value is not default and not isinstance(value, kind):
        raise ProjectError(path, f"{name} is not {'a string' if kind is str else 'an object'}")
    return value
