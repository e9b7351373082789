"""Where a value of the settings stands: its file, and the line that sets it."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

FILE_NAME = "rebake.toml"
ENVIRONMENT = Path("environment")  # stands where a file's name would
ENV_PREFIX = "REBAKE_"


def variable_name(key: str) -> str:
    """Return the environment variable that sets a key."""
    return ENV_PREFIX + re.sub(r"[^A-Z0-9]", "_", key.upper())


class Place(Struct, frozen=True):
    """A source of values: its file and text, to find lines in."""

    file: Path
    text: str

    def shown(self, key: str) -> str:
        """The key as it stands in this source."""
        return variable_name(key) if self.file == ENVIRONMENT else key

    def line(self, key: str) -> int | None:
        """The line (from 1) that sets `key`, or its table's line."""
        table, _, name = key.rpartition(".")
        current, table_line = "", None
        for number, line in enumerate(self.text.splitlines(), 1):
            heading = re.match(r"\s*\[{1,2}([^\[\]]+)\]", line)
            if heading:
                current = re.sub(r"[\s\"']", "", heading[1])
                if current in {key, table}:
                    table_line = number
                continue
            found = re.match(r"\s*([\w.\"'-]+)\s*=", line)
            if found:
                word = found[1].replace('"', "").replace("'", "")
                full = f"{current}.{word}" if current else word
                if full == key or (current == table and word == name):
                    return number
                if key.startswith(full + "."):  # an inline table
                    return number
        return table_line

    def nth(self, table: str, number: int) -> int | None:
        """The line of the entry `[[table]]` with a number (from 0)."""
        heading = re.compile(rf"\s*\[\[\s*{re.escape(table)}\s*\]\]")
        lines = [n for n, line in enumerate(self.text.splitlines(), 1) if heading.match(line)]
        return lines[number] if number < len(lines) else self.line(table)
