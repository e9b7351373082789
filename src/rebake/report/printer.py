"""Writes lines to one stream: colour where it is wanted, characters that it can show, whole lines.

The light path: colour comes from colorama's constants, rich is not imported here.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Mapping
from typing import TextIO

from rebake.report.format import shorten

_RESET = "\x1b[0m"
_STYLES = {
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
    "red": "\x1b[31m",
    "green": "\x1b[32m",
    "yellow": "\x1b[33m",
    "cyan": "\x1b[36m",
}
_GLYPHS = {"done": "✓", "failed": "✗", "running": "●", "cached": "✓", "ellipsis": "…", "bar": "│"}
_ASCII = {"done": "+", "failed": "x", "running": "*", "cached": "=", "ellipsis": "...", "bar": "|"}
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
_DEFAULT_COLUMNS = 100


class Printer:
    """One stream and what it can do.

    Args:
        stream: where lines go.
        environ: NO_COLOR, FORCE_COLOR, TERM, CI and COLUMNS are read.

    Attributes:
        terminal: whether a person looks at a terminal that can move its cursor.
        color: whether to colour: NO_COLOR says no, FORCE_COLOR yes, else on a terminal.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self.stream = stream
        self._environ = environ
        self._lock = threading.RLock()
        self.terminal = _is_terminal(stream) and environ.get("TERM") != "dumb"
        if environ.get("NO_COLOR"):
            self.color = False
        elif environ.get("FORCE_COLOR", "0") not in {"", "0", "false"}:
            self.color = True
        else:
            self.color = self.terminal
        if self.color and sys.platform == "win32":
            from colorama import just_fix_windows_console

            just_fix_windows_console()
        encoding = getattr(stream, "encoding", None) or "utf-8"
        self._encoding = encoding
        self._glyphs = _GLYPHS if _can_encode("".join(_GLYPHS.values()), encoding) else _ASCII

    @property
    def interactive(self) -> bool:
        """Whether lines may be drawn over: a terminal, and no CI machine."""
        return self.terminal and self._environ.get("CI", "") in {"", "0", "false"}

    @property
    def columns(self) -> int:
        """The width of a line, measured anew each time: people resize windows."""
        if self._environ.get("COLUMNS", "").isdigit():
            return max(int(self._environ["COLUMNS"]), 20)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return max(os.get_terminal_size(self.stream.fileno()).columns, 20)
        return _DEFAULT_COLUMNS

    def glyph(self, name: str) -> str:
        """A mark, in ASCII where the stream's encoding has nothing better."""
        return self._glyphs[name]

    def style(self, text: str, *names: str) -> str:
        """Colour a text, or leave it as it is."""
        if not self.color or not text:
            return text
        return "".join(_STYLES[name] for name in names) + text + _RESET

    def safe(self, text: str) -> str:
        """Replace what the stream can't show, and control characters."""
        text = _UNSAFE.sub("", text.replace("\t", "    "))
        if _can_encode(text, self._encoding):
            return text
        return text.encode(self._encoding, "replace").decode(self._encoding, "replace")

    def line(self, text: str, *styles: str) -> None:
        """Write one line, whole, whatever other threads write."""
        self._write(self.style(self.safe(text), *styles) + "\n")

    def pieces(self, *pieces: tuple[str, str]) -> None:
        """Write one line made of (text, style) pieces; an empty style leaves the text plain."""
        words = (self.style(self.safe(text), *style.split()) for text, style in pieces)
        self._write("".join(words) + "\n")

    def cut(self, text: str) -> str:
        """Cut a text to the terminal's width; leave it whole where there is no terminal."""
        if not self.terminal:
            return text
        return shorten(text, self.columns, self.glyph("ellipsis"))

    def _write(self, text: str) -> None:
        with self._lock:
            self.stream.write(text)
            self.stream.flush()


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (ValueError, AttributeError):  # closed, or not a real stream
        return False


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
