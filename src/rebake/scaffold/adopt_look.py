"""Looks at a project that exists: what its services are built from, and what can be taken over."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from rebake.errors import ProjectError, UsageError
from rebake.project.cargo import Workspace, read_manifest, read_workspace
from rebake.project.ignore import IgnoreMatcher, ignore_file
from rebake.project.javascript import read_package
from rebake.project.packages import LOCK_FILES, require_lock_file
from rebake.results import Manager
from rebake.scaffold import adopt_find as find
from rebake.scaffold.adopt_carry import carry, kind_of
from rebake.scaffold.adopt_compose import BuiltService, ComposeFile
from rebake.scaffold.adopt_ignore import ignore_text
from rebake.scaffold.adopt_mapped import Mapped, check_usable
from rebake.scaffold.adopt_view import Kind
from rebake.scaffold.adopt_words import Unfit

_BUN = re.compile(r"\bbun (?:install|i|run)\b")


class Ui(Struct, frozen=True):
    """The UI: its folder from the root, and what installs its packages."""

    path: str
    manager: Manager


class Facts(Struct, frozen=True):
    """What was found.

    Attributes:
        root: the project's folder.
        backend: the workspace's folder from the root; `.` for the root itself.
        workspace: the cargo workspace.
        lto: whether its release profile links with optimisation over all crates.
        codegen_units: parts of a crate, as that profile has it; 0 where it does not say.
        flags: whether it has flags for the compiler in `.cargo/config.toml`.
        ui: the UI, where a service is built from one.
        compose: the compose file.
        mapped: the services that go on the fast build.
        left: those that stay as they are, with the reason.
        ignores: the new ignore file of each half.
        notes: what else is worth a line.
    """

    root: Path
    backend: str
    workspace: Workspace
    compose: ComposeFile
    mapped: tuple[Mapped, ...]
    lto: bool = False
    codegen_units: int = 0
    flags: bool = False
    ui: Ui | None = None
    left: Mapping[str, str] = field(default_factory=dict)
    ignores: Mapping[Kind, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def look(root: Path, *, compose: str = "", backend: str = "") -> Facts:
    """Look at a project.

    Args:
        root: its folder.
        compose: the compose file, from there; found when empty.
        backend: the workspace's folder, from there; found when empty.

    Raises:
        UsageError: what is needed is not there, or there are two of it.
        ProjectError: a file can't be read.
    """
    files = find.files_of(root)
    if not compose:  # first: else a folder of many things is told of the first broken one
        find.require_compose(root, files)
    folder = find.workspace_folder(root, files, backend)
    workspace = read_workspace(root / folder)
    if not (root / folder / "Cargo.lock").is_file():
        raise ProjectError(
            root / folder / "Cargo.lock",
            "is not there, and the images' builds run with --locked",
            f"cargo generate-lockfile, in {root / folder}",
        )
    chosen, notes = find.compose_file(root, files, compose)
    return _Looking(root, folder, workspace, chosen, files).facts(notes)


class _Looking:
    def __init__(
        self, root: Path, backend: str, workspace: Workspace, compose: ComposeFile, files: list[str]
    ) -> None:
        self._root, self._backend, self._workspace = root, backend, workspace
        self._compose, self._files = compose, files
        self._ui: Ui | None = None
        self._theirs: dict[Kind, set[str]] = {}
        self._mapped: list[Mapped] = []

    def facts(self, notes: list[str]) -> Facts:
        left: dict[str, str] = {}
        built = sorted(self._compose.built, key=self._is_backend)  # the UI's folder is no backend's
        for service in built:
            try:
                self._map(service)
            except Unfit as reason:
                left[service.name] = str(reason)
                if "ui" not in self._theirs:  # no service of it was mapped
                    self._ui = None
        if all(one.carried.kind != "backend" for one in self._mapped):
            shown = self._compose.path.relative_to(self._root).as_posix()
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left.items())
            raise UsageError(
                f"no service of {shown} can go on the fast build"
                + (f": {reasons}" if reasons else ""),
                "supported: a Dockerfile that compiles a program of the workspace by cargo build "
                "--release in one stage, and copies it into another",
            )
        settings = self._cargo_settings()
        profiles = read_manifest(self._workspace.root / "Cargo.toml").get("profile", {})
        release = profiles.get("release", {})
        return Facts(
            self._root,
            self._backend,
            self._workspace,
            self._compose,
            tuple(self._mapped),
            lto=release.get("lto", False) in {True, "fat", "thin"},
            codegen_units=release.get("codegen-units", 0),
            flags="rustflags" in settings,
            ui=self._ui,
            left=left,
            ignores=self._ignores(),
            notes=tuple(notes),
        )

    def _is_backend(self, service: BuiltService) -> bool:
        try:
            text, _, _ = self._dockerfile(service)
        except Unfit:
            return True
        return kind_of(text, service.target) != "ui"

    def _dockerfile(self, service: BuiltService) -> tuple[str, Path, Path]:
        """The text of a service's Dockerfile, where it is, and the build context."""
        context = self._inside(self._compose.path.parent, service.context)
        file = self._inside(context, service.dockerfile)
        return _read(file, self._shown(file)), file, context

    def _shown(self, file: Path) -> str:
        return file.relative_to(self._root).as_posix()

    def _cargo_settings(self) -> str:
        """What is set for cargo in the workspace, as text."""
        folder = self._workspace.root / ".cargo"
        return "".join(
            (folder / name).read_text(encoding="utf-8", errors="replace")
            for name in ("config.toml", "config")
            if (folder / name).is_file()
        )

    def _map(self, service: BuiltService) -> None:
        if service.fault:
            raise Unfit(service.fault)
        text, dockerfile, context = self._dockerfile(service)
        shown = self._shown(dockerfile)
        kind = kind_of(text, service.target)
        if kind is None:
            raise Unfit(f"{shown} compiles nothing that rebake knows: cargo build, or run build")
        if kind == "backend":
            self._check_cargo()
        half = self._backend if kind == "backend" else self._ui_folder(context, text)
        theirs = self._ignored_by_them(half, context, dockerfile)
        matcher = IgnoreMatcher.parse(self._ignore(kind, half, theirs))
        taken_over = partial(
            carry,
            text,
            target=service.target,
            args=service.args,
            binaries=[binary.name for binary in self._workspace.binaries],
            context=_Context(self._root, context, half, matcher),
        )
        try:
            carried = taken_over(name="prod-ui")
            if carried.binary:  # now the program is known
                carried = taken_over(name=f"prod-{carried.binary}")
        except Unfit as reason:
            raise Unfit(f"{shown}: {reason}") from None
        mapped = Mapped(service, shown, carried)
        check_usable(mapped)
        self._check_fits(mapped)
        self._mapped.append(mapped)
        self._theirs.setdefault(kind, set()).add(theirs)

    def _check_fits(self, mapped: Mapped) -> None:
        """Refuse what can't be in one build with the services before it."""
        for other in self._mapped:
            if other.carried.kind != mapped.carried.kind:
                continue
            if other.name == mapped.name:
                if other.carried == mapped.carried:
                    continue  # one image, run twice
                raise Unfit(f"{mapped.name} has an image already, that of {other.service.name}")
            if other.carried.base != mapped.carried.base:
                raise Unfit(
                    f"{mapped.dockerfile} compiles on {mapped.carried.base}, and "
                    f"{other.dockerfile} on {other.carried.base}: one build makes all programs"
                )
            if other.carried.sources != mapped.carried.sources:
                raise Unfit(
                    f"{mapped.dockerfile} compiles in {mapped.carried.sources}, and "
                    f"{other.dockerfile} in {other.carried.sources}: one build makes all programs"
                )
            mine = mapped.carried.variables
            for name, value in other.carried.variables.items():
                if mine.get(name, value) != value:
                    raise Unfit(f"{name} is another one than for {other.service.name}")

    def _check_cargo(self) -> None:
        settings = self._cargo_settings()
        for line in settings.splitlines():
            word = line.split("=")[0].strip()
            if word in {"target", "target-dir", "rustc-wrapper"}:
                raise Unfit(f".cargo/config.toml sets {word}")

    def _ui_folder(self, context: Path, text: str) -> str:
        """The folder of the UI that is built from a context."""
        inside = [
            folder
            for name in self._files
            if name.rpartition("/")[2] == "package.json"
            for folder in [self._root / posixpath.dirname(name)]
            if folder.is_relative_to(context) and _builds(folder)
        ]
        exact = [folder for folder in inside if folder == context]
        found = exact or inside
        if len(found) != 1:
            raise Unfit("its package.json with a script build is not there, or there are several")
        path = found[0].relative_to(self._root).as_posix()
        if not find.is_plain(path):
            raise Unfit(f"{path!r}: a name with such characters can't be written down everywhere")
        if path == self._backend:
            raise Unfit("the UI and the cargo workspace share one folder")
        manager: Manager = "bun" if _BUN.search(text) else "npm"
        if not (found[0] / LOCK_FILES[manager]).is_file():
            raise Unfit(f"{path}: there is no {LOCK_FILES[manager]}; bun and npm are supported")
        require_lock_file(found[0], manager)
        if '"workspaces"' in (found[0] / "package.json").read_text(encoding="utf-8-sig"):
            raise Unfit(f"{path}/package.json has workspaces")
        if self._ui and self._ui.path != path:
            raise Unfit(f"there is a UI already, {self._ui.path}")
        self._ui = Ui(path, manager)
        return path

    def _ignored_by_them(self, half: str, context: Path, dockerfile: Path) -> str:
        """The ignore file of a build, where its context is ours; empty for none."""
        file = ignore_file(context, dockerfile)
        if file is None or context != self._root / half:
            return ""
        return file.read_text(encoding="utf-8", errors="surrogateescape")

    def _ignores(self) -> dict[Kind, str]:
        """The new ignore files: what travels too much does no harm, so in doubt only ours."""
        halves: dict[Kind, str] = {"backend": self._backend}
        if self._ui:
            halves["ui"] = self._ui.path
        return {
            kind: self._ignore(kind, halves[kind], next(iter(theirs)) if len(theirs) == 1 else "")
            for kind, theirs in self._theirs.items()
        }

    def _ignore(self, kind: Kind, half: str, theirs: str) -> str:
        other = self._backend if kind == "ui" else (self._ui.path if self._ui else "")
        return ignore_text(
            kind,
            half,
            theirs,
            other=other,
            compose=self._compose.path.relative_to(self._root).as_posix(),
            lock=_read(self._workspace.root / "Cargo.lock", "Cargo.lock"),
        )

    def _inside(self, folder: Path, name: str) -> Path:
        """A path that the compose file names; it must stay in the project."""
        if "://" in name or name.startswith("git@"):
            raise Unfit(f"it is built from {name}")
        found = Path(os.path.normpath(folder / name))
        if not found.is_relative_to(self._root) or not found.resolve().is_relative_to(
            self._root.resolve()
        ):
            raise Unfit(f"{name} leaves the project's folder")
        if not find.is_plain(found.relative_to(self._root).as_posix()):
            raise Unfit(f"{name!r}: a name with such characters can't be written down everywhere")
        if not found.exists():
            raise Unfit(f"{found.relative_to(self._root).as_posix()} is not there")
        return found


class _Context(Struct, frozen=True):
    """The build context of a service, as our half of it has its files."""

    root: Path
    theirs: Path
    half: str
    matcher: IgnoreMatcher

    def place(self, path: str) -> str:
        ours = self.root / self.half
        found = Path(os.path.normpath(self.theirs / path.lstrip("/")))
        if found == ours or not found.is_relative_to(ours):
            raise Unfit(f"{path} is not in {self.half}, or all of it")
        name = found.relative_to(ours).as_posix()
        if any(char in name for char in "*?["):
            there = next(ours.glob(name), None) is not None
        else:
            there = found.exists() and found.resolve().is_relative_to(self.root.resolve())
        if not there or self.matcher.excludes(name):
            raise Unfit(f"{path} is not there, or it is ignored")
        return path if self.theirs == ours else name

    def below(self, path: str) -> str | None:
        ours = self.root / self.half
        found = Path(os.path.normpath(self.theirs / path.lstrip("/")))
        if ours.is_relative_to(found):
            return ours.relative_to(found).as_posix()
        if found.is_relative_to(ours):
            return None
        raise Unfit(f"{path} lies outside of {self.half}")


def _builds(folder: Path) -> bool:
    """Whether the package.json in a folder has a script that builds; a broken one has none."""
    try:
        return "build" in read_package(folder).scripts
    except ProjectError:
        return False


def _read(file: Path, shown: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise Unfit(f"{shown} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unfit(f"{shown} is no UTF-8 text") from None
