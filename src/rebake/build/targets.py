"""Asks bake what a bake file's targets are, for the evidence of a build.

It takes a quarter of a second, so it is asked only when the bake file or a variable of it is
another one than in the last build; see `key_of`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rebake.build.plan import BuildPlan
from rebake.engine.endpoint import Endpoint
from rebake.errors import RebakeError
from rebake.history.evidence import BakeTarget
from rebake.process import run
from rebake.results import NETWORKS, SET_BY_BUILD

_TIMEOUT_S = 20.0
_VARIABLE = re.compile(r'(?m)^\s*variable\s+"([^"]+)"')
# Each build has values of its own for these: their names stand in the answer.
# Not so of who has a network: the evidence knows one step, whichever of the two stages it is.
_EACH_BUILD = SET_BY_BUILD - NETWORKS
# Docker's own arguments: in no layer, and a proxy's address can hold a password.
_PROXIES = re.compile(r"(?i)^(http|https|ftp|no|all)_proxy$")


def key_of(plan: BuildPlan, bake_file: str) -> str:
    """Return a digest of all that the answer of `ask` depends on.

    Args:
        plan: the build.
        bake_file: the text of the bake file.
    """
    values = {name: os.environ.get(name) for name in _VARIABLE.findall(bake_file)}
    values |= {k: v for k, v in plan.variables.items() if k not in _EACH_BUILD}
    values = {k: v for k, v in values.items() if not _PROXIES.match(k) and not _ours(k)}
    text = json.dumps([bake_file, sorted(plan.targets), values], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def ask(plan: BuildPlan, endpoint: Endpoint) -> dict[str, BakeTarget]:
    """Return the targets of a plan as bake resolves them; empty where it does not tell."""
    variables = {k: v for k, v in plan.variables.items() if not _PROXIES.match(k)}
    command = endpoint.buildx_command(
        *("bake", "--file", str(plan.bake_file), "--progress", "quiet", "--print"),
        *plan.targets,
        cwd=plan.root,
        env=variables | {name: f"${name}" for name in _EACH_BUILD},
        timeout_s=_TIMEOUT_S,
    )
    try:
        outcome = run(command)
        document = json.loads(outcome.stdout) if outcome.ok else {}
        return parse(document, plan.root)
    except (RebakeError, ValueError):
        return {}


def parse(document: Any, root: Path) -> dict[str, BakeTarget]:  # noqa: ANN401 - as json.loads gives it
    """Read what `docker buildx bake --print` writes."""
    found = {}
    for name, entry in (document.get("target") or {}).items():
        found[name] = BakeTarget(
            folder=_below(str(entry.get("context") or "."), root),
            dockerfile=str(entry.get("dockerfile") or "Dockerfile"),
            stage=str(entry.get("target") or ""),
            arguments={
                key: str(value)
                for key, value in _texts(entry.get("args")).items()
                if not _PROXIES.match(key)
            },
            contexts={k: _below(v, root) for k, v in _texts(entry.get("contexts")).items()},
        )
    return found


def _texts(table: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (table or {}).items() if value is not None}


def _below(path: str, root: Path) -> str:
    """A folder from the project's root; whatever is no folder in it stays as it is."""
    place = Path(path)
    if not place.is_absolute():
        return path
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else path


def _ours(name: str) -> bool:
    return name.startswith("REBAKE_") or name in _EACH_BUILD
