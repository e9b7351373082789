"""Reads where this machine gets its packages from: apt's own sources, both formats.

Nothing here knows an address: everything comes from the files under /etc/apt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from rebake.errors import CannotRun

# Debian's suites, oldest first. Names, not addresses; an archive that lacks one is no error.
DEBIAN_SUITES = ("bullseye", "bookworm", "trixie", "forky", "sid")


class Source(Struct, frozen=True):
    """One archive with one suite.

    Attributes:
        uri: where it is.
        suite: such as `bookworm`.
        components: such as `("main",)`.
        signed_by: a keyring's path, or a key itself, or empty for apt's trusted keys.
        options: further options of the entry (`arch`, `trusted`, …), which are kept.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def stanza(self) -> str:
        """The entry in deb822 format."""
        lines = [
            "Types: deb",
            f"URIs: {self.uri}",
            f"Suites: {self.suite}",
            f"Components: {' '.join(self.components)}",
        ]
        if self.signed_by:
            lines.append("Signed-By:" + _folded(self.signed_by))
        lines += [f"{name}: {value}" for name, value in self.options]
        return "\n".join(lines) + "\n"


class System(Struct, frozen=True):
    """What /etc/os-release says of this machine."""

    id: str
    like: tuple[str, ...]
    codename: str

    @property
    def debian_like(self) -> bool:
        """Whether it uses apt and dpkg."""
        return bool({"debian", "ubuntu"} & {self.id, *self.like})


def read_system(file: Path = Path("/etc/os-release")) -> System:
    """Read os-release; empty fields where the file is not there."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        text = ""
    fields = {
        name: value.strip("\"'")
        for name, _, value in (line.partition("=") for line in text.splitlines() if "=" in line)
    }
    return System(
        id=fields.get("ID", ""),
        like=tuple(fields.get("ID_LIKE", "").split()),
        codename=fields.get("VERSION_CODENAME", ""),
    )


def read_sources(folder: Path = Path("/etc/apt")) -> tuple[Source, ...]:
    """Read every binary-package source of `folder` that can be reached over a network."""
    sources: list[Source] = []
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if file.suffix == ".list":
            sources += parse_one_line(text)
        elif file.suffix == ".sources":
            sources += parse_deb822(text)
    return tuple(s for s in sources if not s.uri.startswith("cdrom:"))


def parse_one_line(text: str) -> list[Source]:
    """Read the one-line format: `deb [options] uri suite component…`."""
    sources = []
    for raw in text.splitlines():
        line = raw.split("#", 1)[0].strip()
        match = re.match(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$", line)
        if not match:
            continue
        options, uri, suite, components = match.groups()
        fields = {
            name.lower(): value
            for name, _, value in (word.partition("=") for word in (options or "").split())
        }
        signed_by = fields.pop("signed-by", "")
        sources.append(
            Source(uri, suite, tuple(components.split()), signed_by, _kept_options(fields))
        )
    return sources


def parse_deb822(text: str) -> list[Source]:
    """Read the stanza format; a stanza with several URIs or suites gives a source for each."""
    sources = []
    for stanza in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        sources += [
            Source(
                uri=uri,
                suite=suite,
                components=tuple(fields.get("components", "").split()),
                signed_by=fields.get("signed-by", ""),
                options=_kept_options(fields),
            )
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return sources


def archive_of(sources: Sequence[Source], system: System) -> Source:
    """Return the distribution's own archive: the source that holds its suite's `main`.

    Raises:
        CannotRun: apt has no such source.
    """
    for source in sources:
        if source.suite in {system.codename, "stable", "testing", "unstable", "sid"} and (
            "main" in source.components
        ):
            return source
    raise CannotRun(
        f"apt has no source for {system.codename or 'this system'}'s main archive",
        next_step="look at /etc/apt/sources.list and /etc/apt/sources.list.d, or install Docker",
    )


def suites_for(sources: Sequence[Source], system: System) -> tuple[Source, ...]:
    """Return the sources to take an engine's packages from, the machine's own suite first.

    On Debian, the newer suites of the same archive are added; elsewhere only what apt has.

    Raises:
        CannotRun: apt has no source for the system's main archive.
    """
    own = archive_of(sources, system)
    main = replace(own, components=("main",))
    if system.id == "debian" or own.suite in DEBIAN_SUITES:
        older = DEBIAN_SUITES.index(own.suite) if own.suite in DEBIAN_SUITES else -1
        newer = DEBIAN_SUITES[older + 1 :]
        return (main, *(replace(main, suite=suite) for suite in newer))
    own_components = ("main", "universe")
    return tuple(
        replace(source, components=components)
        for source in sources
        if source.suite.startswith(system.codename)
        and (components := tuple(c for c in source.components if c in own_components))
    )


def render(sources: Sequence[Source]) -> str:
    """Return a `.sources` file."""
    return "\n".join(source.stanza() for source in sources)


_KEPT = {"trusted": "Trusted", "architectures": "Architectures", "arch": "Architectures"}


def _kept_options(fields: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (_KEPT[name], value.replace(",", " ")) for name, value in fields.items() if name in _KEPT
    )


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in {" ", "\t"} and name:
            fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _folded(value: str) -> str:
    """A key in the file itself: continuation lines, a dot for an empty one."""
    lines = value.strip().splitlines()
    if len(lines) == 1:
        return f" {lines[0]}"
    return "".join(f"\n {line if line.strip() else '.'}" for line in lines)
