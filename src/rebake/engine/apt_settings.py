"""The settings of the host's apt that hold wherever its mirrors are used: proxies, certificates."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from rebake import process
from rebake.errors import ProgramMissing
from rebake.process import Command, which
from rebake.remember import keep, recall

_KEPT = re.compile(
    r"Acquire::("
    r"(https?|ftp)::(Proxy|No-Cache|Timeout|Verify-Peer|Verify-Host|User-Agent|Pipeline-Depth)"
    r"(::[^ ]+)?"
    r"|Check-Valid-Until|Check-Date|Max-FutureTime|ForceIPv[46]|Retries|Queue-Mode"
    r")$"
)
# What makes apt read files elsewhere; other folders (`Dir::Cache`) don't matter.
_READS_MORE = re.compile(
    rb"#\s*include|\bRootDir\b|\bDir\b(?!\s*::\s*(?:Cache|State|Log|Media|Bin)\b)", re.IGNORECASE
)
_DAY_S = 24 * 3600
# Settings that name files of the host, or weaken what is checked, stay behind.
_NEVER = re.compile(
    r"(CaInfo|SslCert|SslKey|AllowInsecure|AllowWeak|Proxy-Auto-Detect)", re.IGNORECASE
)


def host_settings(keep_in: Path | None = None, etc: Path = Path("/etc/apt")) -> list[str]:
    """Return the host's settings that count, in apt.conf's words; empty where there is no apt.

    Args:
        keep_in: a file that keeps the answer until apt's files change; none when None.
        etc: apt's own folder.
    """
    digest = "" if keep_in is None else made_from(etc, os.environ)
    if keep_in is not None and digest and (text := recall(keep_in, digest)) is not None:
        return text.splitlines()
    try:
        outcome = process.run(Command.of("apt-config", "dump", timeout_s=10.0))
    except ProgramMissing:
        return []
    found = parse_dump(outcome.stdout)
    if keep_in is not None and digest and outcome.ok:
        keep(keep_in, digest, "\n".join(found))
    return found


def made_from(etc: Path, environ: Mapping[str, str]) -> str:
    """Return a digest of all that apt's settings come from; empty when they may come from more.

    apt.conf(5): a file that APT_CONFIG names, `apt.conf.d`, `apt.conf`, and what these include or
    name as other folders to read. For the case that a newer apt reads still more, the digest is
    another one every day.
    """
    if environ.get("APT_CONFIG"):
        return ""
    program = which("apt-config")
    if program is None:
        return ""
    total = hashlib.sha256()
    try:
        status = program.stat()
        program_id = f"{program} {status.st_size} {status.st_mtime_ns}"
        total.update(f"{program_id} {time.time() // _DAY_S}\n".encode())
        for file in (*sorted((etc / "apt.conf.d").glob("*")), etc / "apt.conf"):
            if file.is_file():
                content = file.read_bytes()
                if _READS_MORE.search(content):
                    return ""
                total.update(f"{file} {len(content)}\n".encode() + content)
    except OSError:
        return ""
    return total.hexdigest()


def parse_dump(text: str) -> list[str]:
    """Pick the lines that count from what `apt-config dump` prints."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r'(\S+) "(.*)";', line.strip())
        if match and match[2] and _KEPT.match(match[1]) and not _NEVER.search(match[1]):
            found.append(f'{match[1]} "{match[2]}";')
    return found
