"""Cargo.lock, changed as cargo itself would: a member more, or a member less. Pure.

So that a service comes and goes without a network, and `cargo build --locked` goes on to work.
Source of the format: what cargo writes (`src/cargo/ops/lockfile.rs`): packages sorted by name, then
version; a dependency is its name alone where only one version of it is there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable
from functools import lru_cache

from msgspec import Struct

_PACKAGE = re.compile(r"^\[\[package\]\]\n(?:.+\n)+\n?", re.MULTILINE)
_DEPENDENCY = re.compile(r'^ "([^"]+)",$', re.MULTILINE)


class Package(Struct, frozen=True):
    """One `[[package]]` as it stands there."""

    name: str
    version: str
    member: bool
    dependencies: tuple[str, ...]
    text: str

    @property
    def sorted_by(self) -> tuple[str, str]:
        """What its place is told by."""
        return self.name, self.version


@lru_cache(maxsize=2)  # a plan reads the same lock-file more than once, and TOML is slow to read
def packages_of(lock: str) -> tuple[Package, ...]:
    """Read the packages of a lock-file, in order.

    Raises:
        ValueError: it is none.
    """
    texts = _PACKAGE.findall(lock)
    entries = tomllib.loads(lock).get("package", ())
    heads = [f'[[package]]\nname = "{e["name"]}"\nversion = "{e["version"]}"\n' for e in entries]
    if len(texts) != len(entries) or not all(map(str.startswith, texts, heads)):
        raise ValueError("it has packages that are not written as cargo writes them")
    return tuple(
        Package(
            entry["name"],
            entry["version"],
            "source" not in entry,
            tuple(entry.get("dependencies", ())),
            text,
        )
        for entry, text in zip(entries, texts, strict=True)
    )


def with_member(lock: str, name: str, version: str, needs: Iterable[str]) -> str:
    """Return a lock-file with a member more.

    Args:
        lock: the text of Cargo.lock.
        name: the new member's name; no package has it.
        version: its version.
        needs: what it depends on: packages that other members depend on as well.

    Raises:
        ValueError: it is no lock-file, or one of these packages is not in it.
    """
    packages = packages_of(lock)
    known = {
        word.split()[0]: word for each in packages if each.member for word in each.dependencies
    }
    if missing := sorted(set(needs) - known.keys()):
        raise ValueError(f"no member depends on {', '.join(missing)}")
    lines = "".join(f' "{known[need]}",\n' for need in sorted(needs))
    text = f'[[package]]\nname = "{name}"\nversion = "{version}"\ndependencies = [\n{lines}]\n'
    following = next((each for each in packages if each.sorted_by > (name, version)), None)
    if following is None:
        return f"{lock.rstrip()}\n\n{text}"
    return lock.replace(following.text, f"{text}\n{following.text}", 1)


def without_member(lock: str, name: str) -> str:
    """Return a lock-file without a member, and without what only that one needed.

    Raises:
        ValueError: it is no lock-file, or has no such member.
    """
    packages = packages_of(lock)
    if not any(each.member and each.name == name for each in packages):
        raise ValueError(f"it has no member {name}")
    roots = [each for each in packages if each.member and each.name != name]
    needed = {id(each) for each in _reachable(packages, roots)}
    kept = [each for each in packages if id(each) in needed]
    for each in packages:
        if id(each) not in needed:
            lock = lock.replace(each.text, "", 1)
    lock = f"{lock.rstrip()}\n"
    for each in kept:
        alone = sum(other.name == each.name for other in kept) == 1
        if alone and sum(other.name == each.name for other in packages) > 1:
            lock = _DEPENDENCY.sub(lambda m, n=each.name: _shorter(m, n), lock)  # type: ignore[misc]
    return lock


def _reachable(packages: Collection[Package], roots: Iterable[Package]) -> list[Package]:
    found, waiting = [], list(roots)
    seen = {id(each) for each in waiting}
    while waiting:
        package = waiting.pop()
        found.append(package)
        for word in package.dependencies:
            name, version, *_ = (*word.split(), "", "")
            for each in packages:
                same = each.name == name and version in {"", each.version}
                if same and id(each) not in seen:
                    seen.add(id(each))
                    waiting.append(each)
    return found


def _shorter(match: re.Match[str], name: str) -> str:
    return f' "{name}",' if match[1].split()[0] == name else match[0]
