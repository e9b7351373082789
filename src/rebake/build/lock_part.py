"""The part of a Cargo.lock that one package needs: what only others need is no part of it.

What is added for one service then leaves the ids of the others, and so their binaries, as they are.
docker/tools/step/lock.rs takes out the same lines in the builder. Both go by what cargo writes, and
take the whole file where they find anything else.

Source of the form: https://doc.rust-lang.org/cargo/guide/cargo-toml-vs-cargo-lock.html and cargo's
`core/resolver/encode.rs`: tables of packages; a dependency is `name`, `name version` or
`name version (source)`, so much of it as is needed to tell it from others.
"""

from __future__ import annotations

import re

LOCK = "Cargo.lock"
_TABLE = re.compile(r"^(?=\[)", re.MULTILINE)
_BEGIN = re.compile(r'\[\[package\]\]\nname = "([^"\n]*)"\nversion = "([^"\n]*)"')
_NAME = re.compile(r'^name = "([^"\n]*)"', re.MULTILINE)
_VERSION = re.compile(r'^version = "([^"\n]*)"', re.MULTILINE)
_NEEDS = re.compile(r'^[ \t]*"([^"\n]*)"', re.MULTILINE)
# A list on one line, and a package in another one's place: cargo writes neither today.
_ODD = re.compile(r"^(?:dependencies(?! = \[[ \t\r]*$)|replace)", re.MULTILINE)
_BLANK = " \t\r\n"


class LockFile:
    """A Cargo.lock.

    Args:
        content: the file's bytes.
    """

    def __init__(self, content: bytes) -> None:
        self._tables: list[str] = []
        self._packages: dict[str, list[tuple[int, str, bool]]] = {}
        self._needs: dict[int, list[str]] = {}
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return
        tables = _TABLE.split(text)
        for number, table in enumerate(tables):
            if begin := _BEGIN.match(table):  # as nearly all are: a tenth of the time
                name, version = begin.groups()
            elif table.partition("\n")[0].strip(_BLANK) != "[[package]]":
                continue
            else:
                named, of_version = _NAME.search(table), _VERSION.search(table)
                if named is None or of_version is None:
                    return
                name, version = named[1], of_version[1]
            listed = "\ndependencies" in table  # a text is found sooner than a pattern
            if (listed or "\nreplace" in table) and _ODD.search(table):
                return
            one = (number, version, "\nsource = " in table)
            self._packages.setdefault(name, []).append(one)
            self._needs[number] = _NEEDS.findall(table) if listed else []
        self._tables = tables

    def part_of(self, package: str) -> bytes | None:
        """The lines of all that a package of the workspace needs, in their order.

        Its tests' dependencies are among them, and so is what only other systems need.

        Args:
            package: its name.

        Returns:
            None where the file tells something that this does not know: all of it counts then.
        """
        own = [number for number, _, other in self._packages.get(package, ()) if not other]
        if not self._tables or len(own) != 1:
            return None
        found: set[int] = set()
        todo = own
        while todo:
            if (number := todo.pop()) in found:
                continue
            found.add(number)
            for words in self._needs[number]:
                name, _, rest = words.partition(" ")
                version = rest.partition(" ")[0]
                needed = [
                    n for n, v, _ in self._packages.get(name, ()) if not version or v == version
                ]
                if not needed:
                    return None
                todo += needed
        return "".join(
            table
            for number, table in enumerate(self._tables)
            if number in found or number not in self._needs
        ).encode()
