"""Checks PowerShell scripts: with PSScriptAnalyzer, PowerShell's own parser, or a grammar.

Where this machine has PowerShell, `analyze.ps1` beside this file asks its parser, and
PSScriptAnalyzer where that module is installed. Elsewhere the tree-sitter grammar of PowerShell
finds what is no valid syntax.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from rebake.checks.tools import Tool, toolkit_program
from rebake.process import Outcome, run

if TYPE_CHECKING:
    from tree_sitter import Node

GRAMMAR = "tree_sitter_powershell"  # the package
_QUOTE_CHARACTERS = 40
_NOTE = (
    "This machine has no PowerShell: the scripts were read by tree-sitter's grammar. What "
    "PowerShell itself accepts, it takes in a plainer form (words in a list with quotes, say)."
)


def check(tool: Tool, root: Path, names: Sequence[str], timeout_s: float) -> Outcome:
    """Check scripts; each fault is a line `file:line:column: message`.

    Args:
        tool: PowerShell, or the toolkit's Python where the grammar has to do.
        root: the repository.
        names: the scripts, from its root.
        timeout_s: seconds that PowerShell may take.

    Raises:
        TimedOut: it took longer.
    """
    if tool == toolkit_program("python"):
        return parse(root, names)
    # Windows may be set to run no script at all; elsewhere this option means nothing.
    words = ("-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File")
    with resources.as_file(resources.files("rebake.checks").joinpath("analyze.ps1")) as script:
        command = tool.command([*words, str(script), *names], root, {"NO_COLOR": "1"})
        return run(replace(command, timeout_s=timeout_s, what="PowerShell"))


def parse(root: Path, names: Sequence[str]) -> Outcome:
    """Look for what is no valid syntax, with the grammar alone."""
    started = time.monotonic()
    lines = [
        f"{name}:{line}:{column}: {what}"
        for name in names
        for line, column, what in faults((root / name).read_bytes())
    ]
    text = "".join(f"{line}\n" for line in [*lines, *([_NOTE] if lines else [])])
    return Outcome(("powershell",), int(bool(lines)), text, "", time.monotonic() - started)


def faults(source: bytes) -> list[tuple[int, int, str]]:
    """Return line, column (both from 1) and description of each fault in a script."""
    import tree_sitter_powershell
    from tree_sitter import Language, Parser

    parser = Parser(Language(tree_sitter_powershell.language()))
    if not parser.parse(source).root_node.has_error:
        return []
    plain = plainer(source)
    if not plain.strip():
        return []
    root = parser.parse(plain).root_node
    found = [(*_place(node), _words(node)) for node in _broken(root)]
    # The grammar often gives up at the start of a whole block; a bracket tells the line.
    open_ = unbalanced(source) if found else None
    return [open_] if open_ else found


def unbalanced(source: bytes) -> tuple[int, int, str] | None:
    """Return line, column and description of the first bracket or quote without its partner."""
    parts = _QUOTED.split(source.decode("utf-8", "replace"))
    text = "".join(
        part if number % 2 == 0 else re.sub(r"[^\n]", " ", part)
        for number, part in enumerate(parts)
    )
    opened: list[int] = []
    for place, letter in enumerate(text):
        if letter in _PARTNER:
            opened.append(place)
        elif letter in _PARTNER.values():
            if not opened:
                return (*_at(text, place), f"{letter} closes nothing")
            if _PARTNER[text[(last := opened.pop())]] != letter:
                return (*_at(text, last), f"{text[last]} is not closed")
        elif letter in "'\"" and text[place - 1 : place] != "`":
            return (*_at(text, place), "a string is not closed")
    return (*_at(text, opened[-1]), f"{text[opened[-1]]} is not closed") if opened else None


def _at(text: str, place: int) -> tuple[int, int]:
    return text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)


_PARTNER = {"(": ")", "[": "]", "{": "}"}


def plainer(source: bytes) -> bytes:
    """Return a script in which what PowerShell takes and the grammar does not is put otherwise.

    Every byte keeps its place, and strings and comments stay as they are.
    """
    text = source.decode("latin-1")
    parts = _QUOTED.split(text)  # what it matches is every second one
    for number in range(0, len(parts), 2):
        for pattern, put in _PLAINER:
            parts[number] = pattern.sub(put, parts[number])
    for number in range(1, len(parts), 2):  # a block of comment after another, or at the end
        if parts[number].startswith("#"):
            parts[number] = " " * len(parts[number])
        elif parts[number].startswith("<#"):
            parts[number] = re.sub(r"[^\r\n]", " ", parts[number])
    return "".join(parts).encode("latin-1")


def _blank(match: re.Match[str]) -> str:
    return match[1] + " " * (len(match[0]) - len(match[1]))


_QUOTED = re.compile(
    r"""(<\#.*?\#>|(?<![\w`])\#[^\r\n]*|@'\r?\n.*?\n'@|@"\r?\n.*?\n"@"""
    r"""|'(?:[^']|'')*'|"(?:`.|""|[^"`])*")""",
    re.DOTALL,
)
_PLAINER: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # Words without quotes in a list: `Select-Object Name, Size`.
    (re.compile(r"(?<![\w$.:)\]}@*-])([A-Za-z*][\w*.\\/-]*)[ \t]*,[ \t]*(?=[A-Za-z*])"), _blank),
    # A percent sign in an argument: `--format=%H`.
    (re.compile(r"(?<=[\w=])%(?=\w)"), "x"),
    # Parameters and the first statement on one line.
    (re.compile(r"(\bparam[ \t]*\([^()\r\n]*\))[ \t](?=[^\s)])"), r"\1;"),
    # The cases of a `switch` on one line.
    (re.compile(r"(?<=\}) (?=default\b)"), ";"),
    # The null-coalescing operator.
    (re.compile(r"\?\?(?==?)"), "+ "),
)


def _broken(node: Node) -> Iterator[Node]:
    """The outermost nodes that the grammar could not read, or had to add."""
    if node.is_missing and node.type == ";":  # PowerShell needs none at the end of a line or file
        return
    if node.is_missing or node.type == "ERROR":
        yield node
        return
    if node.has_error:
        inner = [found for child in node.children for found in _broken(child)]
        # An added token of no width is not always a child: then this is as near as we get.
        added = any(child.is_missing or child.has_error for child in node.children)
        yield from inner or ([] if added else [node])


def _place(node: Node) -> tuple[int, int]:
    return node.start_point[0] + 1, node.start_point[1] + 1


def _words(node: Node) -> str:
    if node.is_missing:
        return f"{node.type} is missing"
    text = (node.text or b"").decode("utf-8", "replace").strip()
    first = text.splitlines()[0] if text else ""
    if len(first) > _QUOTE_CHARACTERS:
        first = first[:_QUOTE_CHARACTERS] + "..."
    return f"not valid PowerShell from here on: {first}" if first else "something is missing here"
