"""What a script that runs before anything is installed may be made of."""

from __future__ import annotations

import ast
import sys
from pathlib import Path


def foreign_imports(script: Path) -> set[str]:
    """The modules that a script imports and that Python does not have; Python 3.8 must read it."""
    tree = ast.parse(script.read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    return imported - set(sys.stdlib_module_names)
