"""Names of new projects: which are fine, which become a slug, which are refused. Pure."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec import Struct

from rebake.errors import UsageError

LONGEST = 40
_OTHER_NAME = "name it otherwise: --data name=NAME"
# Microsoft's "Naming Files, Paths, and Namespaces": with any extension too.
_WINDOWS = {"con", "prn", "aux", "nul"} | {f"{p}{n}" for p in ("com", "lpt") for n in range(10)}
LONGEST_SERVICE = 32  # so that no line of its sources is too long for rustfmt
_SERVICE = re.compile(rf"(?=.{{1,{LONGEST_SERVICE}}}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_NOT_IN_WINDOWS = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
# The strict and reserved keywords of the Rust reference.
_RUST = frozenset(
    [
        "abstract",
        "as",
        "async",
        "await",
        "become",
        "box",
        "break",
        "const",
        "continue",
        "crate",
        "do",
        "dyn",
        "else",
        "enum",
        "extern",
        "false",
        "final",
        "fn",
        "for",
        "gen",
        "if",
        "impl",
        "in",
        "let",
        "loop",
        "macro",
        "match",
        "mod",
        "move",
        "mut",
        "override",
        "priv",
        "pub",
        "ref",
        "return",
        "self",
        "static",
        "struct",
        "super",
        "trait",
        "true",
        "try",
        "type",
        "typeof",
        "unsafe",
        "unsized",
        "use",
        "virtual",
        "where",
        "while",
        "yield",
    ]
)


class Name(Struct, frozen=True):
    """A project's name.

    Attributes:
        slug: lower-case letters, digits and dashes.
        note: what became of the text that was given; empty when it was kept.
    """

    slug: str
    note: str = ""


def project_name(text: str, taken: Collection[str] = ()) -> Name:
    """Make a project's name of any text.

    Args:
        text: what the user typed, or the folder's name.
        taken: names of packages that the project itself must not hide.

    Raises:
        UsageError: nothing is left of it, or the name would break something.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].strip("-")
    if not slug:
        raise UsageError(
            f"{text!r} can't be a project's name: no letter a-z, no digit", _OTHER_NAME
        )
    if reason := _why_not(slug, taken):
        raise UsageError(f"{slug!r} can't be a project's name: {reason}", _OTHER_NAME)
    return Name(slug, "" if slug == text else f"the project's name is {slug} (from {text!r})")


def service_name(text: str, taken: Mapping[str, str]) -> str:
    """Check the name of a new service: a crate, a binary, an image and a variable get it.

    Args:
        text: what the user typed.
        taken: names that are in use, each with what has it.

    Raises:
        UsageError: it can't be used; with the nearest name that can, or with what has it.
    """
    if not _SERVICE.fullmatch(text):
        slug = (
            re.sub(r"[^a-z0-9]+", "-", text.lower())
            .strip("-")
            .lstrip("0123456789-")[:LONGEST_SERVICE]
        )
        slug = slug.strip("-")
        fine = bool(slug) and slug not in taken and not _why_not(slug, ())
        raise UsageError(
            f"{text!r} can't be a service's name: lower-case letters, digits and single dashes, "
            f"a letter first, {LONGEST_SERVICE} at most",
            f"did you mean {slug}?" if fine else "invoke add-service mailer",
        )
    if reason := _why_not(text, ()):
        raise UsageError(f"{text!r} can't be a service's name: {reason}", "choose another one")
    if text in taken:
        raise UsageError(
            f"{text!r} can't be a service's name: {taken[text]} has it", "choose another one"
        )
    return text


def _why_not(slug: str, taken: Collection[str]) -> str:
    if slug in _WINDOWS:
        return "Windows reserves it for a device"
    if slug in _RUST or slug in {word.lower() for word in keyword.kwlist}:
        return "it is a keyword of Rust or Python"
    if slug in {re.sub(r"[-_.]+", "-", name).lower() for name in taken}:
        return "a package that the project needs has that name"
    return ""


def check_folder(folder: Path) -> None:
    """Refuse a folder's name that can't be checked out, or typed, everywhere.

    Raises:
        UsageError: the name is one of those.
    """
    name = folder.name
    if not name:
        raise UsageError(f"{folder} is no folder of its own", "rebake new FOLDER")
    if name.split(".")[0].rstrip().lower() in _WINDOWS:
        raise UsageError(f"folder {name!r}: Windows reserves that name for a device")
    if found := _NOT_IN_WINDOWS.search(name):
        raise UsageError(f"folder {name!r}: {found[0]!r} can't be in a name on Windows")
    if name.endswith((".", " ")):
        raise UsageError(f"folder {name!r}: Windows takes off the dot or space at its end")
    if name.startswith("-"):
        raise UsageError(f"folder {name!r}: programs would take it for a flag")
