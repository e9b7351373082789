"""The shells that completion knows, and the script for each."""

from __future__ import annotations

from pathlib import Path

SHELLS = {
    "bash": "rebake.bash",
    "zsh": "rebake.zsh",
    "fish": "rebake.fish",
    "powershell": "rebake.ps1",
}


def script(shell: str) -> str:
    """Return the script of one of `SHELLS`."""
    return Path(__file__).with_name(SHELLS[shell]).read_text(encoding="utf-8")
