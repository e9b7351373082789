"""Where the private engine lives: one folder, with everything that belongs to it.

The folder is `platformdirs.user_data_path("rebake")/engine`, or what `REBAKE_ENGINE_HOME` names
(a second engine beside the first). Bridges are the whole machine's, so the bridge's name holds
the folder's digest: users of one machine, or one user with two homes, never share one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs
from msgspec import Struct

HOME_VARIABLE = "REBAKE_ENGINE_HOME"
_SOCKET_LIMIT = 107  # bytes in sockaddr_un.sun_path, less the closing zero
# The longest socket below the runtime folder: exec/libnetwork/<12 hex digits>.sock
_LONGEST_SOCKET = len("/exec/libnetwork/0123456789ab.sock")


class Home(Struct, frozen=True):
    """The paths of one private engine.

    Attributes:
        folder: everything that outlives a reboot.
        runtime: sockets and pid files; inside `folder` unless that path is too long for a socket.
        bridge: the name of its network bridge.
    """

    folder: Path
    runtime: Path
    bridge: str

    @classmethod
    def default(cls, environ: Mapping[str, str] | None = None) -> Home:
        """Return the home of this user's engine (or the one that the environment names)."""
        env = os.environ if environ is None else environ
        usual = platformdirs.user_data_path("rebake") / "engine"
        named = env.get(HOME_VARIABLE)
        return cls.at(Path(named) if named else usual)

    @classmethod
    def at(cls, folder: Path) -> Home:
        """Return the home in `folder`."""
        folder = folder.expanduser().absolute()
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
        runtime = folder / "run"
        if len(os.fsencode(runtime)) + _LONGEST_SOCKET > _SOCKET_LIMIT:
            runtime = Path("/run") / f"rebake-{digest}"
        return cls(folder=folder, runtime=runtime, bridge=f"rebake-{digest}")

    @property
    def number(self) -> int:
        """A number that differs from home to home: where the choice of a range begins."""
        return int(self.bridge.removeprefix("rebake-"), 16)

    @property
    def programs(self) -> Path:
        """The unpacked packages."""
        return self.folder / "programs"

    @property
    def manifest(self) -> Path:
        """Written last by an install: what was installed; without it the install is not whole."""
        return self.programs / "rebake-install.json"

    @property
    def binaries(self) -> Path:
        """Links to the programs that the engine and its users need."""
        return self.programs / "rebake-bin"

    @property
    def docker(self) -> Path:
        """The client."""
        return self.programs / "usr/bin/docker"

    @property
    def client_config(self) -> Path:
        """The client's configuration folder (DOCKER_CONFIG)."""
        return self.folder / "client"

    @property
    def daemon_config(self) -> Path:
        """The configuration file of dockerd."""
        return self.folder / "daemon.json"

    @property
    def containerd_config(self) -> Path:
        """The configuration file of containerd."""
        return self.folder / "containerd.toml"

    @property
    def data(self) -> Path:
        """Images, volumes, caches of dockerd."""
        return self.folder / "data"

    @property
    def containerd_data(self) -> Path:
        """Images and snapshots of containerd."""
        return self.folder / "containerd"

    @property
    def network_store(self) -> Path:
        """What dockerd remembers of its networks."""
        return self.data / "network/files/local-kv.db"

    @property
    def exec_root(self) -> Path:
        """The engine's run-time state."""
        return self.runtime / "exec"

    @property
    def containerd_state(self) -> Path:
        """Containerd's run-time state."""
        return self.runtime / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.runtime / "containerd.sock"

    @property
    def socket(self) -> Path:
        """Where the engine listens."""
        return self.runtime / "docker.sock"

    @property
    def pid_file(self) -> Path:
        """The process id of dockerd."""
        return self.runtime / "docker.pid"

    @property
    def log(self) -> Path:
        """What dockerd and containerd print."""
        return self.folder / "engine.log"

    @property
    def network_file(self) -> Path:
        """The address range that was chosen."""
        return self.folder / "network.json"

    @property
    def lock(self) -> Path:
        """Held by whoever installs, starts, stops or removes."""
        return self.folder.with_name(self.folder.name + ".lock")

    @property
    def docker_host(self) -> str:
        """The value of DOCKER_HOST."""
        return f"unix://{self.socket}"
