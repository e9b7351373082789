"""The edits: real changes of a project's files, whose text can be found in what was built.

`contents` is pure: from the files as they were and what the sources shall say to the files as they
shall be. Each text is a static that the compiler must keep, so it is in the binary, or a value
that the UI's bundle sets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.benchmark.layout import Layout
from rebake.benchmark.scenarios import Edit

LABEL = "dev.rebake.benchmark.edit"
# Small crates without dependencies of their own, to be added one after the other.
SMALL_CRATES = (
    "hex", "fnv", "humantime", "static_assertions", "unicode-width", "matches", "void",
    "lazy_static", "scopeguard", "adler2", "bytecount", "unicode-xid", "opaque-debug",
)  # fmt: skip


class Manifests(Struct, frozen=True):
    """Cargo.toml of the edited crate and Cargo.lock, with further dependencies in them."""

    manifest: str
    lock: str
    added: tuple[str, ...] = ()


class Sources(Struct, frozen=True):
    """What the files shall say.

    Attributes:
        code: the text in the edited service, `shared` in the shared crate, `ui` in the UI.
        label: of the image's last stage; none when empty.
        dependencies: how many further dependencies the edited service has.
    """

    code: str = ""
    shared: str = ""
    ui: str = ""
    label: str = ""
    dependencies: int = 0


class Originals(Struct, frozen=True):
    """The files that are edited, as they were; by their path from the project's root."""

    texts: Mapping[str, str]
    manifests: Sequence[Manifests] = field(default_factory=tuple)


def edited(sources: Sources, edit: Edit, text: str) -> Sources:
    """What the sources say after one more edit.

    Args:
        sources: what they say now.
        edit: the kind.
        text: a text that was nowhere before.
    """
    match edit:
        case "code":
            return replace(sources, code=text)
        case "shared":
            return replace(sources, shared=text)
        case "ui":
            return replace(sources, ui=text)
        case "label":
            return replace(sources, label=text)
        case "dependency":
            return replace(sources, code=text, dependencies=sources.dependencies + 1)
        case _:
            return sources


def paths(layout: Layout, *, dockerfile: str = "") -> tuple[str, ...]:
    """The files that edits touch, from the project's root."""
    backend = [layout.code_file, layout.shared_file, layout.code_crate.manifest, "Cargo.lock"]
    found = [f"{layout.backend}/{path}" for path in backend if path]
    found += [f"{layout.ui}/{path}" for path in (layout.ui_entry, layout.ui_page) if path]
    return tuple(dict.fromkeys([*found, *([dockerfile] if dockerfile else [])]))


def contents(
    layout: Layout, originals: Originals, sources: Sources, *, dockerfile: str = ""
) -> dict[str, str]:
    """Every file that edits touch, as it shall be.

    Args:
        layout: the project.
        originals: the files as they were.
        sources: what they shall say.
        dockerfile: the Dockerfile that takes the label; none when empty.
    """
    found = dict(originals.texts)
    code, shared = f"{layout.backend}/{layout.code_file}", f"{layout.backend}/{layout.shared_file}"
    added: tuple[str, ...] = ()
    if sources.dependencies:
        manifests = originals.manifests[sources.dependencies - 1]
        added = manifests.added
        found[f"{layout.backend}/{layout.code_crate.manifest}"] = manifests.manifest
        found[f"{layout.backend}/Cargo.lock"] = manifests.lock
    found[code] += rust_static("CODE", sources.code, added)
    if layout.shared_file:
        found[shared] += rust_static("SHARED", sources.shared)
    if layout.ui:
        entry, page = f"{layout.ui}/{layout.ui_entry}", f"{layout.ui}/{layout.ui_page}"
        found[entry] += f'\nReflect.set(globalThis, "rebakeBenchmark", "{sources.ui}");\n'
        if layout.ui_page:
            found[page] = re.sub(r"(?i)</title>", f" · {sources.ui}</title>", found[page], count=1)
    if dockerfile and sources.label:
        found[dockerfile] += f'\nLABEL {LABEL}="{sources.label}"\n'
    return found


def rust_static(name: str, text: str, crates: Sequence[str] = ()) -> str:
    """Rust that puts a text into the binary, and uses crates so that they must be there."""
    uses = "".join(f"use {crate.replace('-', '_')} as _;\n" for crate in crates)
    value = f'[u8; {len(text.encode())}] = *b"{text}"'
    return f"\n{uses}#[used]\nstatic REBAKE_BENCHMARK_{name}: {value};\n"


def expected(layout: Layout, sources: Sources) -> dict[str, tuple[str, ...]]:
    """The texts that each image's binary or bundle must hold, by image."""
    found: dict[str, tuple[str, ...]] = {}
    for service in layout.services:
        texts = [sources.shared] if layout.shared_file else []
        if service == layout.code:
            texts.append(sources.code)
        found[service] = tuple(texts)
    if layout.ui:
        found["ui"] = (sources.ui,)
    return found


def new_crates(lock: str, count: int) -> tuple[str, ...]:
    """Choose `count` small crates that a lock-file does not have; fewer where they run out."""
    there = set(re.findall(r'(?m)^name = "([^"]+)"$', lock))
    return tuple(name for name in SMALL_CRATES if name not in there)[:count]
