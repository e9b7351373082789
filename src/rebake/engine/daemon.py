"""Starts and stops the private engine's two daemons, and clears away what a crash left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import psutil

from rebake import process
from rebake.engine import daemon_config, firewall, install, network
from rebake.engine.home import Home
from rebake.engine.packages import Say
from rebake.engine.ping import ping
from rebake.engine.privilege import Privilege
from rebake.engine.sweep_tool import MARKER
from rebake.errors import CannotRun, RebakeError
from rebake.process import Command

START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
_POLL_S = 0.05
_LOG_LINES = 15
_LOG_LIMIT = 5_000_000
_SWEEP_TOOL = Path(__file__).with_name("sweep_tool.py")
# What the daemons may take over from our environment.
_PASSED = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)


def running_pid(home: Home) -> int | None:
    """Return dockerd's process id when it is ours: pid file, command line and socket agree."""
    try:
        pid = int(home.pid_file.read_text(encoding="ascii").strip())
        argv = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    if not _is_ours(argv, home) or ping(home.docker_host) is None:
        return None
    return pid


def daemon_pids(home: Home) -> list[int]:
    """Return the ids of our dockerd and containerd, whether they answer or not."""
    return [
        candidate.info["pid"]
        for candidate in psutil.process_iter(["pid", "cmdline"])
        if _is_ours(candidate.info["cmdline"] or [], home)
    ]


def start(home: Home, privilege: Privilege, say: Say, limit_s: float = START_LIMIT_S) -> None:
    """Start both daemons, within `limit_s`; installed before, and the caller holds the lock.

    Raises:
        CannotRun: the engine did not come up; the error ends with the log's last lines.
        NoEngine: no address range is free.
        Busy: another private engine starts or stops, and does not end.
    """
    with firewall.exclusive():
        _start(home, privilege, say, limit_s)


def _start(home: Home, privilege: Privilege, say: Say, limit_s: float) -> None:
    clean(home, privilege)
    remove_networks(home, privilege)
    _make_folders(home, privilege)
    _write_configuration(home, privilege, say)
    env: dict[str, str | None] = {**install.program_environment(home.programs)}
    env.update({name: os.environ[name] for name in _PASSED if name in os.environ})
    rules: dict[str, str] = {}
    deadline = time.monotonic() + limit_s
    say(f"starting the engine; its log: {home.log}")
    for program, config, socket_path in (
        ("usr/bin/containerd", home.containerd_config, home.containerd_socket),
        ("usr/sbin/dockerd", home.daemon_config, home.socket),
    ):
        flag = "--config" if program.endswith("containerd") else "--config-file"
        command = Command.of(home.programs / program, flag, config, env=env, cwd=Path("/"))
        if not flag.endswith("config"):  # dockerd, the one that changes rules
            rules = firewall.snapshot(install.program_environment(home.programs), privilege)
        pid = process.spawn_background(privilege.command(command), home.log)
        _wait_for(home, socket_path, pid, deadline, program)
    if privilege.prefix:
        _root_tool(privilege, "own", str(os.getuid()), str(os.getgid()), str(home.socket))
    while ping(home.docker_host) is None:
        if time.monotonic() > deadline:
            raise _did_not_start(home, f"it did not answer within {limit_s:.0f} s")
        time.sleep(_POLL_S)
    firewall.restore(rules, install.program_environment(home.programs), privilege)


def stop(home: Home, privilege: Privilege) -> bool:
    """Stop the daemons and take away their processes, mounts and bridges; tell if any ran."""
    pids = daemon_pids(home)
    dockerd = [pid for pid in pids if _program(pid) == "dockerd"]
    for group in (dockerd, [pid for pid in pids if pid not in dockerd]):
        _signal(group, "TERM", privilege)
        _wait_gone(group, STOP_LIMIT_S)
    clean(home, privilege)
    with firewall.exclusive():
        remove_networks(home, privilege)
    return bool(pids)


def clean(home: Home, privilege: Privilege) -> None:
    """Clear away left-over processes, mounts, sockets and pid files of a crash."""
    if home.folder.exists():
        _root_tool(privilege, "sweep", str(home.folder), str(home.runtime))
    for folder in (home.exec_root, home.containerd_state):
        if folder.exists():
            _delete(folder, privilege)
    for name in ("docker.sock", "docker.pid", "containerd.sock", "containerd.sock.ttrpc"):
        path = home.runtime / name
        if path.exists() or path.is_symlink():
            _delete(path, privilege)


def remove_networks(home: Home, privilege: Privilege) -> None:
    """Remove our bridges and our firewall rules, and nothing of an engine beside ours."""
    known = known_bridges(home, privilege)
    bridges = [name for name in psutil.net_if_addrs() if name in known]
    addresses = network.load(home.network_file)
    if addresses is not None:
        others = network.taken_networks(except_interfaces=bridges)
        alone = not any(addresses.pool.overlaps(other) for other in others if other.prefixlen > 0)
        firewall.remove_rules(
            known,
            addresses.pool if alone else None,
            install.program_environment(home.programs),
            privilege,
        )
    for bridge in bridges:
        network.remove_bridge(bridge, Path(sys.executable), privilege)


def leftover_bridges(home: Home, privilege: Privilege | None = None) -> list[str]:
    """Return our bridges that are there: the engine's own, and its networks'."""
    known = known_bridges(home, privilege or Privilege())
    return [name for name in psutil.net_if_addrs() if name in known]


def known_bridges(home: Home, privilege: Privilege) -> frozenset[str]:
    """Return the names of all bridges that this engine made, there or not.

    Never by address alone: an engine of another home may use the same range.
    """
    known = {home.bridge}
    stored: set[str] = set()
    if home.data.exists():
        stored = set(_root_tool(privilege, "bridges", str(home.network_store)).split())
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stored.add(json.loads(home.daemon_config.read_text(encoding="utf-8")).get("bridge", ""))
    addresses = network.load(home.network_file)
    for name in stored:
        # A name without an id may also be the bridge of somebody else: its address decides.
        if name.startswith("br-") or (addresses is not None and _is_within(name, addresses.pool)):
            known.add(name)
    return frozenset(known)


def log_tail(home: Home, lines: int = _LOG_LINES) -> list[str]:
    """Return the last lines of the engine's log."""
    try:
        text = home.log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]


def path_mtu(proc: Path = Path("/proc"), sys_net: Path = Path("/sys/class/net")) -> int:
    """Return the largest packet of the default route's interface, in bytes; 1500 if unknown."""
    try:
        for line in (proc / "net/route").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[1] == "00000000" and fields[7] == "00000000":
                return int((sys_net / fields[0] / "mtu").read_text(encoding="ascii"))
    except (OSError, ValueError, IndexError):
        pass
    return 1500


def delete_home(home: Home, privilege: Privilege) -> None:
    """Delete the engine's folders; refuses folders without our marker.

    Raises:
        CommandFailed: it is not ours, or something is still mounted there.
    """
    _root_tool(privilege, "delete", str(home.folder), str(home.runtime))


def _make_folders(home: Home, privilege: Privilege) -> None:
    for folder in (home.folder, home.data, home.containerd_data):
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    if not home.runtime.exists():
        if privilege.prefix and not os.access(home.runtime.parent, os.W_OK):
            for words in (("mkdir", "-m", "711"), ("chown", f"{os.getuid()}:{os.getgid()}")):
                process.run(privilege.command(Command.of(*words, home.runtime))).check()
        else:
            home.runtime.mkdir(mode=0o711)
    for folder in (home.folder, home.runtime):
        (folder / MARKER).touch()
    if home.log.exists() and home.log.stat().st_size > _LOG_LIMIT:
        home.log.replace(home.log.with_suffix(".log.1"))


def _write_configuration(home: Home, privilege: Privilege, say: Say) -> None:
    ours = leftover_bridges(home, privilege)
    before = network.load(home.network_file)
    addresses = network.keep_or_choose(
        home.network_file, network.taken_networks(except_interfaces=ours), home.number
    )
    if before not in (None, addresses) and home.data.exists():
        # dockerd would bring its networks up again in the old range, which is somebody else's now.
        say(
            f"{before.pool if before else ''} is in use by something else now: the engine moves to "
            f"{addresses.pool}, and its networks are made anew (invoke up)"
        )
        _delete(home.network_store, privilege)
    network.make_bridge(home.bridge, addresses.bridge, Path(sys.executable), privilege)
    home.daemon_config.write_text(
        daemon_config.daemon_json(
            home,
            addresses,
            disk_bytes=shutil.disk_usage(home.folder).total,
            mtu=path_mtu(),
        ),
        encoding="utf-8",
    )
    home.containerd_config.write_text(daemon_config.containerd_toml(home), encoding="utf-8")
    write_client_config(home)


def write_client_config(home: Home) -> None:
    """Write the client's configuration, with the user's own logins, readable by the user only."""
    users = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    own: dict[str, object] = {}
    if users.parent != home.client_config:
        try:
            loaded = json.loads(users.read_text(encoding="utf-8"))
            own = loaded if isinstance(loaded, dict) else {}
        except (OSError, ValueError):
            own = {}
    home.client_config.mkdir(exist_ok=True, mode=0o700)
    file = home.client_config / "config.json"
    text = daemon_config.client_json(home, own)
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def _wait_for(home: Home, path: Path, pid: int, deadline: float, program: str) -> None:
    name = Path(program).name
    while not _answers(path):
        if not _alive(pid):
            raise _did_not_start(home, f"{name} ended at once")
        if time.monotonic() > deadline:
            raise _did_not_start(home, f"{name} did not answer within {START_LIMIT_S:.0f} s")
        time.sleep(_POLL_S)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except PermissionError:
            return True  # root's, and it is there
        except OSError:
            return False
    return True


def _did_not_start(home: Home, reason: str) -> RebakeError:
    return CannotRun(
        f"the private engine did not start: {reason}",
        tried=tuple(log_tail(home)),
        next_step=f"look at {home.log}; in a container, it must be a privileged one",
    )


def _is_ours(argv: Iterable[str], home: Home) -> bool:
    words = list(argv)
    programs = (str(home.programs / "usr/sbin/dockerd"), str(home.programs / "usr/bin/containerd"))
    configs = (str(home.daemon_config), str(home.containerd_config))
    return bool(words) and words[0] in programs and words[-1] in configs


def _program(pid: int) -> str:
    try:
        return Path(psutil.Process(pid).cmdline()[0]).name
    except (psutil.Error, IndexError):
        return ""


def _signal(pids: Iterable[int], name: str, privilege: Privilege) -> None:
    words = [str(pid) for pid in pids]
    if words:
        process.run(privilege.command(Command.of("kill", f"-{name}", *words)))


def _wait_gone(pids: Iterable[int], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended but was not yet waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _delete(path: Path, privilege: Privilege) -> None:
    if privilege.prefix:
        process.run(privilege.command(Command.of("rm", "-rf", "--one-file-system", path))).check()
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _root_tool(privilege: Privilege, *words: str) -> str:
    command = Command.of(sys.executable, "-I", _SWEEP_TOOL, *words, what=f"engine {words[0]}")
    return process.run(privilege.command(command)).check().stdout


def _is_within(interface: str, pool: IPv4Network) -> bool:
    entries = psutil.net_if_addrs().get(interface, [])
    ipv4 = [entry.address for entry in entries if entry.family == socket.AF_INET]
    return any(IPv4Address(address) in pool for address in ipv4)
