"""The settings of the host's apt that hold wherever its mirrors are used: proxies, certificates."""

from __future__ import annotations

import re

from rebake import process
from rebake.errors import ProgramMissing
from rebake.process import Command

_KEPT = re.compile(
    r"Acquire::("
    r"(https?|ftp)::(Proxy|No-Cache|Timeout|Verify-Peer|Verify-Host|User-Agent|Pipeline-Depth)"
    r"(::[^ ]+)?"
    r"|Check-Valid-Until|Check-Date|Max-FutureTime|ForceIPv[46]|Retries|Queue-Mode"
    r")$"
)
# Settings that name files of the host, or weaken what is checked, stay behind.
_NEVER = re.compile(
    r"(CaInfo|SslCert|SslKey|AllowInsecure|AllowWeak|Proxy-Auto-Detect)", re.IGNORECASE
)


def host_settings() -> list[str]:
    """Return the host's settings that count, in apt.conf's words; empty where there is no apt."""
    try:
        outcome = process.run(Command.of("apt-config", "dump", timeout_s=10.0))
    except ProgramMissing:
        return []
    return parse_dump(outcome.stdout)


def parse_dump(text: str) -> list[str]:
    """Pick the lines that count from what `apt-config dump` prints."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r'(\S+) "(.*)";', line.strip())
        if match and match[2] and _KEPT.match(match[1]) and not _NEVER.search(match[1]):
            found.append(f'{match[1]} "{match[2]}";')
    return found
