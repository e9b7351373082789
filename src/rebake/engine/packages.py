"""Fetches packages of the machine's distribution into a folder, with nothing installed.

apt works with a root of its own (lists, archives, an empty status file), so the system's state
is neither read nor changed; apt's own settings (proxies, certificates) hold, and so do its
signature checks, always.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cmp_to_key
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from rebake import process
from rebake.engine import apt_sources
from rebake.engine.apt_sources import Source
from rebake.engine.package_choice import (
    Package,
    choose,
    compare,
    parse_depends,
    parse_packages,
    runs_with,
)
from rebake.errors import CannotRun, NoEngine
from rebake.process import Command

Say = Callable[[str], None]
_APT_TIMEOUT_S = 300.0
_RECENT_S = 600.0


class Archive(Struct, frozen=True):
    """A private apt root in `folder` that reads `sources`."""

    folder: Path
    sources: tuple[Source, ...]

    @property
    def config(self) -> Path:
        """The apt configuration, given with `-c`: it is read after the system's own."""
        return self.folder / "apt.conf"

    @property
    def debs(self) -> Path:
        """Where downloaded packages are kept."""
        return self.folder / "debs"

    def write(self) -> None:
        """Write the root: folders, sources and configuration."""
        for name in ("lists/partial", "cache/archives/partial", "sources", "preferences", "debs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources/rebake.sources").write_text(
            apt_sources.render(self.sources), encoding="utf-8"
        )
        self.config.write_text(apt_config(self.folder), encoding="utf-8")

    def apt(self, program: str, *words: str, cwd: Path | None = None) -> Command:
        """Return a command of apt (`apt-get`, `apt-cache`) on this root."""
        return Command.of(
            program,
            "-q",
            "-c",
            str(self.config),
            *words,
            cwd=cwd,
            env={"LC_ALL": "C.UTF-8", "APT_CONFIG": None},
            timeout_s=_APT_TIMEOUT_S,
            what=f"{program} {words[0]}",
        )

    def fetched(self) -> tuple[str, ...]:
        """The suites whose (verified) release files are here."""
        return tuple(
            source.suite
            for source in self.sources
            if list((self.folder / "lists").glob(f"*_dists_{source.suite}_*Release"))
        )


def apt_config(folder: Path) -> str:
    """Return the apt configuration of a private root in `folder`."""
    quoted = str(folder).replace('"', "")
    return "\n".join(
        [
            # Hooks of the system would act on the system.
            "#clear APT::Update::Pre-Invoke;",
            "#clear APT::Update::Post-Invoke;",
            "#clear APT::Update::Post-Invoke-Success;",
            "#clear DPkg::Pre-Install-Pkgs;",
            "#clear DPkg::Post-Invoke;",
            "#clear Acquire::IndexTargets::deb::DEP-11;",
            "#clear Acquire::IndexTargets::deb::DEP-11-icons-small;",
            "#clear Acquire::IndexTargets::deb::CNF;",
            "#clear Acquire::IndexTargets::deb::Contents-deb;",
            'Dir::Etc::sourcelist "/dev/null";',
            f'Dir::Etc::sourceparts "{quoted}/sources";',
            'Dir::Etc::preferences "/dev/null";',
            f'Dir::Etc::preferencesparts "{quoted}/preferences";',
            f'Dir::State::lists "{quoted}/lists";',
            f'Dir::State::status "{quoted}/status";',
            f'Dir::State::extended_states "{quoted}/extended";',
            f'Dir::Cache "{quoted}/cache";',
            'Dir::Cache::pkgcache "pkgcache.bin";',
            'Dir::Cache::srcpkgcache "srcpkgcache.bin";',
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            'APT::Sandbox::User "root";',
            "",
        ]
    )


def open_archive(folder: Path, sources: Sequence[Source], say: Say) -> Archive:
    """Make a private root and bring its lists up to date, with signatures verified.

    Where a newer suite is signed with keys that this machine does not have, the archive's keyring
    package is taken (verified with the machine's keys) and used for a second try. Lists that were
    fetched whole a few minutes ago are used as they are: on a bare machine the engine's
    programs come first and base images right after, and apt takes seconds to look.

    Raises:
        NoEngine: not one suite could be fetched and verified.
    """
    archive = Archive(folder, tuple(sources))
    wanted = {source.suite for source in sources}
    stamp = folder / "fetched.json"
    if (recent := _recent(archive, stamp)) and wanted <= set(recent.fetched()):
        return recent
    stamp.unlink(missing_ok=True)
    archive.write()
    say(f"reading the package lists of {', '.join(s.suite for s in sources)}")
    outcome = process.run(archive.apt("apt-get", "update"))
    missing = wanted - set(archive.fetched())
    keyring = ""
    if missing and archive.fetched():
        keyring = str(_newer_keyring(archive, say) or "")
        if keyring:
            renewed = tuple(replace(source, signed_by=keyring) for source in sources)
            archive = replace(archive, sources=renewed)
            archive.write()
            outcome = process.run(archive.apt("apt-get", "update"))
    if not archive.fetched():
        raise NoEngine(
            "no package list could be fetched and verified",
            tried=tuple(outcome.tail(6)),
            next_step="check that `apt-get update` works on this machine",
        )
    if outcome.ok and wanted <= set(archive.fetched()):
        stamp.write_text(
            json.dumps({"asked": apt_sources.render(sources), "keyring": keyring}), encoding="utf-8"
        )
    return archive


def _recent(archive: Archive, stamp: Path) -> Archive | None:
    """Return the archive as it was fetched minutes ago from the same sources; None if it wasn't."""
    try:
        age = time.time() - stamp.stat().st_mtime
        told = json.loads(stamp.read_text(encoding="utf-8"))
        asked, keyring = told["asked"], told["keyring"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not 0 <= age <= _RECENT_S or asked != apt_sources.render(archive.sources):
        return None
    if not keyring:
        return archive
    signed = tuple(replace(source, signed_by=keyring) for source in archive.sources)
    return replace(archive, sources=signed) if Path(keyring).is_file() else None


def query(archive: Archive, names: Iterable[str]) -> dict[str, list[Package]]:
    """Return every version of the named packages, newest first; unknown names are left out."""
    wanted = sorted(set(names))
    outcome = process.run(archive.apt("apt-cache", "show", *wanted))
    found: dict[str, list[Package]] = {}
    for package in parse_packages(outcome.stdout):
        versions = found.setdefault(package.name, [])
        if package.version not in {other.version for other in versions}:
            versions.append(package)
    for versions in found.values():
        versions.sort(key=cmp_to_key(lambda a, b: compare(b.version, a.version)))
    return found


def resolve(archive: Archive, names: Sequence[str], libc: str) -> tuple[Package, ...]:
    """Choose, for every name and what it depends on, the newest version that runs with `libc`.

    Raises:
        CannotRun: a package has no version that does.
    """
    known: dict[str, list[Package]] = {}
    asked: set[str] = set()
    while True:
        chosen, missing = choose(known, names, libc)
        ask = missing - asked
        if not ask:
            break
        known.update(query(archive, ask))
        asked |= ask
    unmet = sorted(missing)
    if unmet:
        raise CannotRun(
            f"the package archive has no {', '.join(unmet)} that runs with this C library ({libc})",
            next_step="install Docker with the system's package manager, or a newer system",
        )
    return chosen


def download(archive: Archive, packages: Sequence[Package]) -> list[Path]:
    """Return the package files, downloading those that are not here whole; sums are checked.

    Raises:
        CommandFailed: the download failed.
    """
    files = [archive.debs / package.file_name for package in packages]
    absent = [
        package
        for package, file in zip(packages, files, strict=True)
        if not _is_whole(file, package.sha256)
    ]
    if absent:
        specs = [f"{package.name}={package.version}" for package in absent]
        command = archive.apt("apt-get", "download", *specs, cwd=archive.debs)
        process.run(command).check("check that `apt-get update` works on this machine")
    return files


def unpack(files: Sequence[Path], folder: Path) -> None:
    """Unpack package files into `folder`, several at a time; nothing of them is run.

    Raises:
        CommandFailed: a package is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The largest first, or it is alone at the end.
    ordered = sorted(files, key=lambda file: -file.stat().st_size)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for outcome in pool.map(
            lambda file: process.run(Command.of("dpkg-deb", "-x", file, folder)), ordered
        ):
            outcome.check("the package is damaged; remove it and try again")


def libc_version() -> str:
    """Return the version of this machine's GNU C library, empty when it has another one."""
    try:
        value = os.confstr("CS_GNU_LIBC_VERSION") or ""  # "glibc 2.36"
    except (AttributeError, ValueError, OSError):
        return ""
    return value.removeprefix("glibc").strip()


def _newer_keyring(archive: Archive, say: Say) -> Path | None:
    """Unpack the newest verified `debian-archive-keyring` and return its keyring."""
    versions = query(archive, ["debian-archive-keyring"]).get("debian-archive-keyring")
    if not versions:
        return None
    say("fetching the archive's keyring, verified with this machine's keys")
    folder = archive.folder / "keyring"
    shutil.rmtree(folder, ignore_errors=True)
    unpack(download(archive, versions[:1]), folder)
    for name in ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg"):
        file = folder / "usr/share/keyrings" / name
        if file.is_file():
            return file.resolve()
    return None


def _is_whole(file: Path, sha256: str) -> bool:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except OSError:
        return False


__all__ = [
    "Archive",
    "Package",
    "Say",
    "apt_config",
    "choose",
    "compare",
    "download",
    "libc_version",
    "open_archive",
    "parse_depends",
    "parse_packages",
    "query",
    "resolve",
    "runs_with",
    "unpack",
]
