"""Lints Dockerfiles with hadolint, also those with an option that its parser does not know yet."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from rebake.checks.tools import Tool
from rebake.process import Outcome, run

# hadolint 2.14: "missing whitespace" at this option, and nothing of the file is linted.
_UNKNOWN_TO_HADOLINT = re.compile(r"--start-interval=\S+[ \t]*")


def hadolint(tool: Tool, root: Path, names: Sequence[str], env: Mapping[str, str]) -> Outcome:
    """Lint copies without what hadolint can't parse; the lines keep their numbers."""
    copies = root / ".rebake" / "hadolint"
    shutil.rmtree(copies, ignore_errors=True)
    for name in names:
        copy = copies / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = (root / name).read_text(encoding="utf-8")
        copy.write_text(_UNKNOWN_TO_HADOLINT.sub("", text), encoding="utf-8")
    settings = root / ".hadolint.yaml"
    words = ["--no-color", *(["--config", str(settings)] if settings.is_file() else [])]
    return run(replace(tool.command([*words, *names], copies, env), what="hadolint"))
