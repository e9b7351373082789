"""Reads what the package archive has and chooses versions as dpkg compares them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

# What every system has, or what only an installation (not a program that runs) needs.
_NOT_NEEDED = frozenset(
    (
        *("libc6", "libgcc-s1", "debconf", "debconf-2.0", "cdebconf", "init-system-helpers"),
        *("systemd", "systemd-standalone-sysusers", "systemd-sysusers", "sysvinit-utils"),
        *("adduser", "netbase", "lsb-base", "apt", "dpkg", "python3", "perl", "perl-base"),
        "perl:any",
    )
)


class Package(Struct, frozen=True):
    """One version of a package in the archive.

    Attributes:
        depends: for each dependency its alternatives, each (name, operator, version).
        size: bytes to download.
        installed: bytes when unpacked.
    """

    name: str
    version: str
    depends: tuple[tuple[tuple[str, str, str], ...], ...]
    size: int
    installed: int
    sha256: str
    filename: str

    @property
    def file_name(self) -> str:
        """The name that `apt-get download` gives to the file."""
        architecture = self.filename.rsplit("_", 1)[-1]
        return f"{self.name}_{self.version.replace(':', '%3a')}_{architecture}"


def choose(
    known: Mapping[str, Sequence[Package]], names: Sequence[str], libc: str
) -> tuple[tuple[Package, ...], set[str]]:
    """The pure half of `resolve`: what is chosen so far, and which names must be looked up."""
    chosen: dict[str, Package] = {}
    missing: set[str] = set()
    pins: dict[str, str] = {}
    queue = list(names)
    while queue:
        name = queue.pop(0)
        if name in chosen:
            continue
        candidates = [
            package
            for package in known.get(name, ())
            if runs_with(package, libc) and pins.get(name, package.version) == package.version
        ]
        if not candidates:
            missing.add(name)
            continue
        chosen[name] = candidates[0]
        for alternatives in candidates[0].depends:
            if any(alternative[0] in _NOT_NEEDED for alternative in alternatives):
                continue
            dependency, operator, version = alternatives[0]
            if operator == "=":
                pins[dependency] = version
            queue.append(dependency)
    return tuple(sorted(chosen.values(), key=lambda p: p.name)), missing


def runs_with(package: Package, libc: str) -> bool:
    """Tell whether the package's binaries run with version `libc` of the C library."""
    return all(
        compare(version, libc) <= 0
        for alternatives in package.depends
        for name, operator, version in alternatives
        if name == "libc6" and operator in {">=", ">>"}
    )


def parse_packages(text: str) -> list[Package]:
    """Read what `apt-cache show` prints."""
    packages = []
    for stanza in text.split("\n\n"):
        fields = {
            name: value.strip()
            for name, separator, value in (line.partition(":") for line in stanza.splitlines())
            if separator and not name.startswith((" ", "\t"))
        }
        if "Package" not in fields or "Filename" not in fields:
            continue
        depends = ",".join(fields[name] for name in ("Pre-Depends", "Depends") if fields.get(name))
        packages.append(
            Package(
                name=fields["Package"],
                version=fields["Version"],
                depends=parse_depends(depends),
                size=int(fields.get("Size", "0")),
                installed=int(fields.get("Installed-Size", "0")) * 1024,
                sha256=fields.get("SHA256", ""),
                filename=fields["Filename"],
            )
        )
    return packages


def parse_depends(text: str) -> tuple[tuple[tuple[str, str, str], ...], ...]:
    """Read a dependency line: `a (>= 1) | b, c`."""
    pattern = re.compile(r"\s*([^\s(\[]+)\s*(?:\(\s*([<>=]+)\s*([^)\s]+)\s*\))?")
    found = []
    for group in text.split(","):
        matches = [pattern.match(word) for word in group.split("|")]
        alternatives = tuple((m[1], m[2] or "", m[3] or "") for m in matches if m)
        if alternatives:
            found.append(alternatives)
    return tuple(found)


def compare(one: str, other: str) -> int:
    """Compare two Debian versions as dpkg does: negative, 0 or positive."""
    epoch_a, upstream_a, revision_a = _split(one)
    epoch_b, upstream_b, revision_b = _split(other)
    return (
        (epoch_a > epoch_b) - (epoch_a < epoch_b)
        or _compare_part(upstream_a, upstream_b)
        or _compare_part(revision_a, revision_b)
    )


def _split(version: str) -> tuple[int, str, str]:
    epoch, separator, rest = version.partition(":")
    if not separator:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch) if epoch.isdigit() else 0, upstream, revision


def _order(character: str) -> int:
    if character == "~":
        return -1
    if character.isalpha():
        return ord(character)
    return ord(character) + 256


def _compare_part(one: str, other: str) -> int:
    while one or other:
        text_a, one = _take(one, digits=False)
        text_b, other = _take(other, digits=False)
        for index in range(max(len(text_a), len(text_b))):
            order_a = _order(text_a[index]) if index < len(text_a) else 0
            order_b = _order(text_b[index]) if index < len(text_b) else 0
            if order_a != order_b:
                return order_a - order_b
        number_a, one = _take(one, digits=True)
        number_b, other = _take(other, digits=True)
        difference = int(number_a or "0") - int(number_b or "0")
        if difference:
            return difference
    return 0


def _take(text: str, *, digits: bool) -> tuple[str, str]:
    end = 0
    while end < len(text) and text[end].isdigit() == digits:
        end += 1
    return text[:end], text[end:]
