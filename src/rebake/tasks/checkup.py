"""What `invoke doctor` looks at."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rebake.errors import NoEngine, ProjectError, RebakeError
from rebake.results import Finding
from rebake.tasks.session import Session

Check = Callable[[Session], Iterator[Finding]]

_BIG_CONTEXT_BYTES = 50_000_000
_SECRET_NAMES = (".env", ".pem", ".key", ".p12", "id_rsa", "id_ed25519", ".netrc")
_SHOWN = 3


def examine(session: Session) -> list[Finding]:
    """Run every check; one that breaks is a finding itself.

    Raises:
        ConfigError, NotAProject: rebake.toml can't be used, so nothing else can be looked at.
    """
    _ = session.project
    findings: list[Finding] = []
    for check in (_engine, _disk, _workspace, _files, _context, _line_ends, _owners, _ports):
        try:
            findings += check(session)
        except RebakeError as error:
            findings.append(Finding(check.__name__.strip("_"), "error", error.what, error.hint))
    return findings


def _engine(session: Session) -> Iterator[Finding]:
    from rebake.tasks.wiring import engine_versions

    try:
        found = engine_versions(session)
    except NoEngine as error:
        yield Finding("engine", "warning", error.what, error.hint)
        return
    if found is None:
        yield Finding(
            "engine", "warning", "no Docker engine runs", "invoke engine start, or invoke dev"
        )
        return
    kind, versions = found
    yield Finding(
        "engine", "ok", f"{kind}: " + ", ".join(f"{k} {v}" for k, v in versions.items() if v)
    )


def _disk(session: Session) -> Iterator[Finding]:
    from rebake.tasks.wiring import data_folder, engine_if_running

    if engine_if_running(session) is None:
        return
    folder = data_folder(session)
    if folder is None:
        return
    free = shutil.disk_usage(folder).free
    needed = session.project.config.build.min_free_bytes
    level = "error" if free < needed else "warning" if free < 5 * needed else "ok"
    yield Finding(
        "disk",
        level,  # type: ignore[arg-type]
        f"{free / 1e9:.1f} GB free in {folder}",
        "" if level == "ok" else "free space there; docker system df shows what is kept",
    )


def _workspace(session: Session) -> Iterator[Finding]:
    workspace = session.project.workspace
    yield Finding(
        "workspace", "ok", f"{len(workspace.members)} crates, {len(workspace.binaries)} binaries"
    )
    for lock, mend in (
        (session.project.backend / "Cargo.lock", "cargo generate-lockfile"),
        (session.project.ui_lock_file, f"{session.project.config.ui.manager} install"),
    ):
        if not lock.is_file():
            yield Finding("lock-files", "error", f"{lock} is not there", f"{mend}, and commit it")
    yield from _packages(session)


def _packages(session: Session) -> Iterator[Finding]:
    """Whether the lock-file is the one of `ui.manager`, and whether the two managers' agree."""
    from rebake.project.packages import differing, lock_file, other, require_lock_file

    ui, manager = session.project.ui, session.project.config.ui.manager
    try:
        require_lock_file(ui, manager)
        names = differing(ui)
    except ProjectError as error:
        yield Finding("lock-files", "error", error.what, error.next_step)
        return
    if names:
        theirs = lock_file(ui, other(manager)).name
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004 - as many as are named
        yield Finding(
            "lock-files",
            "warning",
            f"the two lock-files in {ui} name other versions of {shown}",
            f"ui.manager is {manager}: delete {theirs}, or make it again with {other(manager)}",
        )


def _files(session: Session) -> Iterator[Finding]:
    project = session.project
    for file in (
        project.bake_file,
        project.compose_file("dev"),
        project.compose_file("prod"),
        project.backend / "Dockerfile",
        project.ui / "Dockerfile",
    ):
        if not file.is_file():
            yield Finding("files", "error", f"{file} is not there", "git checkout, or set its path")


def _context(session: Session) -> Iterator[Finding]:
    """What travels to the builder: how much, and whether a secret is in it."""
    from rebake.project.ignore import IgnoreMatcher, ignore_file, walk

    for context in (session.project.backend, session.project.ui):
        if not context.is_dir():
            continue
        ignore = ignore_file(context)
        files = walk(context, IgnoreMatcher.load(ignore))
        sizes = sorted(
            ((size, path) for path in files if (size := (context / path).lstat().st_size)),
            reverse=True,
        )
        total = sum(size for size, _ in sizes)
        largest = ", ".join(f"{path} ({size / 1e6:.1f} MB)" for size, path in sizes[:_SHOWN])
        message = f"{context.name}: {len(files)} files, {total / 1e6:.1f} MB travel to the builder"
        if ignore is None:
            yield Finding(
                "context", "warning", f"{context} has no .dockerignore", "write one; see ui/"
            )
        if total > _BIG_CONTEXT_BYTES:
            yield Finding(
                "context", "warning", f"{message}; the largest: {largest}", f"name them in {ignore}"
            )
        else:
            yield Finding("context", "ok", message)
        for path in files:
            if _looks_secret(context / path):
                yield Finding(
                    "secrets",
                    "error",
                    f"{context.name}/{path} travels to the builder and looks like a secret",
                    f"name it in {context.name}/.dockerignore",
                )


def _looks_secret(file: Path) -> bool:
    if file.name == ".npmrc":  # settings, and sometimes a login
        return bool(re.search(rb"_auth|_password", file.read_bytes()))
    return file.name.startswith(".env") or file.name.endswith(_SECRET_NAMES)


def _line_ends(session: Session) -> Iterator[Finding]:
    """A CR at the end of a script's first line makes it "not found" in a container."""
    tools = session.project.bake_file.parent / "tools"
    for file in sorted(tools.glob("*")) if tools.is_dir() else ():
        if file.is_file() and b"\r\n" in file.read_bytes():
            yield Finding(
                "line-ends",
                "error",
                f"{file} has CRLF line ends: it can't run in a container",
                "git config core.autocrlf input, then git checkout -- docker/tools",
            )


def _owners(session: Session) -> Iterator[Finding]:
    """Files that a container wrote as root."""
    if sys.platform == "win32" or os.getuid() == 0:
        return
    from rebake.project.ignore import IgnoreMatcher, ignore_file, walk

    for context in (session.project.backend, session.project.ui):
        if not context.is_dir():
            continue
        for path in walk(context, IgnoreMatcher.load(ignore_file(context))):
            if (context / path).lstat().st_uid == 0:
                yield Finding(
                    "owners",
                    "error",
                    f"{context / path} belongs to root",
                    f"sudo chown -R {os.getuid()}:{os.getgid()} {context}",
                )
                break


def _ports(session: Session) -> Iterator[Finding]:
    from rebake.stack import ports
    from rebake.tasks.stack_flow import held_ports
    from rebake.tasks.wiring import engine_if_running

    ours: set[int] = set()
    if engine_if_running(session) is not None:
        ours = {*held_ports(session, "prod").values(), *held_ports(session, "dev").values()}
    prod = session.project.config.prod
    for service, port in prod.ports.items():
        if port not in ours and not ports.is_free(prod.address, port):
            yield Finding(
                "ports",
                "warning",
                f"port {port} of {service} (prod) is in use by {ports.owner(prod.address, port)}",
                f"stop it, or set prod.ports.{service} in rebake.toml",
            )
