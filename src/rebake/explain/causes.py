"""Finds the causes of one step: whatever it reads that is not as it was. Pure.

Two builds are compared: the one whose step ran, and the one before it that had the step in the
builder's cache. A step's causes are looked for in what the builder itself looks at: its line in the
Dockerfile, the lines before it that it sees, its arguments, its base image, the files that it
copies or mounts, and the steps that it stands on. Where none of them is another one, the builder
has lost what it had.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import SequenceMatcher
from functools import cached_property

from msgspec.structs import replace

from rebake.explain import changes
from rebake.explain.graph import Graph, Key, Node, graph_of
from rebake.explain.model import Cause
from rebake.explain.side import Side, dockerfile_of
from rebake.history.evidence import Removal

NO_CACHE = "--no-cache"
SEED = "SEED"
_MOST_ALSO = 50  # further causes that are told


class Comparison:
    """Two builds of one bake target.

    Args:
        before: the older one.
        after: the newer one.
        target: the bake target.
        removed: what rebake removed in between, the newest first.
    """

    def __init__(
        self, before: Side, after: Side, target: str, removed: Sequence[Removal] = ()
    ) -> None:
        if not before.evidence.targets:  # from before they were kept: taken for the same ones
            kept = replace(before.evidence, targets=after.evidence.targets)
            before = replace(before, evidence=kept)
        self.before, self.after, self.target, self.removed = before, after, target, removed
        self.graph = graph_of(after, target)
        self._old: Graph = graph_of(before, target)
        self._aligned: dict[tuple[str, str], dict[int, int]] = {}
        self._direct_causes: dict[Key, list[Cause]] = {}
        self._changed: dict[Key, bool] = {}

    # what is not as it was

    def direct(self, node: Node) -> list[Cause]:
        """The causes of a step that are not another step."""
        if node.key not in self._direct_causes:
            self._direct_causes[node.key] = list(dict.fromkeys(self._direct(node)))[:_MOST_ALSO]
        return self._direct_causes[node.key]

    def causes(self, node: Node, ran: Collection[Key] | None = None) -> list[Cause]:
        """All causes of a step that ran, the nearest first; never empty.

        Args:
            node: the step.
            ran: the steps that ran; not known when None.
        """
        if NO_CACHE in self.after.evidence.settings.get("flags", ""):
            return [Cause("setting", NO_CACHE, "asked for")]
        found = list(self.direct(node))
        others = [parent for parent in node.parents if self.changed(parent)]
        # Another one that the builder had already is a cause too, if there is no nearer one.
        nearest = [parent for parent in others if ran is not None and parent in ran]
        found += [self._previous(parent) for parent in nearest or others]
        return found or [self.gone(node)]

    def changed(self, key: Key) -> bool:
        """Whether a step is not the one that it was: something that it reads is another one.

        A step that ran again and is the same one is no cause: what stands on it is still known
        to the builder by what it was made from.
        """
        if key not in self._changed:
            self._changed[key] = False  # for what goes in circles
            node = self.graph.nodes[key]
            self._changed[key] = bool(self.direct(node)) or any(map(self.changed, node.parents))
        return self._changed[key]

    def gone(self, node: Node) -> Cause:
        """The cause of a step of which nothing is another one."""
        for cause in changes.setting_changes(self.before, self.after, ("engine.address",)):
            return cause
        for read in node.folders:
            if self.after.folder(read.folder) is None:
                return Cause("file", read.folder, "its files are in no record")
        old = self._before(node)
        for name, seen in (
            (changes.AGAIN, changes.AGAIN in node.arguments),
            (SEED, old is not None and old.parents != node.parents),
        ):
            was, now = (side.variables.get(name, "") for side in self._sides)
            if seen and was != now:
                return changes.argument_change(
                    *self._sides, self.target, name=name, was=was, now=now
                )
        for cause in changes.setting_changes(self.before, self.after, ("engine.version",)):
            return cause
        detail = "by a prune by hand or by the engine's garbage collection"
        if self.removed:
            detail = f"removed by {self.removed[0].by}"
        return Cause("cache-gone", f"the cached layer of {node.label}", detail)

    def everything(self) -> list[Cause]:
        """All that is not as it was for this target, whether a step reads it or not."""
        found = []
        if NO_CACHE in self.after.evidence.settings.get("flags", ""):
            found = [Cause("setting", NO_CACHE, "asked for")]
        found += [cause for node in self.graph.nodes.values() for cause in self.direct(node)]
        if not self.graph.nodes:  # which files it reads is not known: all of them
            for folder in self.after.folders.keys() & self.before.folders.keys():
                found += changes.file_changes(*self._sides, folder)
        found += self._recipe()
        found += [c for ref in self._images() if (c := changes.image_change(*self._sides, ref))]
        names = ("engine.address", "engine.version", "rebake", "proxies", "host-settings.")
        found += changes.setting_changes(*self._sides, names)
        return list(dict.fromkeys(found))

    @property
    def old_mounts(self) -> frozenset[str]:
        """The cache mounts that the older build would have had."""
        return frozenset(mount for node in self._old.nodes.values() for mount in node.mounts)

    # one kind of cause after the other

    def _direct(self, node: Node) -> Iterator[Cause]:
        old = self._before(node)
        if self._old_text_is_lost(node.dockerfile):
            was, now = (side.recipe.get(node.dockerfile) for side in self._sides)
            yield Cause("file", node.dockerfile, changes.file_detail(*self._sides, was, now))
            for read in node.folders:
                yield from changes.file_changes(*self._sides, read.folder, read.paths)
            return
        yield from self._selected(node, old)
        if old is None:
            if (node.dockerfile, node.key.stage) in self._old.stages:
                yield self._line(node.dockerfile, node.instruction.line, node.instruction.word)
            elif not self._changed_selectors:
                yield self._line(node.dockerfile, self._from_line(node), "FROM")
        else:
            yield from self._seen(node, old)
            yield from self._arguments(node, old)
            yield from self._based(node, old)
        for read in node.folders:
            yield from changes.file_changes(*self._sides, read.folder, read.paths)

    def _selected(self, node: Node, old: Node | None) -> Iterator[Cause]:
        """Another stage than before, chosen by an argument in a `FROM`."""
        here = (node.dockerfile, node.key.stage) in self._old.stages
        stands = {(p.target, p.stage) for p in node.parents}
        stood = {(p.target, p.stage) for p in old.parents} if old else stands
        if here and stands == stood:
            return
        for (target, name), (was, now) in self._changed_selectors.items():
            if name == SEED:
                if now == "deps":
                    yield self._mount_gone()
                continue
            yield changes.argument_change(*self._sides, target, name=name, was=was, now=now)

    def _seen(self, node: Node, old: Node) -> Iterator[Cause]:
        """Lines such as `ENV` that a `RUN` sees."""
        if not self._dockerfile_changed(node.dockerfile):
            return
        lines = [text for _, text in node.environment]
        olds = [text for _, text in old.environment]
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, olds, lines, False).get_opcodes():
            if tag == "equal":
                continue
            if j2 > j1:
                line, text = node.environment[j1]
                yield self._line(node.dockerfile, line, text.split(" ", 1)[0])
            elif i2 > i1:
                word = old.environment[i1][1].split(" ", 1)[0]
                yield self._line(node.dockerfile, 0, f"{word} removed")

    def _arguments(self, node: Node, old: Node) -> Iterator[Cause]:
        """Build arguments with another value."""
        target = node.key.target
        for name in sorted(node.arguments.keys() | old.arguments.keys()):
            was, now = old.arguments.get(name), node.arguments.get(name)
            if was == now or self._follows(target, name, was or "", now or ""):
                continue
            if node.instruction.word != "RUN" and f"${name}" not in node.instruction.text.replace(
                "{", ""
            ):
                continue
            given = {**self.before.arguments(target), **self.after.arguments(target)}
            if name not in given:  # its default, or the line itself
                yield self._line(node.dockerfile, self._line_of(node, name), f"ARG {name}")
            else:
                yield changes.argument_change(
                    *self._sides, target, name=name, was=was or "", now=now or ""
                )

    def _based(self, node: Node, old: Node) -> Iterator[Cause]:
        """The images that it starts from or reads."""
        for ref in node.images:
            if ref in old.images:
                cause = changes.image_change(*self._sides, ref)
                if cause is not None:
                    yield cause
                continue
            chosen = [
                changes.argument_change(*self._sides, target, name=name, was=was, now=now)
                for (target, name), (was, now) in self._changed_selectors.items()
                if now and now in ref
            ]
            yield from chosen or [self._line(node.dockerfile, self._from_line(node), f"FROM {ref}")]

    def _recipe(self) -> Iterator[Cause]:
        old, new = self.before.recipe, self.after.recipe
        ours = {node.dockerfile for node in self.graph.nodes.values()}
        known = self.after.evidence.targets.values()
        others = {dockerfile_of(target) for target in known} - ours
        for path in sorted(old.keys() | new.keys()):
            if old.get(path) != new.get(path) and path not in others:
                yield from changes.of_file(
                    *self._sides, path=path, was=old.get(path), now=new.get(path)
                )

    # small questions

    @property
    def _sides(self) -> tuple[Side, Side]:
        return self.before, self.after

    @cached_property
    def _changed_selectors(self) -> dict[tuple[str, str], tuple[str, str]]:
        old, new = self._old.selectors, self.graph.selectors
        return {
            key: (old.get(key, ""), value)
            for key, value in new.items()
            if old and old.get(key, "") != value
        }

    def _images(self) -> set[str]:
        return {ref for node in self.graph.nodes.values() for ref in node.images}

    def _follows(self, target: str, name: str, was: str, now: str) -> bool:
        """Whether an argument's value follows from something else, which is the cause then."""
        variable = self.after.variable_of(target, name) or name
        if variable in changes.DERIVED:
            return True
        if variable == changes.AGAIN:
            return not now  # it was asked for before, and is not now
        return variable == SEED and was != now

    def _mount_gone(self) -> Cause:
        mounts = [m for n in self.graph.nodes.values() for m in n.mounts if "target" in m]
        detail = "filled from the dependency layer"
        if self.removed:
            detail = f"removed by {self.removed[0].by}; {detail}"
        return Cause("cache-gone", self.mount_name(mounts[-1] if mounts else ""), detail)

    def mount_name(self, mount: str) -> str:
        """A cache mount's name for a person: with the architecture, which the builder fills in."""
        start, sign, end = mount.partition("--")
        known = (*(self.before.evidence.mounts or ()), *(self.after.evidence.mounts or ()))
        real = [m for m in known if sign and m.startswith(f"{start}-") and m.endswith(f"-{end}")]
        name = real[0] if real else mount.replace("--", "-…-")
        return f"the cache mount {name}".rstrip()

    def _previous(self, parent: Key) -> Cause:
        node = self.graph.nodes[parent]
        return Cause("previous-step", node.label, self._root(node).text)

    def _root(self, node: Node) -> Cause:
        """What a changed step comes down to."""
        direct = self.direct(node)
        if direct:
            return direct[0]
        return self._root(self.graph.nodes[next(filter(self.changed, node.parents))])

    def _old_text_is_lost(self, path: str) -> bool:
        """Whether a Dockerfile was another one, of which only that is known."""
        return path in self.before.recipe and path not in self.before.dockerfiles

    def _dockerfile_changed(self, path: str) -> bool:
        return self.before.recipe.get(path) != self.after.recipe.get(path)

    def _line(self, path: str, line: int, what: str) -> Cause:
        was, now = self.before.recipe.get(path), self.after.recipe.get(path)
        words = [f"line {line}: {what}" if line else what]
        if was is not None and now is not None and was != now:
            words.append(changes.file_detail(self.before, self.after, was, now))
        return Cause("file", path, ", ".join(words))

    def _from_line(self, node: Node) -> int:
        file = self.after.dockerfiles.get(node.dockerfile)
        stage = file.stage(node.key.stage) if file else None
        return stage.line if stage else 0

    def _line_of(self, node: Node, argument: str) -> int:
        file = self.after.dockerfiles.get(node.dockerfile)
        stage = file.stage(node.key.stage) if file else None
        lines = [*(stage.instructions if stage else ()), *(file.globals if file else ())]
        for one in lines:
            if one.word == "ARG" and argument in one.rest.replace("=", " ").split():
                return one.line
        return 0

    def _before(self, node: Node) -> Node | None:
        """The same step of the older build; None where its line was not there or is another."""
        place = (node.dockerfile, node.key.stage)
        if place not in self._aligned:
            self._aligned[place] = self._align(*place)
        number = self._aligned[place].get(node.index)
        if number is None:
            return None
        stage = self.before.dockerfiles[node.dockerfile].stage(node.key.stage)
        count = len(stage.steps) if stage else 0
        return self._old.nodes.get(Key(node.key.target, node.key.stage, count - 1 - number))

    def _align(self, path: str, name: str) -> dict[int, int]:
        files = self.before.dockerfiles.get(path), self.after.dockerfiles.get(path)
        old, new = (file.stage(name) if file else None for file in files)
        if old is None or new is None:
            return {}
        texts = [i.text for i in old.steps], [i.text for i in new.steps]
        blocks = SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks()
        return {b.b + k: b.a + k for b in blocks for k in range(b.size)}
