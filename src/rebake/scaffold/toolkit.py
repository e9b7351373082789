"""The toolkit that travels with a project: a wheel in its `vendor/`.

The wheel is built by the standard build backend that `pyproject.toml` names (hatchling), from the
template's own commit, so that a project gets the very toolkit that its files were written for. A
build backend runs code. So that a template that is not ours runs none, only settings that hatchling
reads and does not run are let through.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tomllib
from pathlib import Path

from rebake.errors import ProgramMissing, TemplateRefused
from rebake.process import Command, run

FOLDER = "vendor"
_NAME = "rebake"
_SOURCES = "src/rebake"
_NEEDED = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "hatch.toml", "hatch_build.py")
_BACKEND = "hatchling.build"
# All that hatchling may be told; hooks, plugins and versions computed by code are not among it.
_TOLD = {"build": {"targets": {"wheel": {"packages": [_SOURCES]}}}}


def holds_toolkit(template: Path) -> bool:
    """Tell whether a template has the toolkit's sources in it."""
    return (template / _SOURCES / "__init__.py").is_file()


def is_carried(project: Path) -> bool:
    """Tell whether a project has a wheel of the toolkit."""
    return any((project / FOLDER).glob(f"{_NAME}-*.whl"))


def take(template: Path, into: Path) -> Path:
    """Move the toolkit's sources out of a template, so that both can be worked on at a time.

    Returns:
        The folder to build from.
    """
    (into / "src").mkdir(parents=True)
    shutil.move(template / _SOURCES, into / _SOURCES)
    for name in _NEEDED:
        if (template / name).is_file():
            shutil.copy(template / name, into / name, follow_symlinks=False)
    return into


def check_build(template: Path, source: str) -> None:
    """Refuse a build that would run code of the template.

    Raises:
        TemplateRefused: it would.
    """
    try:
        document = tomllib.loads((template / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TemplateRefused(source, f"its pyproject.toml can't be read: {error}") from None
    system = document.get("build-system", {})
    requires = [str(word).split(">")[0] for word in system.get("requires", [])]
    plain = (
        system.get("build-backend") == _BACKEND
        and requires == ["hatchling"]
        and "backend-path" not in system
        and document.get("project", {}).get("name") == _NAME
        and not document.get("project", {}).get("dynamic")
        and document.get("tool", {}).get("hatch", {}) == _TOLD
        and not (template / "hatch.toml").exists()
        and not (template / "hatch_build.py").exists()
    )
    if not plain:
        raise TemplateRefused(source, "to build its toolkit would run code of its own")


def build(template: Path, into: Path, source: str) -> Path:
    """Build the toolkit's wheel from a template.

    Args:
        template: the unpacked template.
        into: the folder that gets the wheel.
        source: the template's name in errors.

    Raises:
        TemplateRefused: the build would run code of the template.
        ProgramMissing: hatchling is not here.
        CommandFailed: the build failed.
    """
    check_build(template, source)
    if importlib.util.find_spec("hatchling") is None:
        raise ProgramMissing("hatchling")
    into.mkdir(parents=True, exist_ok=True)
    command = Command.of(
        sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", into.resolve(),
        cwd=template, what="build the toolkit's wheel",
    )  # fmt: skip
    run(command).check("pip install --upgrade hatchling")
    return next(into.glob(f"{_NAME}-*.whl"))
