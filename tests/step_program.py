"""The program of docker/tools/step, compiled once for all tests of a process."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

TOOLS = Path(__file__).parents[1] / "docker" / "tools"
# What it has to do; the other tools are scripts.
WORDS = frozenset(
    {"fresh-sources", "mend-mount", "pack", "proven-units", "same-rustc", "service-ids"}
)


@functools.cache
def compiled() -> Path:
    """The program, as the image's stage `step` compiles it."""
    folder = Path(tempfile.mkdtemp(prefix="rebake-step-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = folder / "step"
    subprocess.run([TOOLS / "step" / "compile", program], check=True)
    return program


def command(tool: str) -> list[Path | str]:
    """How to call one of the tools of a build."""
    return [compiled(), tool] if tool in WORDS else [TOOLS / tool]
