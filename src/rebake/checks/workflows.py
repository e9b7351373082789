"""Rules for GitHub workflows that zizmor's usual audits do not hold.

- Container images are pinned by digest, as actions are by commit: `container`, `services`, and
  steps that use `docker://`.
- What a release ships is built without a cache: whoever can write to the cache (a pull request's
  run, a leaked token) could put their code into it. zizmor knows actions that cache; here are the
  ways that have no action of their own: options of docker builds and rebake's own settings.

A line with `# rebake: ignore[RULE] REASON` is left out; without a reason it is not.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from rebake.process import Outcome

if TYPE_CHECKING:
    from yaml import Node

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_EXPRESSION = "${{"
_CACHE_OPTION = re.compile(r"--(?:cache-from|cache-to)\b|--set[= ]\S*\.cache-(?:from|to)\b")
_CACHE_SETTING = re.compile(r"^(?:REBAKE_CACHE_REMOTE|SCCACHE_GHA_ENABLED|SCCACHE_BUCKET)$")
_CACHE_INPUTS = ("cache-from", "cache-to")
_PUBLISHES = re.compile(
    r"\bdocker(?:\s+(?:image|buildx\s+\w+|compose))?\s+[^\n]*(?:--push\b|\bpush\b)"
    r"|\b(?:cargo|npm|bun|pnpm|yarn)\s+publish\b|\btwine\s+upload\b|\bgh\s+release\s+(?:create|upload)\b"
    r"|\bcosign\s+(?:sign|attest)\b|\b(?:invoke|rebake)\s+sign\b"
)
_RELEASE_EVENTS = frozenset({"release", "registry_package"})
_IGNORE = re.compile(r"#\s*rebake:\s*ignore\[([\w-]+)\]\s+\S")


class Fault(Struct, frozen=True):
    """A broken rule.

    Attributes:
        line: where, from 1.
        rule: which: image-by-digest, release-cache, syntax.
        message: what is there, and what should be.
    """

    line: int
    rule: str
    message: str


def check(root: Path, names: Sequence[str]) -> Outcome:
    """Hold workflow files to the rules; each fault is a line `file:line: rule: message`."""
    started = time.monotonic()
    lines = [
        f"{name}:{fault.line}: {fault.rule}: {fault.message}"
        for name in names
        for fault in faults((root / name).read_text(encoding="utf-8"))
    ]
    text = "".join(f"{line}\n" for line in lines)
    return Outcome(("workflow rules",), int(bool(lines)), text, "", time.monotonic() - started)


def faults(text: str) -> list[Fault]:
    """Return what is wrong with a workflow, by line. Pure."""
    import yaml

    try:
        # Nodes, not values: they know their lines, and `on` stays a word.
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        return [Fault(line, "syntax", f"no YAML: {error.problem or error}")]
    if not isinstance(document, yaml.MappingNode):
        return [Fault(1, "syntax", "no workflow: a mapping with `on` and `jobs` was expected")]
    source = text.splitlines()
    found = sorted(set(_faults(document)), key=lambda fault: (fault.line, fault.rule))
    return [fault for fault in found if not _ignored(source[fault.line - 1], fault.rule)]


def _ignored(line: str, rule: str) -> bool:
    match = _IGNORE.search(line)
    return match is not None and match[1] == rule


def _faults(document: Node) -> Iterator[Fault]:
    released = _is_release(_get(document, "on"))
    releasing = ""
    for _, name, job in _entries(_get(document, "jobs")):
        yield from _images(job)
        if released or _publishes(job):
            releasing = releasing or name
            yield from _caches(name, job)
    if releasing:
        yield from _settings(releasing, _get(document, "env"))


def _images(job: Node) -> Iterator[Fault]:
    services = [service for _, _, service in _entries(_get(job, "services"))]
    for place in (_get(job, "container"), *services):
        image = place if _text(place) else _get(place, "image")
        yield from _image(image, _text(image))
    for step in _items(_get(job, "steps")):
        uses = _get(step, "uses")
        if _text(uses).startswith("docker://"):
            yield from _image(uses, _text(uses))


def _image(node: Node | None, ref: str) -> Iterator[Fault]:
    if node is not None and ref and not _DIGEST.search(ref) and not ref.startswith(_EXPRESSION):
        yield Fault(_line(node), "image-by-digest", f"{ref} has no digest: NAME:TAG@sha256:...")


def _caches(job: str, node: Node) -> Iterator[Fault]:
    yield from _settings(job, _get(node, "env"))
    for step in _items(_get(node, "steps")):
        yield from _settings(job, _get(step, "env"))
        for line, name, value in _entries(_get(step, "with")):
            if name in _CACHE_INPUTS and _text(value):
                yield _cached(line, job, f"`{name}`")
        run = _get(step, "run")
        for number, words in enumerate(_text(run).splitlines()):
            if run is not None and (option := _CACHE_OPTION.search(words)):
                # A block's text starts on the line after its `|`.
                first = _line(run) + (1 if getattr(run, "style", None) in {"|", ">"} else 0)
                yield _cached(first + number, job, f"`{option[0]}`")


def _settings(job: str, env: Node | None) -> Iterator[Fault]:
    for line, name, value in _entries(env):
        if _CACHE_SETTING.match(name) and _text(value) not in {"", "false"}:
            yield _cached(line, job, name)


def _cached(line: int, job: str, what: str) -> Fault:
    message = f"{what} in job {job}, which releases: build it without a cache"
    return Fault(line, "release-cache", message)


def _is_release(on: Node | None) -> bool:
    """Whether the workflow runs for a release or for a tag."""
    events = {_text(on), *(name for _, name, _ in _entries(on)), *(_text(i) for i in _items(on))}
    push = _get(on, "push")
    return bool(events & _RELEASE_EVENTS) or _get(push, "tags") is not None


def _publishes(job: Node) -> bool:
    for step in _items(_get(job, "steps")):
        if _PUBLISHES.search(_text(_get(step, "run"))):
            return True
        if _text(_get(_get(step, "with"), "push")) == "true":
            return True
    return False


# --- YAML's nodes ---------------------------------------------------------------------------


def _entries(node: Node | None) -> Iterator[tuple[int, str, Node]]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield _line(key), _text(key), value


def _items(node: Node | None) -> list[Node]:
    import yaml

    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _get(node: Node | None, name: str) -> Node | None:
    return next((value for _, key, value in _entries(node) if key == name), None)


def _text(node: Node | None) -> str:
    import yaml

    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
