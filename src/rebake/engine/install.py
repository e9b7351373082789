"""Puts the private engine's programs into its folder: plan, download, unpack, try, rename."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import platformdirs
from msgspec import Struct

from rebake import process
from rebake.engine import apt_sources, packages
from rebake.engine.home import Home
from rebake.engine.packages import Package, Say
from rebake.engine.sweep_tool import MARKER
from rebake.errors import CannotRun, CommandFailed, DiskFull, NoEngine
from rebake.process import Command

# Each line: names of which the archive must have one (Debian's, then Ubuntu's).
_WANTED = (
    ("docker.io",),
    ("docker-buildx",),
    ("docker-compose-v2", "docker-compose"),
    ("containerd",),
    ("runc",),
    ("iptables",),
    ("tini-static",),
)
_CLIENT = "docker-cli"  # part of docker.io on Ubuntu
_SPARE_BYTES = 300_000_000
_CHECK_TIMEOUT_S = 20.0
_PLUGINS = "usr/libexec/docker/cli-plugins"
_IPTABLES = ("iptables", "ip6tables")
_FAMILY_TOOLS = ("", "-save", "-restore")


class InstallPlan(Struct, frozen=True):
    """What an install downloads and where it puts it."""

    packages: tuple[Package, ...]
    folder: Path
    cache: Path

    @property
    def download_bytes(self) -> int:
        """Bytes to download when nothing is in the cache."""
        return sum(package.size for package in self.packages)

    @property
    def disk_bytes(self) -> int:
        """Bytes of disk that it needs."""
        return self.download_bytes + sum(package.installed for package in self.packages)

    def lines(self) -> list[str]:
        """The plan in words."""
        return [
            f"{len(self.packages)} packages, {self.download_bytes / 1e6:.0f} MB, from this "
            "machine's own package archive (signatures verified)",
            f"unpacked into {self.folder} ({self.disk_bytes / 1e6:.0f} MB of disk); nothing is "
            "installed into the system, nothing starts at boot",
            *(f"{package.name} {package.version}" for package in self.packages),
        ]

    def document(self) -> dict[str, object]:
        """The plan for `--json`."""
        return {
            "packages": [{"name": p.name, "version": p.version} for p in self.packages],
            "download_bytes": self.download_bytes,
            "disk_bytes": self.disk_bytes,
            "folder": str(self.folder),
            "cache": str(self.cache),
        }


def package_cache() -> Path:
    """The folder of the private apt root: package lists and downloaded packages."""
    return platformdirs.user_cache_path("rebake") / "apt"


def require_supported_system() -> None:
    """Raise what stands against a private engine on this machine, if anything does.

    Raises:
        NoEngine: macOS or Windows: it names the command that installs an engine.
        CannotRun: a Linux without apt, or with another C library than GNU's.
    """
    if sys.platform == "darwin":
        raise NoEngine(
            "there is no Docker engine on this Mac",
            next_step="brew install colima docker docker-buildx docker-compose && colima start",
        )
    if sys.platform == "win32":
        raise NoEngine(
            "there is no Docker engine on this machine",
            next_step="winget install Docker.DockerDesktop",
        )
    system = apt_sources.read_system()
    if not system.debian_like or process.which("apt-get") is None:
        raise CannotRun(
            f"a private engine needs a Debian-like system, and this is {system.id or 'unknown'}",
            next_step="install Docker with the system's package manager",
        )
    if not packages.libc_version():
        raise CannotRun(
            "a private engine needs the GNU C library",
            next_step="install Docker with the system's package manager",
        )


def wsl_note(release: str | None = None) -> str:
    """Return a word for WSL 2, empty elsewhere."""
    kernel = platform.release() if release is None else release
    if "microsoft" not in kernel.lower():
        return ""
    return (
        "this is WSL: Docker Desktop's WSL integration is the usual engine here; the private one "
        "runs inside this distribution and stops with it"
    )


def plan(home: Home, say: Say, lists: Path | None = None) -> InstallPlan:
    """Find out what an install would do. Only package lists are downloaded, to `lists`.

    Raises:
        NoEngine: no engine can be had on this system.
        CannotRun: the archive has no fitting packages.
    """
    require_supported_system()
    cache = lists or package_cache()
    archive = _archive(cache, say)
    chosen = packages.resolve(archive, _names(archive), packages.libc_version())
    return InstallPlan(chosen, home.programs, cache)


def is_installed(home: Home) -> bool:
    """Tell whether a whole install is there: its manifest, and every program as it was."""
    manifest = read_manifest(home)
    programs = manifest.get("programs")
    if not isinstance(programs, Mapping) or not programs:
        return False
    try:
        return all((home.programs / name).stat().st_size == size for name, size in programs.items())
    except OSError:
        return False


def read_manifest(home: Home) -> Mapping[str, object]:
    """Return what the install wrote last; empty when it is not there or broken."""
    try:
        document = json.loads(home.manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def install(home: Home, say: Say) -> InstallPlan | None:
    """Install the programs unless a whole install is there; the caller holds the home's lock.

    Returns the plan that was carried out, or None when there was nothing to do.

    Raises:
        NoEngine, CannotRun: see `plan`.
        DiskFull: too little space.
        CommandFailed: a download failed, or a program does not run on this machine.
    """
    if is_installed(home):
        return None
    todo = plan(home, say)
    home.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (home.folder / MARKER).touch()
    free = shutil.disk_usage(home.folder).free
    if free < todo.disk_bytes + _SPARE_BYTES:
        raise DiskFull(home.folder, free, todo.disk_bytes + _SPARE_BYTES)
    for line in todo.lines()[:2]:
        say(line)
    archive = _archive(todo.cache, say, refresh=False)
    files = packages.download(archive, todo.packages)
    fresh = home.folder / f"programs.new-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        say("unpacking")
        packages.unpack(files, fresh)
        _trim(fresh)
        _link(fresh)
        versions = _try_programs(fresh)
        _write_manifest(fresh, todo, versions)
        _put_in_place(fresh, home.programs)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return todo


def remove_half_done(home: Home) -> None:
    """Delete what an interrupted install left."""
    for pattern in ("programs.new-*", "programs.old-*"):
        for folder in home.folder.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


def program_environment(programs: Path) -> dict[str, str]:
    """The variables that the unpacked programs need to find each other and their libraries."""
    libraries = _library_folder(programs)
    system_path = os.environ.get("PATH", "")
    extra = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
    own = [programs / "usr/sbin", programs / "usr/bin"]
    search = os.pathsep.join([system_path, *extra])
    environment = {"LD_LIBRARY_PATH": str(libraries)}
    if process.which("iptables", search) is None:
        # The machine's own iptables writes where its administrator looks; ours is the stand-in.
        own.insert(0, programs / "rebake-sbin")
        environment["XTABLES_LIBDIR"] = str(libraries / "xtables")
    environment["PATH"] = os.pathsep.join([*map(str, own), search])
    return environment


def _archive(cache: Path, say: Say, *, refresh: bool = True) -> packages.Archive:
    sources = apt_sources.suites_for(apt_sources.read_sources(), apt_sources.read_system())
    if not refresh:
        return packages.Archive(cache, sources)
    cache.mkdir(parents=True, exist_ok=True)
    return packages.open_archive(cache, sources, say)


def _names(archive: packages.Archive) -> list[str]:
    known = packages.query(archive, [_CLIENT, *(name for names in _WANTED for name in names)])
    chosen = [next((name for name in names if name in known), names[0]) for names in _WANTED]
    return [*chosen, _CLIENT] if _CLIENT in known else chosen


def _library_folder(programs: Path) -> Path:
    found = sorted(programs.glob("usr/lib/*-linux-gnu*"))
    return found[0] if found else programs / "usr/lib"


def _trim(programs: Path) -> None:
    for name in ("usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/bin/ctr"):
        path = programs / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    # A package for a system with separate /lib and /bin: one place for all.
    for name in ("lib", "bin", "sbin"):
        if (programs / name).is_dir():
            shutil.copytree(programs / name, programs / "usr" / name, dirs_exist_ok=True)
            shutil.rmtree(programs / name)


def _link(programs: Path) -> None:
    """Make the links; relative ones, since the folder is renamed afterwards."""
    users = programs / "rebake-bin"
    users.mkdir()
    (users / "docker").symlink_to("../usr/bin/docker")
    daemons = programs / "rebake-sbin"
    daemons.mkdir()
    backend = _iptables_backend(programs)
    for name in _IPTABLES:
        for tool in _FAMILY_TOOLS:
            (daemons / f"{name}{tool}").symlink_to(f"../usr/sbin/{backend}")


def _iptables_backend(programs: Path) -> str:
    """Return the variant that this kernel can run: nftables' where it works, the old one else."""
    libraries = _library_folder(programs)
    env = {"LD_LIBRARY_PATH": str(libraries), "XTABLES_LIBDIR": str(libraries / "xtables")}
    for variant in ("xtables-nft-multi", "xtables-legacy-multi"):
        program = programs / "usr/sbin" / variant
        if (
            program.exists()
            and process.run(
                Command.of(program, "iptables", "-n", "-t", "nat", "-L", env=env, timeout_s=10.0)
            ).ok
        ):
            return variant
    return "xtables-nft-multi"


def _try_programs(programs: Path) -> dict[str, str]:
    """Run every program once; return the first lines that they print."""
    env = program_environment(programs)
    plugins = programs / _PLUGINS
    answers = {}
    for name, words in {
        "engine": (programs / "usr/sbin/dockerd", "--version"),
        "containerd": (programs / "usr/bin/containerd", "--version"),
        "runc": (programs / "usr/sbin/runc", "--version"),
        "client": (programs / "usr/bin/docker", "--version"),
        "buildx": (plugins / "docker-buildx", "version"),
        "compose": (plugins / "docker-compose", "version", "--short"),
    }.items():
        outcome = process.run(Command.of(*words, env=env, timeout_s=_CHECK_TIMEOUT_S)).check(
            f"{name} of the package archive does not run on this machine"
        )
        if not outcome.stdout.strip():
            raise CommandFailed([str(word) for word in words], 0, ("it printed nothing",))
        answers[name] = first_version(outcome.stdout)
    return answers


def first_version(text: str) -> str:
    """Return the first word that looks like a version: `Docker version 28.5.2+x, build y`."""
    match = re.search(r"(?<![\w.])v?(\d+\.\d+[\w.+~-]*)", text)
    return match[1] if match else text.split("\n", 1)[0].strip()


def _write_manifest(programs: Path, todo: InstallPlan, versions: Mapping[str, str]) -> None:
    kept = [
        "usr/sbin/dockerd",
        "usr/sbin/runc",
        "usr/sbin/docker-proxy",
        "usr/bin/containerd",
        "usr/bin/containerd-shim-runc-v2",
        "usr/bin/docker",
        "usr/bin/tini-static",
        f"{_PLUGINS}/docker-buildx",
        f"{_PLUGINS}/docker-compose",
    ]
    kept += [
        str(file.relative_to(programs))
        for file in sorted(_library_folder(programs).glob("*.so*"))
        if file.is_file()
    ]
    document = {
        "schema_version": 1,
        "installed_at": int(time.time()),
        "libc": packages.libc_version(),
        "packages": [{"name": p.name, "version": p.version} for p in todo.packages],
        "versions": dict(versions),
        "programs": {name: (programs / name).stat().st_size for name in kept},
    }
    (programs / "rebake-install.json").write_text(
        json.dumps(document, indent=2) + "\n", encoding="utf-8"
    )


def _put_in_place(fresh: Path, programs: Path) -> None:
    old = programs.with_name(f"programs.old-{os.getpid()}")
    if programs.exists():
        programs.rename(old)
    fresh.rename(programs)
    shutil.rmtree(old, ignore_errors=True)
