#!/usr/bin/env python3
"""Writes docs/explanation/performance.md and its picture from a benchmark's result.

    python scripts/make_performance.py benchmark.json

The file is what `invoke benchmark --json` wrote. Run it with the project's own Python (.venv).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rebake.redact import Redactor
from rebake.report.charts_benchmark import benchmark_picture
from rebake.report.measured import read
from rebake.report.performance import markdown
from rebake.report.views import cleaned

ROOT = Path(__file__).resolve().parents[1]
PAGE = "docs/explanation/performance.md"
PICTURE = "docs/images/benchmark.svg"


def main(argv: Sequence[str], root: Path = ROOT) -> int:
    """Write both files; 2 for a file that is no result of a benchmark."""
    if len(argv) != 1 or argv[0].startswith("-"):
        sys.stderr.write("usage: python scripts/make_performance.py FILE.json\n")
        return 2
    try:
        found = read(json.loads(Path(argv[0]).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{argv[0]} is no result of a benchmark: {error}\n")
        return 2
    benchmark = cleaned(found, Redactor.from_environment().text)
    texts = {PAGE: markdown(benchmark, "../images/benchmark.svg")}
    texts[PICTURE] = benchmark_picture(benchmark)
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", newline="\n")
    sys.stdout.write(f"wrote {PAGE} and {PICTURE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
