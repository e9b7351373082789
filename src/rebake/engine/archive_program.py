"""A program of the machine's package archive, unpacked into a folder with nothing installed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from rebake import process
from rebake.engine import apt_sources, install, packages
from rebake.errors import CannotRun

Say = Callable[[str], None]


def tool_home(name: str) -> Path:
    """The folder that a tool is unpacked into: the user's cache, since it can be had again."""
    return platformdirs.user_cache_path("rebake") / name


def installed(names: Sequence[str], home: Path) -> Path | None:
    """Return the program if it is here: on PATH, or unpacked in `home`.

    Args:
        names: what the program may be called; the first is the package's own name for it.
        home: the folder that it is unpacked into.
    """
    for name in names:
        if found := process.which(name):
            return found
    program = home / "usr/bin" / names[0]
    return program if program.is_file() else None


def fetch(package: str, program: str, home: Path, say: Say) -> Path:
    """Unpack the newest version of a package that runs here into `home`; return the program.

    Args:
        package: its name in the archive.
        program: the name of the program in it.
        home: the folder; what is in it is replaced.
        say: told what is done.

    Raises:
        CannotRun: this machine has no such archive, or the archive has no such package.
        NoEngine: the package archive can't be read.
        CommandFailed: the download failed.
    """
    if not sys.platform.startswith("linux") or process.which("apt-get") is None:
        raise CannotRun(f"{program} is not on PATH", next_step=f"install {program}")
    say(f"fetching {program} from the package archive")
    cache = install.package_cache()
    cache.mkdir(parents=True, exist_ok=True)
    sources = apt_sources.suites_for(apt_sources.read_sources(), apt_sources.read_system())
    archive = packages.open_archive(cache, sources, say)
    chosen = packages.resolve(archive, [package], packages.libc_version())
    fresh = home.with_name(f"{home.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    packages.unpack(packages.download(archive, chosen), fresh)
    shutil.rmtree(home, ignore_errors=True)
    fresh.replace(home)
    return home / "usr/bin" / program
