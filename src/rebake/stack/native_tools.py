"""Finds the programs of native mode, and says how to get a missing one."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rebake.errors import ProgramMissing
from rebake.process import Command, run, which
from rebake.project import javascript
from rebake.project.packages import require_lock_file
from rebake.stack.native_plan import Tools

if TYPE_CHECKING:
    from rebake.project.project import Project

_VERSION_TIMEOUT_S = 120.0  # rustup may fetch the toolchain that rust-toolchain.toml names


def find_tools(project: Project, *, say: Callable[[str], None] = lambda _line: None) -> Tools:
    """Return the programs that native mode needs.

    Raises:
        ProgramMissing: cargo (or a C compiler for it) is missing or too old, or bun is missing
            and there is no npm to install it with, or npm is missing and ui.manager is npm.
        ProjectError: Cargo.toml or package.json can't be used, or its lock-file is not the one of
            ui.manager.
    """
    rust_version = project.workspace.rust_version
    package = javascript.read_package(project.ui)
    package.script("dev")
    manager = project.config.ui.manager
    require_lock_file(project.ui, manager)
    cargo = find_cargo(rust_version, project.backend)
    _require_c_compiler()
    wanted = javascript.wanted_bun(package, project.config.base_images.bun, manager)
    npm = javascript.find_npm() if manager == "npm" else None
    return Tools(cargo, javascript.find_bun(wanted, say=say), npm)


def find_cargo(rust_version: str | None, folder: Path) -> Path:
    """Return cargo, when it is new enough for the workspace in `folder`.

    Raises:
        ProgramMissing: it is not there or too old; with the command that mends it.
    """
    wanted = f"cargo {rust_version} or newer" if rust_version else "cargo"
    cargo = which("cargo")
    if cargo is None:
        raise ProgramMissing(wanted, _install_rust())
    outcome = run(Command.of(cargo, "--version", cwd=folder, timeout_s=_VERSION_TIMEOUT_S))
    found = re.match(r"cargo (\S+)", outcome.stdout)
    if not outcome.ok or found is None:
        outcome.check(_install_rust())
        raise ProgramMissing(wanted, _install_rust())
    if rust_version and _numbers(found[1]) < _numbers(rust_version):
        mend = "rustup update stable" if shutil.which("rustup") else _install_rust()
        raise ProgramMissing(f"{wanted} ({cargo} is {found[1]})", mend)
    return cargo


def _require_c_compiler() -> None:
    """Cargo links with `cc`, and SQLite is compiled by it."""
    if sys.platform == "win32" or any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        return
    how = "xcode-select --install" if sys.platform == "darwin" else _install_cc()
    raise ProgramMissing("a C compiler (cc)", how)


def _install_cc() -> str:
    for manager, command in (
        ("apt-get", "sudo apt-get install build-essential"),
        ("dnf", "sudo dnf install gcc"),
        ("apk", "sudo apk add build-base"),
        ("pacman", "sudo pacman -S base-devel"),
    ):
        if shutil.which(manager):
            return command
    return "install gcc or clang with the machine's package manager"


def _install_rust() -> str:
    if sys.platform == "win32":
        return "winget install Rustlang.Rustup"
    return "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(word) for word in re.findall(r"\d+", version)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))
