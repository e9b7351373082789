"""Keeps the private engine's firewall rules apart from everybody else's.

dockerd leaves its rules behind when it stops, and when it starts it empties the chains that all
dockerds of a machine share. So: at a stop, the rules that name our bridges are removed (and those
that name no interface at all but an address of our range, unless somebody else uses that range);
after a start, what another engine had in those chains is put back.

Two starts at once would put back what was there before either: `exclusive` lets one in at a time.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shlex
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network

from rebake import process
from rebake.engine.privilege import Privilege
from rebake.errors import Busy, ProgramMissing
from rebake.process import Command

_PROGRAMS = ("iptables", "ip6tables")
_TIMEOUT_S = 10.0
_LOCK_NAME = "\0rebake-engine-firewall"
_POLL_S = 0.1


@contextlib.contextmanager
def exclusive(limit_s: float = 90.0) -> Iterator[None]:
    """Keep every other private engine of this machine from starting or stopping meanwhile.

    The lock is a socket name of Linux' abstract namespace: it is shared by exactly those processes
    that share the network namespace, and so the rules; and it goes when its holder does.

    Args:
        limit_s: seconds to wait for another one.

    Raises:
        Busy: another engine took longer.
    """
    deadline = time.monotonic() + limit_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
        while True:
            try:
                name.bind(_LOCK_NAME)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            if time.monotonic() > deadline:
                raise Busy("the firewall", "another private engine that starts or stops")
            time.sleep(_POLL_S)
        yield


def snapshot(env: Mapping[str, str], privilege: Privilege) -> dict[str, str]:
    """Return what `iptables-save` and `ip6tables-save` print now; only for those that are there."""
    return {
        program: _save(program, env, privilege)
        for program in _PROGRAMS
        if process.which(program, env["PATH"]) is not None
    }


def missing_rules(before: str, after: str, bridges: Sequence[str] = ()) -> str:
    """Return the input for `iptables-restore --noflush` that puts back what has vanished.

    Only rules of dockerd's own chains are looked at, and only in chains that are still there;
    rules that name our own bridges are left to our dockerd.
    """
    kept = set(_rules(after))
    chains = {(table, line.split()[0][1:]) for table, line in _lines(after, ":")}
    lines: dict[str, list[str]] = {}
    for table, rule in _rules(before):
        place = (table, rule.split()[1])
        ours = bool(set(rule.split()) & set(bridges))
        if (table, rule) not in kept and place in chains and "DOCKER" in rule and not ours:
            lines.setdefault(table, []).append(rule)
    return "".join(
        f"*{table}\n" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"
        for table, rules in lines.items()
    )


def restore(
    before: Mapping[str, str],
    env: Mapping[str, str],
    privilege: Privilege,
    bridges: Sequence[str] = (),
) -> None:
    """Put back the rules of other engines that have vanished since the snapshot.

    Raises:
        CommandFailed: the kernel refused them.
    """
    for program, saved in before.items():
        text = missing_rules(saved, _save(program, env, privilege), bridges)
        tool = process.which(f"{program}-restore", env["PATH"])
        if text and tool is not None:
            words = ("--noflush", "-w", "5")
            command = Command.of(tool, *words, env=env, stdin=text, timeout_s=_TIMEOUT_S)
            process.run(privilege.command(command)).check()


def deletions(
    saved: str, bridges: Iterable[str], pool: IPv4Network | None
) -> list[tuple[str, ...]]:
    """Return the arguments of iptables that delete our rules from what iptables-save printed.

    Args:
        saved: what iptables-save printed.
        bridges: the names of our bridges, whether they are still there or not.
        pool: our address range; None when somebody else uses it too.
    """
    return [
        ("-w", "5", "-t", table, "-D", *shlex.split(rule)[1:])
        for table, rule in _rules(saved)
        if _is_ours(rule, bridges, pool)
    ]


def remove_rules(
    bridges: Iterable[str],
    pool: IPv4Network | None,
    env: Mapping[str, str],
    privilege: Privilege,
) -> None:
    """Delete our rules, see `deletions`; no harm where there is no iptables."""
    for program, saved in snapshot(env, privilege).items():
        path = process.which(program, env["PATH"]) or program
        for words in deletions(saved, bridges, pool):
            command = Command.of(path, *words, env=env, timeout_s=_TIMEOUT_S)
            process.run(privilege.command(command))


def _save(program: str, env: Mapping[str, str], privilege: Privilege) -> str:
    tool = process.which(f"{program}-save", env["PATH"])
    if tool is None:
        return ""
    try:
        return process.run(
            privilege.command(Command.of(tool, env=env, timeout_s=_TIMEOUT_S))
        ).stdout
    except ProgramMissing:
        return ""


def _rules(saved: str) -> list[tuple[str, str]]:
    return _lines(saved, "-A ")


def _lines(saved: str, start: str) -> list[tuple[str, str]]:
    found = []
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(start):
            found.append((table, line))
    return found


def _is_ours(line: str, bridges: Iterable[str], pool: IPv4Network | None) -> bool:
    words = line.split()
    if set(words) & set(bridges):
        return True
    if pool is None or {"-i", "-o"} & set(words):
        return False
    for address in re.findall(r"\d+\.\d+\.\d+\.\d+(?:/\d+)?", line):
        try:
            network = IPv4Network(address, strict=False)
        except ValueError:
            continue
        if network.prefixlen > 0 and network.subnet_of(pool):
            return True
    return False
