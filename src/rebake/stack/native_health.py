"""How the services of a native stack are: running, healthy, or neither."""

from __future__ import annotations

import http.client
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from rebake.results import ServiceState, StackResult
from rebake.stack.native_plan import NativePlan, NativeService
from rebake.stack.native_state import Home, RunRecord

ENGINE = "native"
_HEALTH_TIMEOUT_S = 2.0


def result_of(home: Home, plan: NativePlan, seconds: float) -> StackResult:
    """Return how the whole stack is now; all services are asked side by side."""
    record = home.read_run() or RunRecord()
    with ThreadPoolExecutor(max_workers=len(plan.services)) as pool:
        states = list(pool.map(lambda service: service_state(service, record), plan.services))
    return StackResult(
        mode="dev", urls=plan.urls, services=tuple(states), engine=ENGINE, seconds=seconds
    )


def service_state(service: NativeService, record: RunRecord) -> ServiceState:
    """Return how one service is now, by its process and its own word."""
    known = record.services.get(service.name)
    if known is None or known.process is None or not known.process.alive:
        return ServiceState(service.name, "restarting", "unhealthy", service.url)
    health = "healthy" if _answers(service) else "unhealthy"
    return ServiceState(service.name, "running", health, service.url)


def _answers(service: NativeService) -> bool:
    """Whether the health check answers 200. No proxy of the environment stands in between."""
    parts = urllib.parse.urlsplit(service.health_url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=_HEALTH_TIMEOUT_S
    )
    try:
        connection.request("GET", parts.path, headers={"Connection": "close"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
