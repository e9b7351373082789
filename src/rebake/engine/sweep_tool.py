"""Ends what a private engine left: its processes, its containers' processes, its mounts.

A program of its own (standard library only), since it runs as root, perhaps through sudo.
It acts only on what names the engine's folder or its runtime folder.

    python -I sweep_tool.py sweep FOLDER RUNTIME
    python -I sweep_tool.py delete FOLDER RUNTIME
    python -I sweep_tool.py own UID GID PATH
    python -I sweep_tool.py bridges STORE
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

MARKER = ".rebake-engine"  # stands in every folder of ours; without it nothing is deleted
_ENGINE_PROGRAMS = {
    "dockerd",
    "containerd",
    "containerd-shim-runc-v2",
    "docker-proxy",
    "runc",
}
_MNT_DETACH = 2
_MOUNT_POINT = 4  # the column of mountinfo
_LIMIT_S = 10.0
_PATIENCE_S = 0.05


def is_engine_process(argv: list[str], folder: str) -> bool:
    """Tell whether a command line is one of the engine's programs (not of its clients)."""
    if not argv:
        return False
    program = Path(argv[0])
    return program.name in _ENGINE_PROGRAMS and _below(argv[0], f"{folder}/programs")


def is_container_process(mountinfo: str, folder: str) -> bool:
    """Tell whether a process lives in a container whose root is in `folder`."""
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) > _MOUNT_POINT and fields[_MOUNT_POINT] == "/":
            options = unescape(fields[-1])
            return f"={folder}/" in options or f":{folder}/" in options
    return False


def mounts_below(mountinfo: str, folders: list[str]) -> list[str]:
    """Return the mount points below the folders, the deepest first."""
    points = [
        unescape(fields[_MOUNT_POINT])
        for fields in (line.split(" ") for line in mountinfo.splitlines())
        if len(fields) > _MOUNT_POINT
    ]
    ours = [point for point in points if any(_below(point, folder) for folder in folders)]
    return sorted(ours, key=lambda point: -point.count("/"))


def unescape(text: str) -> str:
    r"""Undo the kernel's escapes in mountinfo (`\040` for a space)."""
    for code in ("\\040", "\\011", "\\012", "\\054", "\\134"):
        text = text.replace(code, chr(int(code[1:], 8)))
    return text


def sweep(folder: str, runtime: str) -> None:
    """Kill the engine's processes and its containers', then take their mounts away."""
    deadline = time.monotonic() + _LIMIT_S
    while pids := _processes(folder):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} can't be ended")
        time.sleep(_PATIENCE_S)
    libc = ctypes.CDLL(None, use_errno=True)
    for point in mounts_below(_read("/proc/self/mountinfo"), [folder, runtime]):
        libc.umount2(os.fsencode(point), _MNT_DETACH)


def delete(folder: str, runtime: str) -> None:
    """Sweep, then delete both folders; only folders that bear our marker."""
    if not Path(folder, MARKER).is_file():
        raise PermissionError(f"{folder} has no {MARKER} file: it is not ours")
    sweep(folder, runtime)
    left = mounts_below(_read("/proc/self/mountinfo"), [folder, runtime])
    if left:
        raise PermissionError(f"still mounted: {', '.join(left)}")
    if runtime != folder and not _below(runtime, folder) and Path(runtime, MARKER).is_file():
        shutil.rmtree(runtime)
    shutil.rmtree(folder)


def own(uid: str, gid: str, path: str) -> None:
    """Give a socket to the user, and to nobody else."""
    os.chmod(path, 0o600)  # noqa: PTH101
    os.chown(path, int(uid), int(gid))


def bridges(store: str) -> list[str]:
    """Return the bridges of every network that a dockerd's store names, from the store's bytes.

    dockerd calls a network's bridge `br-` and the first 12 digits of the network's id, which is
    random: a bridge whose id stands in this store was made by its dockerd and by no other. The
    store (bbolt) may name networks that are gone; and other ids, whose bridges never were.
    """
    content = _read(store)
    ids = re.findall(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", content)
    named = re.findall(r'"BridgeName":"([A-Za-z0-9_.-]{1,15})"', content)
    return sorted({f"br-{one[:12]}" for one in ids} | set(named))


def _processes(folder: str) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        argv = _read(f"/proc/{entry}/cmdline").split("\0")
        if is_engine_process(argv, folder) or is_container_process(
            _read(f"/proc/{entry}/mountinfo"), folder
        ):
            if " Z " in _read(f"/proc/{entry}/stat").rpartition(")")[2][:4]:
                continue  # already dead, its parent has not looked yet
            found.append(int(entry))
    return found


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:  # noqa: PTH123
            return stream.read()
    except OSError:
        return ""


def main(words: list[str]) -> int:
    """Run one of the commands; return the exit code."""
    try:
        match words:
            case ["sweep", folder, runtime]:
                sweep(folder, runtime)
            case ["delete", folder, runtime]:
                delete(folder, runtime)
            case ["own", uid, gid, path]:
                own(uid, gid, path)
            case ["bridges", store]:
                sys.stdout.write("".join(f"{name}\n" for name in bridges(store)))
            case _:
                sys.stderr.write(f"{__doc__}\n")
                return 2
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
