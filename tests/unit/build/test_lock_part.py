"""The part of a lock file that a package needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.build.lock_part import LockFile

ROOT = Path(__file__).parents[3]


def package(name: str, version: str = "1.0.0", *needs: str, source: str = "registry+a") -> str:
    """A table as cargo writes it; without a source, it is of the workspace."""
    lines = ["[[package]]", f'name = "{name}"', f'version = "{version}"']
    lines += [f'source = "{source}"', 'checksum = "0"'] if source else []
    if needs:
        lines += ["dependencies = [", *(f' "{one}",' for one in needs), "]"]
    return "\n".join(lines) + "\n\n"


HEAD = "# made by cargo\nversion = 4\n\n"
API = package("api", "0.1.0", "core", "hex 1.0.0", source="")
CORE = package("core", "0.1.0", "serde", source="")
OLD, NEW = package("hex", "1.0.0"), package("hex", "2.0.0", "itoa")
ITOA, SERDE = package("itoa"), package("serde")
WORKER = package("worker", "0.1.0", "hex 2.0.0 (registry+a)", source="")
TAIL = '[metadata]\n"x" = "y"\n'
WHOLE = HEAD + API + CORE + OLD + NEW + ITOA + SERDE + WORKER + TAIL


def part(text: str, name: str) -> str | None:
    found = LockFile(text.encode()).part_of(name)
    return None if found is None else found.decode()


def test_what_a_package_needs_is_kept_as_it_stands() -> None:
    assert part(WHOLE, "api") == HEAD + API + CORE + OLD + SERDE + TAIL
    assert part(WHOLE, "worker") == HEAD + NEW + ITOA + WORKER + TAIL
    assert part(WHOLE, "core") == HEAD + CORE + SERDE + TAIL


def test_of_two_versions_both_count_where_none_is_named() -> None:
    text = WHOLE.replace("hex 1.0.0", "hex")
    found = part(text, "api")
    assert found is not None
    assert OLD in found
    assert NEW in found


def test_packages_that_need_each_other() -> None:
    ring = package("a", "1.0.0", "b", source="") + package("b", "1.0.0", "a", source="")
    assert part(ring + SERDE, "b") == ring


def test_line_ends_stay() -> None:
    text = WHOLE.replace("\n", "\r\n")
    assert part(text, "worker") == (HEAD + NEW + ITOA + WORKER + TAIL).replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "api"),
        (WHOLE, "nobody"),
        (WHOLE, "serde"),  # not of the workspace
        (WHOLE + API, "api"),  # two of the name
        (WHOLE.replace(SERDE, ""), "api"),  # what it needs is not there
        (WHOLE.replace("hex 1.0.0", "hex 3.0.0"), "api"),
        (WHOLE.replace('name = "itoa"', "name = itoa"), "api"),
        (WHOLE.replace('[\n "core",', '["core",'), "api"),
        (WHOLE.replace('checksum = "0"', 'replace = "0"'), "api"),
    ],
)
def test_in_doubt_there_is_no_part(text: str, name: str) -> None:
    assert part(text, name) is None


def test_bytes_that_are_no_text() -> None:
    assert LockFile(WHOLE.encode() + b"\xff").part_of("api") is None


def test_the_templates_own() -> None:
    content = (ROOT / "backend" / "Cargo.lock").read_bytes()
    lock = LockFile(content)
    parts = {name: lock.part_of(name) for name in ("api", "worker", "web")}
    for name, found in parts.items():
        assert found is not None
        assert f'name = "{name}"'.encode() in found
        assert len(found) < len(content)
