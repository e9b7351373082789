"""Imports Invoke without three things that it needs elsewhere: they are half of its import.

In Invoke 3, `invoke.context` takes `Mock` for a class that helps to test tasks (and with it
unittest and asyncio), `invoke` its own version out of its metadata (and with it email and zipfile),
and `invoke.util` a reader for YAML files of settings, which few have. The program `rebake` tests no
tasks and tells a version of its own; a YAML file is read as ever, for the reader comes with its
first use. The command `invoke` imports all of it before anything of ours runs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_YAML = "invoke.vendor.yaml"


def import_invoke() -> None:
    """Import Invoke the light way, or as it is where that does not work."""
    if "invoke" in sys.modules:
        return
    try:
        with _stand_ins():
            importlib.import_module("invoke.program")
    except Exception:  # noqa: BLE001 - an Invoke that imports otherwise: whatever it says
        for name in [name for name in sys.modules if name.partition(".")[0] == "invoke"]:
            del sys.modules[name]
        importlib.import_module("invoke.program")


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Put modules into the place of those three, for those that are not imported yet."""
    mock, metadata = ModuleType("unittest.mock"), ModuleType("importlib.metadata")
    mock.Mock = type("Mock", (), {})  # type: ignore[attr-defined]
    metadata.version = lambda _name: ""  # type: ignore[attr-defined]
    ours = {one.__name__: one for one in (mock, metadata, _LateYaml(_YAML))}
    ours = {name: one for name, one in ours.items() if name not in sys.modules}
    sys.modules.update(ours)
    try:
        yield
    finally:
        for name in ours:
            sys.modules.pop(name, None)


class _LateYaml(ModuleType):
    """Stands for the YAML reader until something of it is used."""

    def __getattr__(self, name: str) -> object:
        return getattr(importlib.import_module(_YAML), name)
