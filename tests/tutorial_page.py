"""A tutorial as a list of steps: commands, what they print, and edits of files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "tutorial" / "your-own-project.md"


@dataclass(frozen=True)
class Step:
    """A thing that the reader does.

    Attributes:
        title: the heading above.
        commands: lines for a shell; empty for an edit.
        prints: lines that the commands print, in order.
        edit: the file, what to find in it, and what to make of that.
    """

    title: str
    commands: str = ""
    prints: tuple[str, ...] = ()
    edit: tuple[str, str, str] | None = None


def steps(page: Path = PAGE) -> list[Step]:
    """Read a page."""
    found: list[Step] = []
    for section in re.split(r"(?m)^## ", page.read_text(encoding="utf-8"))[1:]:
        title, _, text = section.partition("\n")
        blocks = re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", text)
        kinds = [kind for kind, _ in blocks]
        for number, (kind, block) in enumerate(blocks):
            if kind == "sh":
                follows = kinds[number + 1 : number + 2] == ["console"]
                prints = blocks[number + 1][1].splitlines() if follows else []
                found.append(Step(title, block, tuple(prints)))
            elif kind == "tsx" and kinds[number + 1 : number + 2] == ["tsx"]:
                [file] = re.findall(r"Open `(ui/[^`]+)`", text)
                now = blocks[number + 1][1].strip()
                found.append(Step(title, edit=(file, block.strip(), now)))
    return found


def prints_in_order(expected: tuple[str, ...], output: str) -> list[str]:
    """Return the expected lines that are missing in what was printed; numbers may be others."""
    missing, rest = [], output.splitlines()
    for line in expected:
        pattern = re.compile(_pattern(line))
        place = next((n for n, text in enumerate(rest) if pattern.fullmatch(text.rstrip())), None)
        if place is None:
            missing.append(line)
        else:
            rest = rest[place + 1 :]
    return missing


def _pattern(line: str) -> str:
    pattern = re.escape(line.rstrip()).replace("…", ".*").replace("/home/you", r"\S*")
    pattern = re.sub(r"(?<![\w])\d+", r"\\d+", pattern)
    return re.sub(r"(?:\\ ){2,}", r" +", pattern)
