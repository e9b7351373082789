"""The rules for a production stack as findings of a scan. Pure.

No scanner covers these lines: Trivy leaves compose files out. What `invoke doctor` gives as advice
for them (`compose_rules`) fails a scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rebake.scan.compose_rules import HasCheck, breaches
from rebake.scan.findings import Finding, Severity

# Who breaks into such a container owns the machine.
_CRITICAL = frozenset({"compose-privileged", "compose-docker-sock"})
# It works less well, but it opens no door.
_MEDIUM = frozenset({"compose-healthcheck"})


def check(document: Mapping[str, Any], shown: str, has_check: HasCheck) -> Iterator[Finding]:
    """Yield what the services of a production stack break.

    Args:
        document: what `docker compose config --format json` prints.
        shown: the compose file's path in the repository.
        has_check: whether the image of a service has a health check of its own; None: not known.
    """
    for breach in breaches(document, "prod", has_check):
        yield Finding(
            "compose", breach.rule, severity_of_rule(breach.rule), shown, breach.message,
            breach.fix, place=breach.service,
        )  # fmt: skip


def severity_of_rule(rule: str) -> Severity:
    """Return how bad it is to break a rule."""
    if rule in _CRITICAL:
        return "critical"
    return "medium" if rule in _MEDIUM else "high"
