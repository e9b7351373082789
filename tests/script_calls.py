"""Calls of the scripts in docker/ and scripts/: what is typed, and what the tasks are told."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SHIM = Path(__file__).parents[1] / "scripts" / "shim.py"
CHECK = ["--check", "--subjects", "rebake,naive"]
CHECKED = ["cold,no-change,code-change,ui-change"]


def load_shim() -> ModuleType:
    """Import scripts/shim.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("shim", SHIM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shim"] = module  # NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


# What is typed, what goes to the bootstrap, and the tasks that are read in it.
BUILD = {
    "": (["dev"], ["dev"]),
    "--dev": (["dev"], ["dev"]),
    "--development": (["dev"], ["dev"]),
    "--prod": (["prod"], ["prod"]),
    "--production": (["prod"], ["prod"]),
    "--rebuild": (["rebuild", "--dev", "dev"], ["rebuild", "dev"]),
    "--prod --rebuild": (["rebuild", "prod"], ["rebuild", "prod"]),
    "--no-cache": (["build", "--no-cache", "--dev", "dev"], ["build", "dev"]),
    "--prod --no-cache": (["build", "--no-cache", "prod"], ["build", "prod"]),
    "--prod --rebuild --no-cache": (["rebuild", "--no-cache", "prod"], ["rebuild", "prod"]),
    "all": (["build"], ["build"]),
    "all --dev": (["build", "--dev"], ["build"]),
    "all -Parallel": (["build"], ["build"]),
    "all -NoCache": (["build", "--no-cache"], ["build"]),
    "all -Parallel -nocache": (["build", "--no-cache"], ["build"]),
    "all --parallel --no-cache": (["build", "--no-cache"], ["build"]),
    "all --rebuild": (["rebuild"], ["rebuild"]),
    "api": (["build", "api"], ["build"]),
    "api ui --json": (["build", "api", "ui", "--json"], ["build"]),
    "api --rebuild": (["rebuild", "api"], ["rebuild"]),
    "up": (["prod"], ["prod"]),
    "up --dev": (["dev", "--detach"], ["dev"]),
    "up -Prod": (["prod"], ["prod"]),
    "up --dev --detach": (["dev", "--detach"], ["dev"]),
    "clean": (["refresh-cache", "clean", "build", "--older-than", "7d"], ["refresh-cache"]),
    "clean --yes": (
        ["refresh-cache", "clean", "build", "--older-than", "7d", "--yes"],
        ["refresh-cache"],
    ),
    "clean --older-than 30d": (
        ["refresh-cache", "clean", "build", "--older-than", "30d"],
        ["refresh-cache"],
    ),
    "clean --older-than=30d": (
        ["refresh-cache", "clean", "build", "--older-than=30d"],
        ["refresh-cache"],
    ),
    "prune": (["refresh-cache", "prune"], ["refresh-cache"]),
    "prune --max-size 5GB --dry-run": (
        ["refresh-cache", "prune", "--max-size", "5GB", "--dry-run"],
        ["refresh-cache"],
    ),
    # What holds for one of the tasks only must not make the other one run for real.
    "--prod --rebuild --dry-run --progress plain": (
        ["rebuild", "--dry-run", "--progress", "plain", "prod", "--dry-run", "--progress", "plain"],
        ["rebuild", "prod"],
    ),
    "--prod --json": (["prod", "--json"], ["prod"]),
    "--dev --rebuild --native": (["rebuild", "--dev", "dev", "--native"], ["rebuild", "dev"]),
}
OTHERS = {
    ("scripts/warm-cache.sh", ""): (["warm-cache"], "warm-cache"),
    ("scripts/warm-cache.sh", "--for ci"): (["warm-cache", "--for", "ci"], "warm-cache"),
    **{
        ("scripts/refresh-cache.sh", words): (["refresh-cache", *words.split()], "refresh-cache")
        for words in (
            *("", "show", "clean build", "clean images", "clean all", "refresh"),
            *("clean volumes --yes", "prune --older-than 7d"),
        )
    },
    ("scripts/test-docker-build.sh", ""): (
        ["benchmark", *CHECK, "--scenarios", *CHECKED],
        "benchmark",
    ),
    ("scripts/test-docker-build.sh", "--scenarios cold --runs 1"): (
        ["benchmark", *CHECK, "--scenarios", "cold", "--runs", "1"],
        "benchmark",
    ),
    ("scripts/benchmark-builds.sh", ""): (["benchmark"], "benchmark"),
    ("scripts/benchmark-builds.sh", "--runs 3"): (["benchmark", "--runs", "3"], "benchmark"),
    ("scripts/run_tests.ps1", ""): (["nox", "-s", "test"], "nox test"),
    # PowerShell keeps the first `--` for itself.
    ("scripts/run_tests.ps1", "-k ports"): (
        ["nox", "-s", "test", "--", "-k", "ports"],
        "nox test",
    ),
    ("scripts/run_tests.ps1", "-- -k ports"): (
        ["nox", "-s", "test", "--", "-k", "ports"],
        "nox test",
    ),
}
