"""Takes the private engine's firewall rules away when it stops.

dockerd leaves its rules behind. Only rules that name our bridges or our address range are
removed: chains and rules of another engine stay as they are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network

from rebake import process
from rebake.engine.privilege import Privilege
from rebake.errors import ProgramMissing
from rebake.process import Command


def deletions(saved: str, bridges: Sequence[str], pool: IPv4Network) -> list[tuple[str, ...]]:
    """Return the arguments of iptables that delete our rules from what iptables-save printed."""
    found = []
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith("-A ") and _is_ours(line, bridges, pool):
            words = shlex.split(line)
            found.append(("-w", "5", "-t", table, "-D", *words[1:]))
    return found


def remove_rules(
    bridges: Sequence[str],
    pool: IPv4Network,
    env: Mapping[str, str],
    privilege: Privilege,
) -> None:
    """Delete the rules that name our bridges or range; no harm where there is no iptables."""
    for program in ("iptables", "ip6tables"):
        path = process.which(program, env["PATH"])
        save = process.which(f"{program}-save", env["PATH"])
        if path is None or save is None:
            continue
        try:
            saved = process.run(privilege.command(Command.of(save, env=env, timeout_s=10.0)))
        except ProgramMissing:
            continue
        for words in deletions(saved.stdout, bridges, pool):
            process.run(privilege.command(Command.of(path, *words, env=env, timeout_s=10.0)))


def _is_ours(line: str, bridges: Iterable[str], pool: IPv4Network) -> bool:
    words = set(line.split())
    if words & set(bridges):
        return True
    for address in re.findall(r"\d+\.\d+\.\d+\.\d+(?:/\d+)?", line):
        try:
            network = IPv4Network(address, strict=False)
        except ValueError:
            continue
        if network.prefixlen > 0 and network.subnet_of(pool):
            return True
    return False
