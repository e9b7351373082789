"""The answer to a press of the Tab key: read the line, name the candidates.

The shells' scripts call `rebake __complete PROGRAM cur=PARTIAL WORD ...`, where PARTIAL is what is
there of the word at the cursor, and each WORD stands before it. (An empty argument of its own would
be lost on its way through Windows PowerShell.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rebake.completion.candidates import Table, candidates

TABLE = Path(__file__).with_name("table.json")
NOT_OURS = 3  # exit code: this folder's tasks are not rebake's
_MARK = "cur="


def answer(argv: Sequence[str]) -> tuple[int, list[str]]:
    """Return the exit code and the candidates, a line each: the word, a tab, what it means.

    Args:
        argv: the program's name, `cur=` with what is there of the word, the words before it.
    """
    program, partial, *before = [*argv, "", ""][: max(len(argv), 2)]
    own: Table = {}
    if Path(program).stem != "rebake":
        root = _root()
        if root is None:
            return NOT_OURS, []
        own = _own_tasks(root)
    table: Table = {**own, **json.loads(TABLE.read_text(encoding="utf-8"))}
    found = candidates(table, before, partial.removeprefix(_MARK), _services)
    return 0, [f"{candidate.text}\t{candidate.says}" for candidate in found]


def _root() -> Path | None:
    from rebake.config.load import find_root
    from rebake.errors import RebakeError

    try:
        return find_root(Path.cwd())
    except (RebakeError, OSError):
        return None


def _own_tasks(root: Path) -> Table:
    """The tasks that the project has added, by name; its code is read, not run (too slow)."""
    import re

    try:
        text = (root / "tasks.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    names = re.findall(r"(?ms)^@task\b.*?^def (\w+)\(", text)
    return {name.replace("_", "-"): {"says": "", "flags": {}} for name in names}


def _services() -> list[str]:
    """The project's services and their aliases; none where there is no project that can be read."""
    from rebake.errors import RebakeError
    from rebake.project.project import open_project

    try:
        config = open_project(kept=True).config
    except (RebakeError, OSError):
        return []
    return [*config.services, *config.aliases]
