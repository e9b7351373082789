"""The private engine: one that rebake runs for itself, on Linux, where there is none.

Everything that it has lies in one folder (`Home`); nothing is enabled at boot, the system's
package sources and installed packages stay untouched, and it is only ever started when asked.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from msgspec import Struct, field
from msgspec.structs import replace

from rebake.engine import daemon, install, privilege
from rebake.engine.endpoint import Endpoint
from rebake.engine.home import HOME_VARIABLE, Home
from rebake.engine.install import InstallPlan
from rebake.engine.packages import Say
from rebake.engine.sweep_tool import MARKER
from rebake.errors import Busy, NoEngine, UsageError

_LOCK_PATIENCE_S = 2.0


class Status(Struct, frozen=True):
    """The private engine as it is now."""

    state: str  # running, stopped, absent
    home: Home
    pid: int | None = None
    bytes: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """The part of `engine status --json`."""
        return {
            "kind": "private",
            "state": self.state,
            "docker_host": self.home.docker_host,
            "docker": str(self.home.docker),
            "versions": dict(self.versions),
            "data": str(self.home.folder),
            "bytes": self.bytes,
            "pid": self.pid,
        }


def plan(
    home: Home | None = None, *, say: Say = lambda _line: None, keep_lists: bool = True
) -> InstallPlan:
    """Find out what an install would download, and where it would put it.

    Args:
        home: where it would live; the user's usual place when None.
        say: told what is going on.
        keep_lists: keep the downloaded package lists for the install that follows.

    Raises:
        NoEngine: no private engine can be had on this system; it says what to do.
    """
    place = home or Home.default()
    if keep_lists:
        return install.plan(place, say)
    with tempfile.TemporaryDirectory(prefix="rebake-") as folder:
        return replace(install.plan(place, say, Path(folder)), cache=install.package_cache())


def install_engine(home: Home | None = None, *, say: Say) -> InstallPlan | None:
    """Install the engine's programs; None when a whole install is there already.

    Raises:
        NoEngine, CannotRun, DiskFull, CommandFailed: see `install.install`.
        Busy: another process installs, starts, stops or removes it.
    """
    place = home or Home.default()
    with _locked(place):
        install.remove_half_done(place)
        return install.install(place, say)


def start(home: Home | None = None, *, say: Say, limit_s: float = daemon.START_LIMIT_S) -> Endpoint:
    """Start the engine, installing it first where needed; nothing happens when it runs.

    Args:
        home: where it lives; the user's usual place when None.
        say: told what is about to happen, a line at a time.
        limit_s: seconds that it may take to answer.

    Raises:
        CannotRun: it can't be run here: no root, no kernel support, it did not come up.
        NoEngine: macOS or Windows; or no packages can be had.
        UsageError: the folder's path holds a comma or a colon.
        Busy: another process is at it.
    """
    place = home or Home.default()
    if daemon.running_pid(place) is not None:
        return endpoint(place)
    install.require_supported_system()
    _require_mountable(place)
    right = privilege.find()
    with _locked(place):
        if daemon.running_pid(place) is None:
            install.remove_half_done(place)
            if not install.is_installed(place):
                say("no Docker engine here: setting up a private one")
                if note := install.wsl_note():
                    say(note)
            install.install(place, say)
            started = time.monotonic()
            daemon.start(place, right, say, limit_s)
            say(f"the engine runs (started in {time.monotonic() - started:.1f} s)")
    return endpoint(place)


def stop(home: Home | None = None, *, say: Say) -> bool:
    """Stop our engine and its containers; tell whether it ran. Data is kept.

    Raises:
        CannotRun: root is needed and can't be had.
        Busy: another process is at it.
    """
    place = home or Home.default()
    if not (place.folder / MARKER).is_file() or sys.platform == "win32":
        return False
    right = privilege.find()
    with _locked(place):
        if daemon.daemon_pids(place):
            say("stopping the engine and its containers")
        return daemon.stop(place, right)


def remove(home: Home | None = None, *, say: Say) -> bool:
    """Stop our engine and delete its folder with all images, volumes and caches.

    Returns whether there was anything to remove.

    Raises:
        UsageError: the folder is not one of ours.
        CannotRun, Busy: as for `stop`.
    """
    place = home or Home.default()
    if not place.folder.exists():
        return False
    if not (place.folder / MARKER).is_file():
        raise UsageError(
            f"{place.folder} is not a private engine's folder; nothing was deleted",
            "look at what it holds and delete it yourself",
        )
    right = privilege.find()
    with _locked(place):
        daemon.stop(place, right)
        say(f"deleting {place.folder}")
        daemon.delete_home(place, right)
    return True


def status(home: Home | None = None, *, count_bytes: bool = True) -> Status:
    """Return the engine's state; counting its bytes walks its folder (about 1 s per 300,000)."""
    place = home or Home.default()
    pid = daemon.running_pid(place) if sys.platform != "win32" else None
    if pid is None and not install.is_installed(place):
        state = "absent"
    else:
        state = "stopped" if pid is None else "running"
    raw = install.read_manifest(place).get("versions")
    versions = {str(k): str(v) for k, v in raw.items()} if isinstance(raw, Mapping) else {}
    size = _bytes_of(place.folder) if count_bytes else 0
    return Status(state=state, home=place, pid=pid, bytes=size, versions=versions)


def endpoint(home: Home | None = None) -> Endpoint:
    """Return how to call the private engine, whether it runs or not."""
    place = home or Home.default()
    path = os.pathsep.join(
        [
            str(place.binaries),
            *(
                part
                for part in os.environ.get("PATH", os.defpath).split(os.pathsep)
                if part != str(place.binaries)
            ),
        ]
    )
    return Endpoint(
        kind="private",
        docker_host=place.docker_host,
        docker=place.docker,
        env={"DOCKER_CONFIG": str(place.client_config), "PATH": path},
    )


def require_none_else(found: Endpoint | None) -> None:
    """Refuse a second engine where the machine has one.

    Raises:
        UsageError: there is an engine that is not ours.
    """
    if found is not None and found.kind != "private":
        raise UsageError(
            f"this machine has a Docker engine already ({found.docker_host})",
            "nothing to do; unset DOCKER_HOST or stop it if you want the private one",
        )


def _require_mountable(home: Home) -> None:
    """Refuse a folder that can't stand in the options of an overlay mount (seen: ENOENT)."""
    if set(str(home.folder)) & set(",:\\"):
        raise UsageError(
            f"the engine's folder {home.folder} holds a comma or a colon, which overlay mounts "
            "can't take",
            f"name another one: {HOME_VARIABLE}=/path invoke engine start",
        )


@contextlib.contextmanager
def _locked(home: Home) -> Iterator[None]:
    from filelock import FileLock, Timeout  # slow to import, and a status needs no lock

    home.lock.parent.mkdir(parents=True, exist_ok=True)
    note = home.lock.with_suffix(".holder")
    lock = FileLock(home.lock, timeout=_LOCK_PATIENCE_S)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(f"the private engine in {home.folder}", _holder(note)) from None
    try:
        note.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _holder(note: Path) -> str:
    try:
        pid = int(note.read_text(encoding="ascii"))
        return f"process {pid} ({' '.join(psutil.Process(pid).cmdline()[:4])})"
    except (OSError, ValueError, psutil.Error):
        return "another process"


def _bytes_of(folder: Path) -> int:
    """Count the disk blocks below a folder, without crossing into mounts."""
    try:
        device = folder.stat().st_dev
    except OSError:
        return 0
    total = 0
    stack = [str(folder)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    facts = entry.stat(follow_symlinks=False)
                    if facts.st_dev != device:
                        continue
                    total += getattr(facts, "st_blocks", facts.st_size // 512) * 512
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except OSError:
            continue  # it went away, or it is root's
    return total


__all__ = [
    "NoEngine",
    "Status",
    "endpoint",
    "install_engine",
    "plan",
    "remove",
    "require_none_else",
    "start",
    "status",
    "stop",
]
