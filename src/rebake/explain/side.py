"""One of the two builds that are compared: what it was made from. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.history.evidence import BakeTarget, Evidence, FileFacts
from rebake.history.records import BuildRecord, FileDigest, StepRecord
from rebake.project.dockerfile import Dockerfile, parse

RECIPE = "recipe"  # the name of the recipe's list in a build's inputs


class Side(Struct, frozen=True, dict=True):
    """What a build was made from, and what it did.

    Attributes:
        folders: the files of each build context that travelled, by the context's folder.
        recipe: the files that say how images are made, by their path from the project's root.
        facts: what is known of files, by the digest of their content.
        evidence: settings, bake targets, mounts and crates.
        modes: of each build context, by the context's folder (`history.evidence`).
        variables: of the bake file, by name.
        base_images: digests by reference.
        engine: versions by name.
        steps: what the builder did; empty for a build to come.
    """

    folders: Mapping[str, Mapping[str, FileDigest]]
    recipe: Mapping[str, FileDigest]
    facts: Mapping[str, FileFacts]
    evidence: Evidence
    variables: Mapping[str, str]
    base_images: Mapping[str, str]
    engine: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    steps: tuple[StepRecord, ...] = ()

    @classmethod
    def of(cls, record: BuildRecord, facts: Mapping[str, FileFacts] | None = None) -> Side:
        """Make one from the record of a build.

        Args:
            record: with its input files.
            facts: of the files that matter; more can be added by `knowing`.
        """
        evidence = record.evidence or Evidence()
        settings = evidence.settings
        folders = {
            clean(settings.get(f"{half}.path", half)): {file.path: file for file in files}
            for half, files in record.inputs.items()
            if half != RECIPE
        }
        return cls(
            folders=folders,
            recipe={file.path: file for file in record.inputs.get(RECIPE, ())},
            facts=facts or {},
            evidence=evidence,
            variables=record.arguments,
            base_images=record.base_images,
            engine=record.engine,
            modes={clean(settings.get(f"{h}.path", h)): m for h, m in evidence.modes.items()},
            steps=record.steps,
        )

    def knowing(self, facts: Mapping[str, FileFacts]) -> Side:
        """The same with more facts of files."""
        return replace(self, facts={**self.facts, **facts})

    def files(self) -> Iterator[tuple[str, FileDigest]]:
        """All files with their paths from the project's root, each once."""
        seen = set()
        for folder, files in self.folders.items():
            for path, file in files.items():
                whole = join(folder, path)
                seen.add(whole)
                yield whole, file
        for path, file in self.recipe.items():
            if path not in seen:
                yield path, file

    def folder(self, folder: str) -> Mapping[str, FileDigest] | None:
        """The files of a folder that is a build context, or None where they are not known."""
        folder = clean(folder)
        if folder in self.folders:
            return self.folders[folder]
        start = f"{folder}/" if folder else ""
        found = {p.removeprefix(start): f for p, f in self.recipe.items() if p.startswith(start)}
        return found or None

    def text(self, path: str) -> str | None:
        """The text of a file of the recipe, where it is kept."""
        file = self.recipe.get(clean(path))
        facts = self.facts.get(file.sha256) if file else None
        return facts.text if facts else None

    def arguments(self, target: str) -> dict[str, str]:
        """The build arguments of a bake target."""
        known = self.evidence.targets.get(target)
        if known is None:
            return dict(self.variables)
        found = {}
        for name, value in known.arguments.items():
            variable = value.removeprefix("$")
            own = value != variable and variable.isidentifier()
            found[name] = self.variables.get(variable, "") if own else value
        return found

    def variable_of(self, target: str, argument: str) -> str:
        """The bake variable that an argument takes its value from each time; empty for none."""
        known = self.evidence.targets.get(target)
        value = known.arguments.get(argument, "") if known else ""
        return value[1:] if value.startswith("$") else ""

    @cached_property
    def dockerfiles(self) -> dict[str, Dockerfile]:
        """The Dockerfiles whose text is kept, by path."""
        found = {}
        for path in {dockerfile_of(target) for target in self.evidence.targets.values()}:
            text = self.text(path)
            if text is not None:
                found[path] = parse(text)
        return found


def dockerfile_of(target: BakeTarget) -> str:
    """The path of a target's Dockerfile from the project's root."""
    return join(target.folder, target.dockerfile)


def clean(path: str) -> str:
    """A path from the project's root without `.`, `..` and doubled slashes; empty for the root."""
    found = posixpath.normpath(path.replace("\\", "/")) if path else ""
    return "" if found == "." else found


def join(folder: str, path: str) -> str:
    """A path below a folder, both from the project's root."""
    return clean(posixpath.join(clean(folder), path))


def digests(sides: Iterable[Side]) -> set[str]:
    """The digests of files that facts are needed of: those of the recipe and those that differ.

    With one side, or none that is like it, all files count as different: then only the recipe's
    and the lock files' are given, since nothing is compared.
    """
    first, *others = sides
    wanted = {file.sha256 for file in first.recipe.values()}
    wanted |= {f.sha256 for p, f in first.files() if p.endswith(("Cargo.toml", ".lock"))}
    for other in others:
        wanted |= {file.sha256 for file in other.recipe.values()}
        old, new = dict(other.files()), dict(first.files())
        for path in old.keys() | new.keys():
            pair = (old.get(path), new.get(path))
            if pair[0] != pair[1] or path.endswith(("Cargo.toml", ".lock")):
                wanted |= {file.sha256 for file in pair if file is not None}
    return wanted
