"""The settings as tasks see them: plain tables, the same whether they were checked now or before.

The typed model (`model.py`) checks them. It is not what tasks get: pydantic alone takes longer to
import than all else that a build with nothing to do needs, and what was found good once is good
until something that it was made from changes (`kept.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

# Tables whose keys are names of the user's choice: they stay dictionaries.
FREE_TABLES = frozenset({"dev.ports", "prod.ports", "secrets.build", "secrets.run", "aliases"})

Tree = dict[str, Any]


class Table:
    """One table: each key is an attribute. Frozen."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name}: settings don't change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: settings don't change")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Table({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def table_of(tree: Mapping[str, object], prefix: str = "") -> Table:
    """Make a table, with those inside it, of what the model writes as JSON."""
    values: Tree = {}
    for name, value in tree.items():
        if isinstance(value, list):
            values[name] = tuple(value)
        elif isinstance(value, dict) and f"{prefix}{name}" not in FREE_TABLES:
            values[name] = table_of(value, f"{prefix}{name}.")
        else:
            values[name] = value
    return Table(**values)


def tree_of(table: object) -> Tree:
    """Return a table's keys and values, those of the tables inside it too, fit for JSON."""
    return {name: _plain(value) for name, value in vars(table).items()}


def _plain(value: object) -> object:
    if isinstance(value, Table):
        return tree_of(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
