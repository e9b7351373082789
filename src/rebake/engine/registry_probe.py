"""Asks registries whether they are there, before anything is pulled."""

from __future__ import annotations

import json
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import Message

from rebake import process
from rebake.engine import ca, recipes
from rebake.engine.base_image_plan import BaseImage
from rebake.engine.endpoint import Endpoint
from rebake.errors import NoEngine, RebakeError

PROBE_LIMIT_S = 3.0
INSPECT_TIMEOUT_S = 15.0


def probe(endpoint: Endpoint, images: Sequence[BaseImage]) -> dict[str, bool]:
    """Ask every image's registry whether it is there, all at once, in at most 3 s.

    An engine with mirrors for Docker Hub counts when one of the mirrors answers.
    """
    registries = sorted({recipes.parse_reference(image.ref).registry for image in images})
    hub = _hub_addresses(endpoint) if recipes.DEFAULT_REGISTRY in registries else []
    addresses = {
        registry: hub if registry == recipes.DEFAULT_REGISTRY else [f"https://{registry}"]
        for registry in registries
    }
    flat = [(registry, url) for registry, urls in addresses.items() for url in urls]
    with ThreadPoolExecutor(max_workers=max(1, len(flat))) as pool:
        found = list(pool.map(lambda pair: (pair[0], answers(pair[1])), flat))
    return {registry: any(ok for name, ok in found if name == registry) for registry in registries}


def answers(address: str, limit_s: float = PROBE_LIMIT_S) -> bool:
    """Tell whether a registry answers at `address`; asking for a login is an answer too."""
    request = urllib.request.Request(f"{address.rstrip('/')}/v2/")  # noqa: S310 - from the engine
    bundle = ca.host_bundle()
    result: list[bool] = []

    def ask() -> None:
        try:
            context = ssl.create_default_context(cafile=str(bundle) if bundle else None)
            with urllib.request.urlopen(request, timeout=limit_s, context=context) as answer:  # noqa: S310
                result.append(_is_registry(answer.headers))
        except urllib.error.HTTPError as error:
            result.append(_is_registry(error.headers))
        except (OSError, ValueError):
            result.append(False)

    # A name server that stays silent is not bounded by the timeout above.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(limit_s)
    return bool(result and result[0])


def _hub_addresses(endpoint: Endpoint) -> list[str]:
    command = endpoint.command(
        "system", "info", "--format", "{{json .}}", timeout_s=INSPECT_TIMEOUT_S
    )
    try:
        info = json.loads(process.run(command).stdout or "{}")
    except (ValueError, RebakeError) as error:
        if isinstance(error, NoEngine):
            raise
        return []
    return parse_hub_addresses(info)


def parse_hub_addresses(info: Mapping[str, object]) -> list[str]:
    """Return where the engine itself looks for Docker Hub's images: its mirrors, then the Hub."""
    config = info.get("RegistryConfig")
    mirrors = config.get("Mirrors") if isinstance(config, Mapping) else None
    found = [str(mirror).rstrip("/") for mirror in mirrors or ()]
    index = re.match(r"https?://[^/]+", str(info.get("IndexServerAddress") or ""))
    return [*found, *([index[0]] if index else [])]


def _is_registry(headers: Message[str, str]) -> bool:
    # A captive portal or a proxy's error page has no such header.
    return "registry/2.0" in (headers.get("Docker-Distribution-Api-Version") or "")
