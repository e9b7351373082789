"""npm as the package manager of the UI (`ui.manager`), with the real engine, on a tiny project.

The files of the tiny project's UI are read back from the image; nothing is published or served but
in the development container.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from e2e.support import REPOSITORY, Docker, Ran, clean_environment
from e2e.tiny_project import write_tiny_project
from rebake.project.project import open_project

FOLDER = platformdirs.user_cache_path("rebake") / "e2e-npm" / "npm, ü"
# Where npm keeps what it has downloaded, and what it has installed, in the cache mount.
_CACHE = "/store/cache/_cacache"
_MODULES = "/store/app/node_modules"


@dataclass(frozen=True)
class Tiny:
    """The tiny project, with npm."""

    root: Path
    docker: Docker

    @property
    def ui(self) -> Path:
        return self.root / "ui"

    def invoke(self, *words: str) -> Ran:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=self.root,
            env=clean_environment() | {"REBAKE_STATE_HOME": str(self.root.parent / "state")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def built(self) -> tuple[Any, str]:
        """Build the UI; return the build's document and the script that is in the image."""
        document = self.invoke("build", "ui", "--json").ok().document
        name = self.docker("create", document["images"]["ui"]["ref"]).strip()
        try:
            out = self.root.parent / "main.js"
            self.docker("cp", f"{name}:/srv/www/main.js", str(out))
            return document, out.read_text(encoding="utf-8")
        finally:
            self.docker("rm", name)

    def says(self, text: str) -> None:
        """Change the UI's source, to what no other run has built."""
        text = f"{text} {time.time_ns()}"
        (self.ui / "src/main.ts").write_text(f'document.body.append("{text}");\n')

    def locks(self, *, react: bool) -> None:
        """Write package.json and package-lock.json, with react or without anything."""
        template = json.loads((REPOSITORY / "ui/package-lock.json").read_text(encoding="utf-8"))
        entry = template["packages"]["node_modules/react"]
        needs = {"react": entry["version"]} if react else {}
        package = json.loads((self.ui / "package.json").read_text(encoding="utf-8"))
        package["dependencies"] = needs
        packages: dict[str, Any] = {"": {"name": package["name"], "dependencies": needs}}
        if react:
            packages["node_modules/react"] = entry
        lock = {
            "name": package["name"],
            "lockfileVersion": template["lockfileVersion"],
            "requires": True,
            "packages": packages,
        }
        for name, document in (("package.json", package), ("package-lock.json", lock)):
            (self.ui / name).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def in_mount(self, script: str) -> str:
        """Run a shell script where npm's cache mount is in /store; return what it wrote."""
        config = open_project(self.root).config
        folder = self.root.parent / "in-mount"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "Dockerfile").write_text(
            f"FROM {config.base_images.node}\nARG SCRIPT\n"
            f"RUN --mount=type=cache,id={open_project(self.root).cache_id}-npm,target=/store,"
            f'sharing=locked --network=none set -eu; : {time.time_ns()}; eval "$SCRIPT" >/told\n'
            "FROM scratch\nCOPY --from=0 /told /told\n"
        )
        self.docker(
            *("buildx", "build", "--provenance=false", "--build-arg", f"SCRIPT={script}"),
            *("--output", "type=local,dest=out", "."),
            cwd=folder,
        )
        return (folder / "out" / "told").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tiny() -> Iterator[Tiny]:
    """The project; npm's cache mount is what an earlier run left."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    root = write_tiny_project(FOLDER / "tiny")
    (root / "rebake.toml").write_text('[project]\nname = "tiny-npm"\n\n[ui]\nmanager = "npm"\n')
    (root / "ui/bun.lock").unlink()
    shutil.copy(REPOSITORY / "tests/e2e/small/tasks.py", root / "tasks.py")
    tiny = Tiny(root, Docker("", {}))
    tiny.locks(react=True)
    status = tiny.invoke("engine", "status", "--json").ok().document
    tiny = Tiny(root, Docker(status["docker"], {**status["env"]}))
    yield tiny
    name = open_project(root).name
    refs = tiny.docker("image", "ls", "--quiet", "--filter", f"reference={name}*").split()
    if refs:
        tiny.docker("image", "rm", "--force", *dict.fromkeys(refs))


def test_the_image_holds_the_edit_and_a_broken_mount_is_mended(tiny: Tiny) -> None:
    tiny.locks(react=True)
    tiny.says("first")
    document, script = tiny.built()
    assert "first" in script
    assert document["caches"]["bun"]["needed"] == 1
    # Cut off in npm's cache too: what is installed from there is held to the lock-file.
    size = f"stat -c %s {_MODULES}/react/package.json"
    whole = tiny.in_mount(
        f"{size}; truncate -s 10 {_MODULES}/react/package.json; "
        f"find {_CACHE}/content-v2 -type f -size -100k -exec truncate -s 10 {{}} +"
    )
    tiny.says("second")
    assert "second" in tiny.built()[1]
    assert tiny.in_mount(size) == whole


def test_a_package_that_goes_and_comes_back(tiny: Tiny) -> None:
    tiny.locks(react=False)
    tiny.says("without")
    assert "without" in tiny.built()[1]
    there = f"[ -e {_MODULES}/react ] && echo there || echo gone"
    assert tiny.in_mount(there) == "gone\n"
    tiny.locks(react=True)
    tiny.says("with")
    document, script = tiny.built()
    assert "with" in script
    # Back from the cache, without a download.
    assert document["caches"]["bun"] == {"needed": 1, "downloaded": 0}


def test_a_lock_file_that_does_not_fit_is_one_clear_error(tiny: Tiny) -> None:
    tiny.locks(react=True)
    package = json.loads((tiny.ui / "package.json").read_text(encoding="utf-8"))
    package["dependencies"]["react-dom"] = package["dependencies"]["react"]
    (tiny.ui / "package.json").write_text(json.dumps(package), encoding="utf-8")
    try:
        ran = tiny.invoke("build", "ui")
        assert ran.returncode == 2
        assert "lacks react-dom, which package.json names" in ran.stderr
    finally:
        tiny.locks(react=True)


def test_the_development_container_installs_a_new_lock_file(tiny: Tiny) -> None:
    (tiny.ui / "server.ts").write_text(
        'const serve = () => new Response("up");\nBun.serve({ port: 8080, fetch: serve });\n'
        'console.log("serving");\n'
    )
    tiny.locks(react=False)
    ref = tiny.invoke("build", "ui", "--dev", "--json").ok().document["images"]["ui"]["ref"]
    settings = tiny.docker.env["REBAKE_HOST_SETTINGS"]
    name = f"{open_project(tiny.root).name}-npm-dev"
    mounts = [
        f'type=bind,"src={tiny.ui}",dst=/app',
        "type=volume,dst=/app/node_modules",
        f"type=volume,src={name},dst=/store",
        f'type=bind,"src={settings}/npmrc",dst=/home/dev/.npmrc,readonly',
        f'type=bind,"src={settings}/ca.pem",dst=/run/secrets/ca,readonly',
    ]
    tiny.docker("rm", "--force", "--volumes", name, check=False)
    tiny.docker(
        *("run", "--detach", "--init", "--name", name, "--env", "DEV_UI_POLL_S=0.1"),
        *(word for mount in mounts for word in ("--mount", mount)),
        ref,
    )

    def wait(starts: int) -> None:
        deadline = time.monotonic() + 60
        while (told := tiny.docker("logs", name)).count("serving") < starts:
            assert time.monotonic() < deadline, told
            time.sleep(0.1)

    try:
        wait(1)
        tiny.locks(react=True)
        wait(2)
        assert "react" in tiny.docker("exec", name, "ls", "/app/node_modules")
        # Nothing of it in the user's folder.
        assert not list((tiny.ui / "node_modules").iterdir())
        assert "node_modules/react" in (tiny.ui / "package-lock.json").read_text()
    finally:
        tiny.docker("rm", "--force", "--volumes", name)
        tiny.docker("volume", "rm", "--force", name)
