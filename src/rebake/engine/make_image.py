"""Makes a base image from the package archive that this machine uses: mmdebstrap, then a layer."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from rebake import process
from rebake.engine import (
    apt_settings,
    apt_sources,
    install,
    npm_registry,
    oci,
    packages,
    recipes,
)
from rebake.engine.apt_sources import Source
from rebake.engine.packages import Archive, Say
from rebake.engine.privilege import Privilege
from rebake.engine.recipes import Recipe
from rebake.engine.work_folder import work_folder
from rebake.errors import CannotRun, ProgramMissing
from rebake.process import Command

LIMIT_S = 180.0
_ROOTFS_TOOL = Path(__file__).with_name("rootfs_tool.py")
_PERL_MODULES = ("English", "File::Find", "File::Temp", "IO::Select", "Socket", "Time::HiRes")
_TAR_OPTIONS = (
    "--format=posix",
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    "--sort=name",
    f"--mtime=@{oci.EPOCH}",
    "--clamp-mtime",
    "--numeric-owner",
)


class Workshop(Struct, frozen=True):
    """What making needs: the archive, mmdebstrap and how to become root.

    Attributes:
        archive: the private apt root.
        program: mmdebstrap and what stands before it.
        env: its variables.
    """

    archive: Archive
    program: tuple[str, ...]
    env: Mapping[str, str]
    privilege: Privilege


def open_workshop(privilege: Privilege, say: Say) -> Workshop:
    """Get ready to make images: fresh package lists, mmdebstrap at hand.

    Raises:
        CannotRun: this is no Debian-like system, or something needed can't be had.
        NoEngine: no package list could be fetched.
    """
    install.require_supported_system()
    system = apt_sources.read_system()
    sources = apt_sources.suites_for(apt_sources.read_sources(), system)
    cache = install.package_cache()
    cache.mkdir(parents=True, exist_ok=True)
    archive = packages.open_archive(cache, sources, say)
    program, env = _mmdebstrap(archive, say)
    return Workshop(archive, program, env, privilege)


def make(
    ref: str,
    recipe: Recipe,
    workshop: Workshop,
    load: Callable[[Path], None],
    say: Say,
) -> str:
    """Make the image under the name `ref`; return its digest.

    Args:
        ref: the name that Dockerfiles use.
        recipe: what goes in.
        workshop: see `open_workshop`.
        load: hands an image archive to the engine.
        say: told of each step.

    Raises:
        CannotRun: the archive lacks the version that `ref` names, or npm's registry the package.
        CommandFailed: a step failed.
        TimedOut: it took longer than three minutes.
    """
    deadline = time.monotonic() + LIMIT_S
    source = choose_source(ref, recipe, workshop.archive)
    say(f"{ref}: no registry answers, making it from {source.suite}'s packages")
    images = install.package_cache().parent / "images"  # beside the caches
    with work_folder(images, workshop.privilege) as folder:
        root = folder / "root"
        (folder / "from.sources").write_text(source.stanza(), encoding="utf-8")
        specification = _specification(recipe, folder)
        command = debootstrap_command(
            workshop.program, recipe, source.suite, folder, apt_settings.host_settings()
        )
        env: dict[str, str | None] = {
            **workshop.env,
            "SOURCE_DATE_EPOCH": str(oci.EPOCH),
            "TMPDIR": str(folder),
            "APT_CONFIG": None,
        }
        _as_root(workshop, Command(command, env=env), deadline, f"unpacking the packages of {ref}")
        say(f"{ref}: packages are in place")
        _as_root(
            workshop,
            Command.of(sys.executable, "-I", _ROOTFS_TOOL, root, specification),
            deadline,
            f"finishing {ref}",
        )
        version = _check_version(ref, recipe, root, workshop, deadline)
        layer = folder / "layer.tar"
        _as_root(
            workshop,
            Command.of("tar", *_TAR_OPTIONS, "-C", root, "-cf", layer, "."),
            deadline,
            f"packing {ref}",
        )
        archive = folder / "image.tar"
        settings = oci.Settings(
            env=recipe.env,
            cmd=recipe.cmd,
            workdir=recipe.workdir,
            labels={**recipe.labels, "dev.rebake.base-image.version": version},
        )
        digest = oci.write_archive(layer, archive, recipes.parse_reference(ref).full, settings)
        layer.unlink()
        load(archive)
    return digest


def choose_source(ref: str, recipe: Recipe, archive: Archive) -> Source:
    """Return the suite to take the packages from.

    Raises:
        CannotRun: no suite has the version that `ref` names.
    """
    fetched = [source for source in archive.sources if source.suite in archive.fetched()]
    versions: dict[str, list[str]] = {}
    if recipe.leading:
        outcome = process.run(archive.apt("apt-cache", "madison", recipe.leading))
        versions = parse_madison(outcome.stdout)
    suite = recipes.pick_suite(recipe, [source.suite for source in fetched], versions)
    for source in fetched:
        if source.suite == suite:
            return source
    have = sorted({version for found in versions.values() for version in found})
    raise CannotRun(
        f"{ref} can't be made here: the package archive has no {recipe.leading or recipe.name} "
        f"{recipe.version} (it has {', '.join(have) or 'none'})",
        next_step=f"name one of these versions in base_images.{recipe.name}, or use a machine "
        "that reaches a container registry",
    )


def parse_madison(text: str) -> dict[str, list[str]]:
    """Read `apt-cache madison`: the versions of a package in each suite."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 3 and fields[2].endswith("Packages"):  # noqa: PLR2004 - its columns
            suite = fields[2].split()[1].split("/")[0]
            found.setdefault(suite, []).append(fields[1])
    return found


def debootstrap_command(
    program: Sequence[str],
    recipe: Recipe,
    suite: str,
    folder: Path,
    settings: Sequence[str],
) -> tuple[str, ...]:
    """Return the command line that unpacks and configures the packages into `folder`/root.

    Documentation is deleted afterwards (`rootfs_tool`): to exclude it here costs 5 s an image.
    """
    apt_options = [
        'APT::Install-Recommends "false";',
        'Acquire::Languages "none";',
        'Dir::Etc::netrcparts "/etc/apt/auth.conf.d/";',
        *settings,
    ]
    return (
        *program,
        "--quiet",
        "--mode=root",
        "--variant=apt",
        "--format=directory",
        f"--include={','.join(recipe.packages)}",
        *(f"--aptopt={option}" for option in apt_options),
        "--dpkgopt=force-unsafe-io",
        suite,
        str(folder / "root"),
        str(folder / "from.sources"),
    )


def npm_package(recipe: Recipe, machine: str | None = None, cpu_flags: str | None = None) -> str:
    """Return the npm package that holds the binary for this processor."""
    architecture = oci.architecture(machine)
    if recipe.name == "node":
        return f"{recipe.npm}-{'arm64' if architecture == 'arm64' else 'x64'}"
    if architecture == "arm64":
        return f"{recipe.npm}-aarch64"
    flags = _cpu_flags() if cpu_flags is None else cpu_flags
    return f"{recipe.npm}-x64" + ("" if "avx2" in flags.split() else "-baseline")


def _specification(recipe: Recipe, folder: Path) -> Path:
    """Fetch what is not a package, and write down what the root folder gets besides."""
    files = []
    if recipe.npm:
        binary = folder / recipe.name
        npm_registry.fetch_file(
            npm_registry.find_registry(),
            npm_package(recipe),
            recipe.version,
            f"package/bin/{recipe.name}",
            binary,
        )
        files.append(
            {"source": str(binary), "path": f"usr/local/bin/{recipe.name}", "mode": "0755"}
        )
    trees = []
    for number, (path, package) in enumerate(recipe.trees.items()):
        name, _, version = package.rpartition("@")
        source = folder / f"tree-{number}"
        npm_registry.fetch_tree(npm_registry.find_registry(), name, version, source)
        trees.append({"source": str(source), "path": path})
    file = folder / "specification.json"
    document = {
        "folders": dict(recipe.folders),
        "links": dict(recipe.links),
        "users": [dict(user) for user in recipe.users],
        "files": files,
        "trees": trees,
    }
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def _check_version(
    ref: str, recipe: Recipe, root: Path, workshop: Workshop, deadline: float
) -> str:
    outcome = _as_root(
        workshop, Command.of("chroot", root, *recipe.check), deadline, f"trying {ref}"
    )
    words = outcome.stdout.split()
    version = words[1] if len(words) > 1 and words[0] == "rustc" else outcome.stdout.strip()
    version = version.removeprefix("v")  # as node writes it
    if not recipes.fits(version, recipe.version):
        raise CannotRun(
            f"{ref} names {recipe.name} {recipe.version}, but what was made has {version}",
            next_step=f"set base_images.{recipe.name} to a reference of {version}",
        )
    return version


def _as_root(workshop: Workshop, command: Command, deadline: float, what: str) -> process.Outcome:
    left = max(1.0, deadline - time.monotonic())
    limited = replace(workshop.privilege.command(command), timeout_s=left, what=what)
    return process.run(limited).check("the package archive's answer is above; try again")


def _mmdebstrap(archive: Archive, say: Say) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return how to run mmdebstrap: the machine's, or one unpacked into our cache."""
    found = process.which("mmdebstrap")
    if found is not None:
        return (str(found),), {}
    chosen = packages.resolve(archive, ["mmdebstrap"], packages.libc_version())
    folder = archive.folder / "tools" / f"mmdebstrap-{chosen[0].version}"
    if not (folder / "usr/bin/mmdebstrap").is_file():
        say("fetching mmdebstrap (into rebake's cache)")
        fresh = folder.with_name(f"{folder.name}.new-{os.getpid()}")
        packages.unpack(packages.download(archive, chosen), fresh)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    search = os.pathsep.join(
        [str(folder / "usr/bin"), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    )
    perl, env = _perl(archive, say)
    return (*perl, str(folder / "usr/bin/mmdebstrap")), {"PATH": search, **env}


def _perl(archive: Archive, say: Say) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return a perl with its standard modules: the machine's, completed from the archive if bare.

    A minimal Debian has perl without most modules; the modules of its own suite fit it.
    """
    words = [f"-M{module}" for module in _PERL_MODULES]
    try:
        if process.run(Command.of("perl", *words, "-e", "1", timeout_s=10.0)).ok:
            return ("perl",), {}
    except ProgramMissing:
        pass
    own = archive.sources[0].suite
    say("fetching perl's modules (into rebake's cache)")
    folder = archive.folder / "tools" / f"perl-{own}"
    chosen = _own_suite_perl(archive, own)
    if not (folder / "usr/bin/perl").is_file():
        packages.unpack(packages.download(archive, chosen), folder)
    triplets = [path.parent for path in folder.glob("usr/lib/*-linux-gnu*/perl-base")]
    libraries = [
        str(path)
        for pattern in ("usr/share/perl/5*", "usr/lib/*/perl/5*", "usr/lib/*/perl-base")
        for path in sorted(folder.glob(pattern))
        if path.is_dir()
    ]
    env = {
        "PERL5LIB": os.pathsep.join(libraries),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, triplets)),
    }
    return (str(folder / "usr/bin/perl"),), env


def _own_suite_perl(archive: Archive, suite: str) -> list[packages.Package]:
    """Return perl, its modules and its library in the version of one suite."""
    found: list[packages.Package] = []
    madison = process.run(archive.apt("apt-cache", "madison", "perl-base")).stdout
    versions = parse_madison(madison).get(suite, [])
    for package in packages.query(archive, ["perl-base"]).get("perl-base", []):
        if package.version in versions:
            found.append(package)
            break
    if not found:
        raise CannotRun(
            "perl is not on this machine and not in its package archive",
            next_step="apt-get install perl mmdebstrap",
        )
    major = ".".join(found[0].version.split(".")[:2])
    for name in (f"perl-modules-{major}", f"libperl{major}", f"libperl{major}t64"):
        for package in packages.query(archive, [name]).get(name, []):
            if package.version == found[0].version:
                found.append(package)
                break
    return found


def _cpu_flags() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "avx2"
    return next((line for line in text.splitlines() if line.startswith("flags")), "")
