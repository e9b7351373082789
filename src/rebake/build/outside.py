"""Finds the images that a build takes in and that `rebake.toml` does not name.

A Dockerfile may start from any image, copy out of one or mount one, and the bake file may name one
as a context. Which of them take part is told by the bake targets and the Dockerfiles; what they
hold is told by the engine, as a digest. Where either can't be told, nobody knows whether anything
changed, and an image is built.

The digests are asked for before the build, so that an image which gets another content while the
build runs counts as changed the next time. They stand among the base images of the build's record.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product

from msgspec import Struct

from rebake.build.plan import RECIPE, BuildPlan
from rebake.engine.client import ImageInfo
from rebake.errors import ProjectError
from rebake.history.evidence import BakeTarget
from rebake.history.records import FileDigest, StoredBuild
from rebake.project.dockerfile import Dockerfile, Stage, read_dockerfile, reads
from rebake.project.dockerfile_words import Instruction, expand

SETTING = "images from outside of "
_VARIABLE = re.compile(r"\$\{?(\w+)")
_IMAGE = "docker-image://"
_TARGET = "target:"
# What a build chooses by itself: it may be another one each time, so all of them count.
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "$SEED": ("none", "deps"),
    "online": ("online", "offline"),
    "offline": ("online", "offline"),
}
_MOST_CHOICES = 16


class Outside(Struct, frozen=True):
    """What an image takes in from outside.

    Attributes:
        images: references without a digest, as they are written.
        doubt: why it can't be told; empty where it can.
    """

    images: frozenset[str] = frozenset()
    doubt: str = ""

    def text(self) -> str:
        """As a setting of a build's record."""
        return json.dumps([sorted(self.images), self.doubt])


def read(text: str | None) -> Outside | None:
    """Read a setting; None where there is none."""
    if text is None:
        return None
    try:
        images, doubt = json.loads(text)
        return Outside(frozenset(map(str, images)), str(doubt))
    except (ValueError, TypeError):
        return None


def settings_in(settings: Mapping[str, str]) -> dict[str, str]:
    """Those settings of a record that say what its images take in."""
    return {name: text for name, text in settings.items() if name.startswith(SETTING)}


class Recipe(Struct, frozen=True):
    """What tells which images take part.

    Attributes:
        targets: the bake targets, by name; empty where bake did not tell them.
        dockerfiles: the Dockerfiles that are digested, by their path from the project's root.
        folders: the folders that are digested, from the project's root.
        known: the images whose digest is asked for anyway.
    """

    targets: Mapping[str, BakeTarget]
    dockerfiles: Mapping[str, Dockerfile]
    folders: Collection[str]
    known: Collection[str]


class Doubt(Exception):
    """It can't be told; the text is the reason."""


def of_target(recipe: Recipe, name: str) -> Outside:
    """Say what the image of a bake target takes in. Pure."""
    if not recipe.targets:
        return Outside(doubt="bake does not tell what the image is made of")
    found: set[str] = set()
    try:
        _Walk(recipe, found).target(name)
    except Doubt as doubt:
        return Outside(frozenset(found), str(doubt))
    return Outside(frozenset(image for image in found if image not in recipe.known))


class _Walk:
    """Goes through all that a target is made of; collects the images."""

    def __init__(self, recipe: Recipe, found: set[str]) -> None:
        self._recipe, self._found = recipe, found
        self._seen: set[str] = set()

    def target(self, name: str) -> None:
        if name in self._seen:
            return
        self._seen.add(name)
        target = self._recipe.targets.get(name)
        if target is None:
            raise Doubt(f"bake does not tell what {name} is made of")
        path = join(target.folder, target.dockerfile)
        file = self._recipe.dockerfiles.get(path)
        if file is None:
            raise Doubt(f"{path} is none of the files whose changes are seen")
        if clean(target.folder) not in self._recipe.folders:
            raise Doubt(f"the bake file takes {target.folder} as a context")
        syntax = target.arguments.get("BUILDKIT_SYNTAX") or file.syntax
        if syntax and "@sha256:" not in syntax:
            raise Doubt(f"{path} is read by {syntax}: only name@sha256:… is the same each time")
        for given in choices(target.arguments):
            stages = _Stages(self, target, file, file.global_values(given))
            stages.walk(file.stage(target.stage))

    def image(self, ref: str) -> None:
        if "$" in ref:
            raise Doubt(f"nobody gives the image {ref} a name")
        if "@sha256:" not in ref:
            self._found.add(ref)


class _Stages:
    """Goes through the stages of one target, with one choice of its arguments."""

    def __init__(
        self, walk: _Walk, target: BakeTarget, file: Dockerfile, values: Mapping[str, str]
    ) -> None:
        self._walk, self._target, self._file, self._values = walk, target, file, values
        self._contexts = {familiar(name): place for name, place in target.contexts.items()}
        self._seen: set[str] = set()

    def walk(self, stage: Stage | None) -> None:
        if stage is None:
            raise Doubt(f"the stage {self._target.stage!r} is not in its Dockerfile")
        if stage.name in self._seen:
            return
        self._seen.add(stage.name)
        if (named := self._contexts.get(stage.name)) is not None:  # it stands for the stage
            self._context(named)
            return
        for name in _VARIABLE.findall(stage.base):
            if name not in self._values:
                raise Doubt(f"FROM {stage.base}: nobody gives {name} a value")
        base = expand(stage.base, self._values)
        self._source(base, self._file.above(stage, base))
        for instruction in stage.instructions:
            for source in _sources(instruction):
                self._source(source, self._file.stage(source))

    def _source(self, source: str, stage: Stage | None) -> None:
        """A named context, a stage or an image; contexts come first, as in the builder."""
        named = self._contexts.get(familiar(source))
        if named is not None:
            self._context(named)
        elif stage is not None:
            self.walk(stage)
        elif source not in {"", "scratch"}:
            self._walk.image(source)

    def _context(self, place: str) -> None:
        if place.startswith(_TARGET):
            self._walk.target(place.removeprefix(_TARGET))
        elif place.startswith(_IMAGE):
            self._walk.image(place.removeprefix(_IMAGE))
        # Folders are looked at by `doubts`.


def _sources(instruction: Instruction) -> Iterator[str]:
    """What a step reads beside the build context.

    The builder takes these names as they stand; where one holds a variable, nothing is known.
    """
    if instruction.word == "ONBUILD":
        if "from=" in instruction.rest:
            raise Doubt("an ONBUILD takes from somewhere")
        return
    given = [instruction.flag("from") or ""]
    if instruction.word == "RUN":
        given = [mount.get("from", "") for mount in instruction.mounts()]
    for name in given:
        if "$" in name:
            raise Doubt(f"a {instruction.word} takes from {name}")
    yield from (one.source for one in reads(instruction, {}) if one.source)


def choices(arguments: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The arguments with each value that a build may choose for them."""
    names = [name for name, value in arguments.items() if value in _CHOICES]
    several = [_CHOICES[arguments[name]] for name in names]
    combinations = list(product(*several))
    if len(combinations) > _MOST_CHOICES:
        raise Doubt("the bake file leaves too many arguments open")
    for values in combinations:
        yield {**arguments, **dict(zip(names, values, strict=True))}


def guess(dockerfiles: Iterable[Dockerfile], variables: Mapping[str, str]) -> set[str]:
    """Return images that may take part, where bake has not told its targets yet. Pure."""
    found = set()
    for file in dockerfiles:
        values = file.global_values(variables)
        stages = {stage.name for stage in file.stages}
        for stage in file.stages:
            names = [expand(stage.base, values)]
            names += [one.source for step in stage.instructions for one in reads(step, {})]
            found |= {name for name in names if name and name.lower() not in stages}
    return {name for name in found if name != "scratch" and "@" not in name and "$" not in name}


# the deed


Ask = Callable[[str], ImageInfo | None]


def recipe_of(
    plan: BuildPlan,
    files: Iterable[FileDigest],
    targets: Mapping[str, BakeTarget],
    known: Collection[str],
) -> Recipe:
    """Read the Dockerfiles of a plan.

    Args:
        plan: the build.
        files: its recipe, of which only what was digested counts.
        targets: the bake targets, where they are known.
        known: the images whose digest is asked for anyway.
    """
    places = [*plan.folders.values(), plan.bake_file.parent / "tools"]
    folders = {p.relative_to(plan.root).as_posix() for p in places if p.is_relative_to(plan.root)}
    named = {join(target.folder, target.dockerfile) for target in targets.values()}
    dockerfiles = {}
    for path in (file.path for file in files):
        if path in named or _is_dockerfile(path.rpartition("/")[2]):
            with contextlib.suppress(ProjectError):  # in doubt, then
                dockerfiles[path] = read_dockerfile(plan.root / path)
    return Recipe(targets, dockerfiles, {clean(one) for one in folders}, known)


def _is_dockerfile(name: str) -> bool:
    return name.partition(".")[0] == "Dockerfile" and not name.endswith(".dockerignore")


class Images:
    """The images from outside of one build.

    Args:
        plan: the build.
        inputs: its files.
        known: the images whose digest is asked for anyway, with their digests.
        ask: tells what the engine has under a reference.
    """

    def __init__(
        self,
        plan: BuildPlan,
        inputs: Mapping[str, Sequence[FileDigest]],
        known: Mapping[str, str],
        ask: Ask,
    ) -> None:
        self._plan, self._files, self._known, self._ask = plan, inputs[RECIPE], known, ask
        self._recipe: Recipe | None = None
        self._settings: tuple[Recipe, dict[str, str]] | None = None
        self._digests: Future[dict[str, str]] = Future()
        self._digests.set_result({})

    def begin(self, targets: Mapping[str, BakeTarget] | None) -> None:
        """Before a build: ask for the digests, in a thread of its own.

        Args:
            targets: the bake targets; None where bake is still being asked.
        """
        recipe = recipe_of(self._plan, self._files, targets or {}, self._known)
        if targets:
            found = [of_target(recipe, target).images for target in self._plan.targets]
            refs = frozenset[str]().union(*found)
        else:
            refs = frozenset(guess(recipe.dockerfiles.values(), self._plan.all_variables))
        refs -= self._known.keys()
        if refs:
            pool = ThreadPoolExecutor(max_workers=1)
            self._digests = pool.submit(self._digests_of, refs)
            pool.shutdown(wait=False)

    def wait(self) -> None:
        """Wait until what `begin` asked for is known: from then on the build may begin."""
        self._digests.result()

    def settings(self, targets: Mapping[str, BakeTarget]) -> dict[str, str]:
        """What each image takes in, for the record; `targets` are all known by now."""
        recipe = self.recipe(targets)
        if self._settings is None or self._settings[0] is not recipe:
            self._settings = (
                recipe,
                {
                    SETTING + image.service: of_target(recipe, image.target).text()
                    for image in self._plan.images
                },
            )
        return self._settings[1]

    def recipe(self, targets: Mapping[str, BakeTarget]) -> Recipe:
        """What tells what the images are made of; `targets` are all known by now."""
        if self._recipe is None or self._recipe.targets is not targets:
            self._recipe = recipe_of(self._plan, self._files, targets, self._known)
        return self._recipe

    def base_images(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The digests of those that take part, by reference."""
        wanted: set[str] = set()
        for text in settings_in(settings).values():
            if (one := read(text)) is not None:
                wanted |= one.images
        return {ref: digest for ref, digest in self._digests.result().items() if ref in wanted}

    def unlike(self, lasts: Mapping[str, StoredBuild]) -> tuple[bool, str]:
        """Compare with builds of the very same recipe, by service.

        Returns:
            Whether an image is another one than it was, and why that can't be told (empty where it
            can).
        """
        taken = {s: read(b.record.settings.get(SETTING + s)) for s, b in lasts.items()}
        refs = frozenset[str]().union(*(one.images for one in taken.values() if one))
        now = self._digests_of(refs)
        for service, one in taken.items():
            if one is None:
                return False, "it is not recorded which images it takes in"
            if one.doubt:
                return False, one.doubt
            for ref in sorted(one.images):
                if ref not in now:
                    return False, (
                        f"the engine has no image {ref}, so its digest is not known: docker pull "
                        "it, or write name@sha256:…"
                    )
                was = lasts[service].record.base_images.get(ref)
                if was is None:
                    return False, f"the digest of {ref} in the last build is not known"
                if was != now[ref]:
                    return True, ""
        return False, ""

    def _digests_of(self, refs: Collection[str]) -> dict[str, str]:
        return _digests(refs, self._ask)


def digests_now(settings: Mapping[str, str], ask: Ask) -> dict[str, str]:
    """The digests now of the images from outside that a record's settings name."""
    taken = [one for text in settings_in(settings).values() if (one := read(text)) is not None]
    return _digests(frozenset[str]().union(*(one.images for one in taken)), ask)


def _digests(refs: Collection[str], ask: Ask) -> dict[str, str]:
    if not refs:
        return {}
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = dict(zip(refs, pool.map(ask, refs), strict=True))
    return {ref: info.digest or info.id for ref, info in answers.items() if info is not None}


def familiar(name: str) -> str:
    """A name as the builder looks contexts up by it."""
    for start in ("docker.io/library/", "docker.io/"):
        name = name.removeprefix(start)
    return name.removesuffix(":latest").lower()


def clean(path: str) -> str:
    """A folder as it is compared: with slashes, without `.` and `..`; empty for the root."""
    found = posixpath.normpath(path.replace("\\", "/")) if path else ""
    return "" if found == "." else found


def join(folder: str, path: str) -> str:
    """A path below a folder, in the same form."""
    return clean(posixpath.join(clean(folder), path))
