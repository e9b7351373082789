"""The scanners: from PATH, else built into a folder of ours, else out of an image.

A tool of ours is built from source with the Go toolchain: its module is fetched by the machine's
own Go settings (GOPROXY, GOSUMDB), its `h1:` sum is compared with the one that is pinned here, and
it is compiled inside its own module, whose go.sum then holds every dependency to its sum
(https://go.dev/ref/mod#go-sum-files). So the one sum covers all that goes into the program.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import platformdirs
from filelock import FileLock
from msgspec import Struct, field
from msgspec.structs import replace

from rebake.checks.tools import Docker, version_of
from rebake.errors import RebakeError, ScannerFailed, ToolRefused
from rebake.process import Command, run, which

Say = Callable[[str], None]
_PROBE_S = 60.0
_DOWNLOAD_S = 1800.0
_BUILD_S = 3600.0


class Recipe(Struct, frozen=True):
    """A scanner, and how it is had.

    Attributes:
        name: of the program.
        oldest: the oldest version whose flags and reports we know.
        denied: versions that must not be run, with the reason.
        version: the one that we build.
        module: its Go module; empty for one that we can't build.
        package: the program's package, below the module.
        sum: the module's `h1:` sum.
        stamp: the variable of the program that holds its version.
        env: variables that its build needs.
        image: an image that has it, with the version as its tag.
    """

    name: str
    oldest: tuple[int, ...]
    denied: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    module: str = ""
    package: str = ""
    sum: str = ""
    stamp: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    image: str = ""


TRIVY = Recipe(
    "trivy",
    oldest=(0, 63),  # the first that reads bun.lock
    denied={"0.69.4": "that release was malicious"},
    version="0.74.0",
    module="github.com/aquasecurity/trivy",
    package="./cmd/trivy",
    sum="h1:B2/h1Aehsq/zykg0jxpWUlOX7e3UXpbxjZZs/0vNlC4=",
    stamp="github.com/aquasecurity/trivy/pkg/version/app.ver",
    env={"GOEXPERIMENT": "jsonv2", "CGO_ENABLED": "0"},
    image="aquasec/trivy",
)
GRYPE = Recipe(
    "grype",
    oldest=(0, 88),  # the first whose database has schema 6
    version="0.121.3",
    module="github.com/anchore/grype",
    package="./cmd/grype",
    sum="h1:SBH6qbXbcNVR+1TATH4M4eOxxxKivl+cX1eSHurBgrY=",
    stamp="main.version",
    env={"CGO_ENABLED": "0"},
    image="anchore/grype",
)
SNYK = Recipe("snyk", oldest=(1, 1000))
RECIPES = {recipe.name: recipe for recipe in (TRIVY, GRYPE, SNYK)}


class LocalScanner(Struct, frozen=True):
    """A program of this machine."""

    path: Path
    version: str
    origin: str

    def command(self, argv: Sequence[str], **options: object) -> Command:
        """Return the command that runs it."""
        return Command.of(self.path, *argv, **options)


class ScannerInContainer(Struct, frozen=True):
    """A scanner out of an image; the folders that it works in are mounted under their own paths."""

    docker: Docker
    image: str
    version: str
    folders: tuple[Path, ...] = ()

    @property
    def origin(self) -> str:
        """Where it is from."""
        return f"image {self.image}"

    def command(self, argv: Sequence[str], **options: object) -> Command:
        """Return the `docker run` that does it."""
        words = ["run", "--rm", "--init", "--cap-drop", "ALL"]
        if sys.platform != "win32":
            words += ["--user", f"{os.getuid()}:{os.getgid()}"]
        for folder in self.folders:
            quoted = [f'"{part}={folder}"'.replace("\n", "") for part in ("source", "target")]
            words += ["--mount", ",".join(["type=bind", *quoted])]
        return self.docker.command(*words, self.image, *argv, **options)

    def with_folders(self, *folders: Path) -> ScannerInContainer:
        """Return the same with more folders."""
        return replace(self, folders=(*self.folders, *folders))


Scanner = LocalScanner | ScannerInContainer


def tool_folder() -> Path:
    """Return the folder that tools of ours are kept in, for all projects of this user."""
    return platformdirs.user_cache_path("rebake") / "tools"


def find(
    recipe: Recipe, *, say: Say, docker: Docker | None = None, fetch: bool = True
) -> Scanner | str:
    """Return a scanner, or why there is none.

    Args:
        recipe: which.
        say: told of what takes long.
        docker: the engine's client, for the way of last resort; None: there is no engine.
        fetch: whether the network may be asked for its source, or for an image.

    Raises:
        ToolRefused: the one on PATH is of a version that must not be run, or a checksum is wrong.
    """
    tried: list[str] = []
    on_path = which(recipe.name)
    if on_path is not None:
        version = version_told(on_path)
        refuse(recipe, version)
        if version_of(version) >= recipe.oldest:
            return LocalScanner(on_path, version, "PATH")
        wanted = ".".join(map(str, recipe.oldest))
        tried.append(f"{on_path} is {version or 'no program that runs'}, {wanted} is needed")
    ours = program_of(recipe)
    if ours.is_file():
        return LocalScanner(ours, recipe.version, "built by rebake")
    if recipe.module and fetch:
        try:
            return LocalScanner(make(recipe, say), recipe.version, "built by rebake")
        except ToolRefused:
            raise
        except RebakeError as error:
            tried.append(error.what)
    if docker is not None and recipe.image:
        image = f"{recipe.image}:{recipe.version}"
        if has_image(docker, image, fetch=fetch):
            return ScannerInContainer(docker, image, recipe.version)
        tried.append(f"no image {image}")
    return f"{recipe.name} ({'; '.join(tried) or 'not on PATH'})"


def refuse(recipe: Recipe, version: str) -> None:
    """Refuse a version that must not be run.

    Raises:
        ToolRefused: it is one.
    """
    reason = recipe.denied.get(version)
    if reason:
        instead = f"; {recipe.version} is good" if recipe.version else ""
        raise ToolRefused(
            f"{recipe.name} {version}", reason,
            f"remove it from this machine, and renew what it could read{instead}",
        )  # fmt: skip


def version_told(program: Path) -> str:
    """Return the version that a program tells, as text; empty when it does not run."""
    try:
        outcome = run(Command.of(program, "--version", timeout_s=_PROBE_S))
    except RebakeError:
        return ""
    parts = version_of(outcome.stdout) if outcome.ok else ()
    return ".".join(map(str, parts))


def has_image(docker: Docker, image: str, *, fetch: bool) -> bool:
    """Tell whether the engine has an image, or gets it."""
    try:
        if run(docker.command("image", "inspect", image, timeout_s=_PROBE_S)).ok:
            return True
        return fetch and run(docker.command("pull", "--quiet", image, timeout_s=_DOWNLOAD_S)).ok
    except RebakeError:
        return False


def program_of(recipe: Recipe) -> Path:
    """Return where a tool of ours is, be it there or not."""
    suffix = ".exe" if os.name == "nt" else ""
    return tool_folder() / f"{recipe.name}-{recipe.version}" / f"{recipe.name}{suffix}"


def make(recipe: Recipe, say: Say) -> Path:
    """Build a tool, one at a time on this machine, and return its program.

    Raises:
        ScannerFailed: there is no Go, or it does not compile.
        ToolRefused: the module's sum is not the pinned one.
    """
    program = program_of(recipe)
    go = which("go")
    if go is None:
        raise ScannerFailed(recipe.name, "it can't be built: no Go toolchain on PATH")
    program.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(program.parent) + ".lock"):
        if program.is_file():  # another one built it meanwhile
            return program
        say(f"building {recipe.name} {recipe.version} from source, once: this takes minutes")
        module = download(recipe, go)
        cache = program.parent / "build-cache"
        fresh = program.with_name(f"new-{program.name}")
        try:
            outcome = run(build_command(recipe, go, module, cache, fresh))
        finally:
            shutil.rmtree(cache, ignore_errors=True)
        if not outcome.ok or version_told(fresh) != recipe.version:
            raise ScannerFailed(recipe.name, "it does not compile here", tuple(outcome.tail(8)))
        fresh.replace(program)
    return program


def download(recipe: Recipe, go: Path) -> Path:
    """Fetch a module, hold it to its pinned sum, and return its folder.

    Raises:
        ScannerFailed: it can't be fetched.
        ToolRefused: its sum is another one.
    """
    words = ("mod", "download", "-json", f"{recipe.module}@v{recipe.version}")
    command = Command.of(go, *words, cwd=tool_folder(), timeout_s=_DOWNLOAD_S)
    outcome = run(command)
    try:
        told = json.loads(outcome.stdout)
        found, folder = str(told.get("Sum") or ""), str(told.get("Dir") or "")
    except (ValueError, AttributeError):
        found, folder = "", ""
    if not outcome.ok or not folder:
        raise ScannerFailed(recipe.name, "its source can't be fetched", tuple(outcome.tail(4)))
    if found != recipe.sum:
        raise ToolRefused(
            f"{recipe.name} {recipe.version}",
            f"its source has the sum {found}, and {recipe.sum} is pinned",
            "nothing was built; find out who changed it: go env GOPROXY",
        )
    return Path(folder)


def build_command(recipe: Recipe, go: Path, module: Path, cache: Path, program: Path) -> Command:
    """Return the command that compiles a tool inside its own module."""
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
    flags.append(f"-ldflags=-s -w -X {recipe.stamp}={recipe.version}")
    return Command.of(
        go, "build", *flags, "-o", program, recipe.package,
        cwd=module, env={**recipe.env, "GOCACHE": str(cache)},
        timeout_s=_BUILD_S, what=f"building {recipe.name}",
    )  # fmt: skip
