"""A registry of our own on the loopback address: for caches that a benchmark imports and exports.

The program is Docker's own registry: from PATH, else from the machine's package archive, unpacked
into the user's cache folder with nothing installed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from rebake import process
from rebake.engine import apt_sources, install, packages
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
    for name in _PROGRAMS:
        if found := process.which(name):
            return found
    home = platformdirs.user_cache_path("rebake") / "registry"
    program = home / "usr/bin" / _PROGRAMS[0]
    if program.is_file():
        return program
    if not sys.platform.startswith("linux") or process.which("apt-get") is None:
        raise CannotRun(
            "no registry program is on PATH", next_step=f"install one named {_PROGRAMS[0]}"
        )
    say("fetching a registry from the package archive")
    cache = install.package_cache()
    cache.mkdir(parents=True, exist_ok=True)
    sources = apt_sources.suites_for(apt_sources.read_sources(), apt_sources.read_system())
    archive = packages.open_archive(cache, sources, say)
    chosen = packages.resolve(archive, [_PACKAGE], packages.libc_version())
    fresh = home.with_name("registry.new")
    shutil.rmtree(fresh, ignore_errors=True)
    packages.unpack(packages.download(archive, chosen), fresh)
    shutil.rmtree(home, ignore_errors=True)
    fresh.replace(home)
    return program


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
