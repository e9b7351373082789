"""What a service more, or less, changes in a project: a list of edits. Nothing is written."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from rebake.errors import NoPlace, UnknownName, UsageError
from rebake.project.cargo import read_manifest
from rebake.scaffold import cargo_lock, names, places
from rebake.scaffold.places import Service

if TYPE_CHECKING:
    from rebake.project.project import Project

_T = TypeVar("_T")
VERSION = "0.1.0"
NEEDS = ("app-service", "app-testing", "axum", "serde_json", "tokio")
IMAGE_TEST = "tests/e2e/test_images.py"
_FILES = {
    "Cargo.toml": "Cargo.toml.in",
    "src/lib.rs": "lib.rs.in",
    "src/main.rs": "main.rs.in",
    "tests/{library}.rs": "test.rs.in",
}
# Words of the compose files, the bake file and the stages; Rust's own crates.
_RESERVED = {
    **dict.fromkeys(("ui", "web"), "the UI"),
    **dict.fromkeys(("default", "deps", "dev", "backend-deps", "backend-dev"), "the bake file"),
    **dict.fromkeys(("ui-deps", "ui-dev", "backend"), "the bake file"),
    **dict.fromkeys(("all", "up", "clean", "prune", "help"), "docker/build.sh"),
    **dict.fromkeys(("std", "alloc", "test", "proc-macro"), "Rust itself"),
}


class Edit(Struct, frozen=True):
    """A file that changes.

    Attributes:
        path: where, from the project's root, with slashes.
        before: its text; None where it is new.
        after: what it is to be; None where it goes.
    """

    path: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> str:
        """In one word."""
        if self.before is None:
            return "new"
        return "gone" if self.after is None else "changed"

    @property
    def diff(self) -> str:
        """The change as a patch."""
        old, new = (
            text.splitlines(keepends=True) for text in (self.before or "", self.after or "")
        )
        names = (
            "/dev/null" if self.before is None else f"a/{self.path}",
            "/dev/null" if self.after is None else f"b/{self.path}",
        )
        return "".join(difflib.unified_diff(old, new, *names))


class Plan(Struct, frozen=True):
    """What is to be done.

    Attributes:
        name: the service.
        crate: its crate's folder, from the project's root, with slashes.
        edits: the files that change; those of the crate come first.
    """

    name: str
    crate: str
    edits: tuple[Edit, ...]

    @property
    def diff(self) -> str:
        """All changes as one patch."""
        return "".join(edit.diff for edit in self.edits)


def plan_addition(project: Project, name: str) -> Plan:
    """Plan a service more.

    Raises:
        UsageError: the name can't be used.
        NoPlace: a file was edited so that there is no place for it.
        ProjectError: the cargo workspace can't be used.
    """
    reader = _Reader(project)
    names.service_name(name, _taken(project, reader))
    others = tuple(project.config.backend.services)
    service = Service(name, others, variable_of(name))
    service = replace(
        service,
        dev_port=places.highest_port(reader.text(project.config.docker.compose_dev)) + 1,
        prod_port=places.highest_port(reader.text(project.config.docker.compose_prod)) + 1,
    )
    crate = f"{project.config.backend.path}/crates/{name}"
    edits = [Edit(f"{crate}/{path}", None, text) for path, text in crate_files(name).items()]
    edits += reader.edits(
        {
            "lock": lambda f, t: _locked(
                f, lambda: cargo_lock.with_member(t, name, VERSION, NEEDS)
            ),
            "dockerfile": lambda f, t: places.into_dockerfile(f, t, service),
            "prod": lambda f, t: places.into_compose(f, t, service, dev=False),
            "dev": lambda f, t: places.into_compose(f, t, service, dev=True),
            "bake": lambda f, t: places.into_bake(f, t, service),
            "config": lambda f, t: places.with_services(f, t, service.all, _default_services()),
            "test": lambda f, t: places.into_image_test(f, t, service),
        }
    )
    plan = Plan(name, crate, tuple(edits))
    _check_compose(project, plan, others, service.all)
    return plan


def plan_removal(project: Project, name: str) -> Plan:
    """Plan a service less.

    Raises:
        UnknownName: there is no such service of the backend.
        UsageError: something else needs it.
        NoPlace: a file was edited so that it can't be taken out by rule.
        ProjectError: the cargo workspace can't be used.
    """
    services = tuple(project.config.backend.services)
    if name not in services:
        raise UnknownName("service of the backend", name, services)
    others = tuple(each for each in services if each != name)
    if not others:
        raise UsageError(f"{name} is the only service of the backend", "add another one first")
    reader = _Reader(project)
    binary = project.workspace.binary(name)
    folder = project.backend / "crates" / name if binary is None else binary.crate
    crate = folder.relative_to(project.root).as_posix()
    package = name if binary is None else binary.package
    _check_unneeded(project, name, package, folder)
    service = Service(name, others, variable_of(name))
    edits = [Edit(path, text, None) for path, text in _files_in(project.root, folder)]
    edits += reader.edits(
        {
            "lock": lambda f, t: _locked(f, lambda: cargo_lock.without_member(t, package)),
            "dockerfile": lambda f, t: places.out_of_dockerfile(f, t, service),
            "prod": lambda f, t: places.out_of_compose(f, t, service, dev=False),
            "dev": lambda f, t: places.out_of_compose(f, t, service, dev=True),
            "bake": lambda f, t: places.out_of_bake(f, t, service),
            "config": lambda f, t: places.with_services(f, t, others, _default_services()),
            "test": lambda f, t: places.out_of_image_test(f, t, service),
        }
    )
    plan = Plan(name, crate, tuple(edits))
    _check_compose(project, plan, services, others)
    return plan


def crate_files(name: str) -> dict[str, str]:
    """Return the files of a new service's crate, by their place in it."""
    library = name.replace("-", "_")
    values = {
        "name": name,
        "library": library,
        "type": "".join(part.capitalize() for part in name.split("-")),
        "variable": variable_of(name),
    }
    folder = resources.files("rebake.scaffold").joinpath("service")
    return {
        path.format(library=library): Template(
            folder.joinpath(source).read_text(encoding="utf-8")
        ).substitute(values)
        for path, source in _FILES.items()
    }


def read(path: Path, errors: str = "strict") -> str:
    """Read a file's text with the line ends that it has."""
    with path.open(encoding="utf-8", errors=errors, newline="") as file:
        return file.read()


def variable_of(name: str) -> str:
    """Return a service's name as it stands in variables."""
    return name.upper().replace("-", "_")


class _Reader(Struct, frozen=True):
    project: Project

    def text(self, path: str) -> str:
        try:
            text = read(self.project.root / path)
        except FileNotFoundError:
            raise NoPlace(path, "it is not there") from None
        except (OSError, UnicodeDecodeError) as error:
            raise NoPlace(path, f"it can't be read: {error}") from None
        if "\r" in text:
            raise NoPlace(path, "its lines end with CR LF", "git add --renormalize .")
        return text

    def edits(self, changes: Mapping[str, Callable[[str, str], str]]) -> list[Edit]:
        docker, backend = self.project.config.docker, self.project.config.backend.path
        files = {
            "lock": f"{backend}/Cargo.lock",
            "dockerfile": f"{backend}/Dockerfile",
            "prod": docker.compose_prod,
            "dev": docker.compose_dev,
            "bake": docker.bake,
            "config": "rebake.toml",
            "test": IMAGE_TEST,
        }
        found = []
        for key, change in changes.items():
            path = files[key]
            if key == "test" and not (self.project.root / path).is_file():
                continue
            before = self.text(path)
            after = change(path, before)
            if after != before:
                found.append(Edit(path, before, after))
        return found


def _taken(project: Project, reader: _Reader) -> dict[str, str]:
    lock = f"{project.config.backend.path}/Cargo.lock"
    packages = _locked(lock, lambda: cargo_lock.packages_of(reader.text(lock)))
    taken = {each.name.replace("_", "-"): f"a package in {lock}" for each in packages}
    taken |= {each.name: "a crate of the workspace" for each in packages if each.member}
    crates = project.backend / "crates"
    taken |= {path.name: f"the folder {path}" for path in crates.glob("*")}
    taken |= dict.fromkeys(project.config.aliases, "an alias in rebake.toml")
    taken |= {binary.name: "a binary of the workspace" for binary in project.workspace.binaries}
    return taken | _RESERVED | dict.fromkeys(project.config.backend.services, "a service")


def _locked(file: str, deed: Callable[[], _T]) -> _T:
    try:
        return deed()
    except ValueError as error:  # tomllib's too
        raise NoPlace(file, str(error)) from None


def _default_services() -> tuple[str, ...]:
    import tomllib

    from rebake.config.load import defaults_text

    return tuple(tomllib.loads(defaults_text())["backend"]["services"])


def _check_unneeded(project: Project, name: str, package: str, folder: Path) -> None:
    """Refuse where another crate, container or binary depends on the service's crate."""
    if shared := [
        b.name for b in project.workspace.binaries if b.crate == folder and b.name != name
    ]:
        raise UsageError(
            f"the crate of {name} makes {shared[0]} as well", "give it a crate of its own first"
        )
    for member in project.workspace.members:
        if member == folder:
            continue
        manifest = read_manifest(member / "Cargo.toml")
        if package in _dependencies(manifest):
            raise UsageError(f"the crate {member.name} depends on {name}", "take that out first")
    root = read_manifest(project.backend / "Cargo.toml").get("workspace", {})
    if package in _dependencies({"dependencies": root.get("dependencies", {})}):
        raise UsageError(
            f"backend/Cargo.toml names {name} among the workspace's dependencies",
            "take that line out first",
        )
    for mode in ("prod", "dev"):
        file = project.compose_file(mode)
        for who, service in _services(file, file.read_text(encoding="utf-8")).items():
            if who != name and name in _words(service.get("depends_on") or ()):
                raise UsageError(f"{file.name}: {who} depends on {name}", "take that out first")


def _dependencies(manifest: Mapping[str, object]) -> set[str]:
    found: set[str] = set()
    for key, value in manifest.items():
        if not isinstance(value, dict):
            continue
        if key.endswith("dependencies"):
            found |= {
                str(entry.get("package", name)) if isinstance(entry, dict) else name
                for name, entry in value.items()
            }
        elif key == "target":
            for table in value.values():
                found |= _dependencies(table)
    return found


def _words(value: object) -> set[str]:
    return {str(word) for word in value} if isinstance(value, Iterable) else set()


def _files_in(root: Path, folder: Path) -> list[tuple[str, str]]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            text = read(path, errors="replace")
            found.append((path.relative_to(root).as_posix(), text))
    return found


def _services(file: Path, text: str) -> dict[str, dict[str, object]]:
    import yaml

    # Eight times as fast where it is there; four files are read for each service.
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        services = yaml.load(text, Loader=loader)["services"]  # noqa: S506 - both are safe
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise NoPlace(file.name, f"it can't be read: {' '.join(str(error).split())}") from None
    return {str(name): entry for name, entry in services.items()}


def _check_compose(
    project: Project, plan: Plan, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    """See to it that the compose files have the services that are meant, the others as before."""
    changed = {edit.path: edit for edit in plan.edits}
    for mode in ("prod", "dev"):
        file = project.compose_file(mode)
        edit = changed[file.relative_to(project.root).as_posix()]
        old, new = _services(file, edit.before or ""), _services(file, edit.after or "")
        wanted = (set(old) - set(before)) | set(after)
        same = all(
            {**old[who], "command": 0} == {**new[who], "command": 0} for who in old if who in new
        )
        if set(new) != wanted or not same:
            raise NoPlace(edit.path, "its services are not written as the template writes them")
