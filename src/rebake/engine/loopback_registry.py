"""A registry of our own on the loopback address: for caches that a benchmark imports and exports.

The program is Docker's own registry: from PATH, else from the machine's package archive, unpacked
into the user's cache folder with nothing installed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rebake import process
from rebake.engine import archive_program
from rebake.errors import CannotRun
from rebake.process import Command

_PROGRAMS = ("docker-registry", "registry")
_PACKAGE = "docker-registry"
_START_LIMIT_S = 15.0
_POLL_S = 0.05

Say = Callable[[str], None]


def configuration(folder: Path, port: int) -> str:
    """Return the registry's configuration; JSON is YAML."""
    return json.dumps(
        {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder)}},
            "http": {"addr": f"127.0.0.1:{port}"},
        },
        indent=2,
    )


def find_program(say: Say) -> Path:
    """Return the registry's program, fetched from the package archive where it is not there.

    Raises:
        CannotRun: it can't be had on this machine.
        NoEngine: the package archive can't be read.
    """
    home = archive_program.tool_home("registry")
    found = archive_program.installed(_PROGRAMS, home)
    return found or archive_program.fetch(_PACKAGE, _PROGRAMS[0], home, say)


@contextlib.contextmanager
def running(folder: Path, say: Say) -> Iterator[str]:
    """Run a registry that keeps its data in `folder`; give its address, `127.0.0.1:port`.

    Raises:
        CannotRun: there is none, or it does not come up.
    """
    program = find_program(say)
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    file = folder / "config.json"
    file.write_text(configuration(folder / "data", port), encoding="utf-8")
    log = folder / "registry.log"
    with process.start(Command.of(program, "serve", file, cwd=folder), log=log) as server:
        limit = time.monotonic() + _START_LIMIT_S
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > limit:
                tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
                raise CannotRun("the registry did not start", tried=tuple(tail))
            time.sleep(_POLL_S)
        yield f"127.0.0.1:{port}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()
