"""The files that configure the private engine; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rebake.engine.home import Home
from rebake.engine.network import AddressRange

_GB = 1_000_000_000
_LEAST_CACHE = 20 * _GB
_USUAL_MTU = 1500
# Each edit that is built leaves some ten records, a few kilobytes each: a size never bounds them,
# and the engine works through all of them whenever it is asked for its cache, or cleans up.
_KEEP_CONTEXT, _KEEP_LAYER = "48h", "336h"  # hours since a build used it


def cache_limit(disk_bytes: int) -> int:
    """Return how much build cache is kept: a fifth of the disk, at least 20 GB, at most half."""
    return min(max(_LEAST_CACHE, disk_bytes // 5), max(disk_bytes // 2, 2 * _GB))


def daemon_json(home: Home, addresses: AddressRange, *, disk_bytes: int, mtu: int) -> str:
    """Return dockerd's configuration.

    Args:
        home: where it runs.
        addresses: the range for its networks.
        disk_bytes: the size of the disk that holds its data.
        mtu: the largest packet of the way out, in bytes; a bridge with larger ones loses packets.
    """
    settings: dict[str, object] = {
        "hosts": [home.docker_host],
        "pidfile": str(home.pid_file),
        "data-root": str(home.data),
        "exec-root": str(home.exec_root),
        "containerd": str(home.containerd_socket),
        "bridge": home.bridge,
        **addresses.daemon_settings(),
        "features": {"containerd-snapshotter": True},
        "builder": {"gc": {"enabled": True, "policy": _policy(disk_bytes)}},
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "log-level": "warn",
        "max-concurrent-downloads": 6,
        "shutdown-timeout": 15,
        "userland-proxy-path": str(home.programs / "usr/sbin/docker-proxy"),
        "init-path": str(home.programs / "usr/bin/tini-static"),
    }
    if mtu < _USUAL_MTU:
        settings["mtu"] = mtu
        settings["default-network-opts"] = {
            "bridge": {"com.docker.network.driver.mtu": str(mtu)},
        }
    return json.dumps(settings, indent=2) + "\n"


def _policy(disk_bytes: int) -> list[dict[str, object]]:
    """What the builder drops.

    Cache mounts go by size alone. The default drops those that no build used for two days, and with
    them all that was compiled.
    """
    limit = cache_limit(disk_bytes)
    return [
        {"filter": ["type=source.local", f"unused-for={_KEEP_CONTEXT}"]},
        {"filter": ["type=regular", f"unused-for={_KEEP_LAYER}"]},
        {
            "all": True,
            "reservedSpace": f"{limit // 2}B",
            "maxUsedSpace": f"{limit}B",
            "minFreeSpace": f"{min(5 * _GB, disk_bytes // 20)}B",
        },
    ]


def containerd_toml(home: Home) -> str:
    """Return containerd's configuration: nothing outside the home, no Kubernetes plugins."""
    disabled = [
        "io.containerd.grpc.v1.cri",
        "io.containerd.cri.v1.images",
        "io.containerd.cri.v1.runtime",
        "io.containerd.nri.v1.nri",
        "io.containerd.internal.v1.opt",
        "io.containerd.tracing.processor.v1.otlp",
        "io.containerd.internal.v1.tracing",
    ]
    lines = [
        "version = 2",
        f"root = {_text(home.containerd_data)}",
        f"state = {_text(home.containerd_state)}",
        f"disabled_plugins = {json.dumps(disabled)}",
        "[grpc]",
        f"  address = {_text(home.containerd_socket)}",
        "[ttrpc]",
        f"  address = {_text(Path(f'{home.containerd_socket}.ttrpc'))}",
        "[debug]",
        '  level = "warn"',
        # It looks through all that it has, and lets nobody write meanwhile, after so many changes;
        # by default 100, which is in the middle of nearly every build. Whoever removes something
        # has it looked for at once all the same.
        "[plugins.'io.containerd.gc.v1.scheduler']",
        "  mutation_threshold = 2000",
        '  schedule_delay = "2s"',
    ]
    return "\n".join(lines) + "\n"


def client_json(home: Home, users_own: Mapping[str, object]) -> str:
    """Return the client's configuration: the user's own (logins, proxies) plus our plugins."""
    settings = {key: value for key, value in users_own.items() if key != "currentContext"}
    settings["cliPluginsExtraDirs"] = [str(home.programs / "usr/libexec/docker/cli-plugins")]
    return json.dumps(settings, indent=2) + "\n"


def _text(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)  # a TOML basic string has JSON's escapes
