"""nginx in front of the UI's server: its configuration, and how it gets into an image."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rebake.project.dockerfile import read_dockerfile
from rebake.scan import dockerfile_rules

REPOSITORY = Path(__file__).parents[2]
CONF = (REPOSITORY / "ui/nginx.conf").read_text(encoding="utf-8")
WEB = REPOSITORY / "backend/crates/web/src"
COLLECT = REPOSITORY / "docker/tools/collect-nginx"
in_a_shell = pytest.mark.skipif(
    sys.platform != "linux", reason="runs in the builder: a POSIX shell with GNU tools"
)


def test_the_security_headers_are_those_of_the_server_behind_it() -> None:
    source = (WEB / "security.rs").read_text(encoding="utf-8")
    table = source[source.index("[\n") : source.index("];")]
    names = re.findall(r'header::([A-Z_]+)|from_static\("([a-z-]+)"\)', table)
    values = [re.sub(r"\\\n *", "", text) for text in re.findall(r'"((?:[^"])+)"', table)]
    values = [text for text in values if not re.fullmatch("[a-z]+-[a-z-]+-policy|p.*-policy", text)]
    told = {
        (constant.lower().replace("_", "-") or name): value
        for (constant, name), value in zip(names, values, strict=True)
    }
    assert len(told) == 5
    outer, _, server = CONF.partition("    server {\n        listen")
    added = {
        name.lower(): value.strip('"')
        for name, value in re.findall(r'add_header (\S+) ("[^"]*"|[^$\s]\S*) always;', outer)
    }
    assert added == told
    hidden = {name.lower() for name in re.findall(r"proxy_hide_header (\S+);", outer)}
    assert hidden == {*told, "x-request-id"}
    # In an inner block, one of these drops them all.
    assert server.count("add_header") == server.count("proxy_pass http://web;") == 2


def test_the_names_in_it_are_those_that_are_filled_in() -> None:
    source = (WEB / "nginx.rs").read_text(encoding="utf-8")
    filled = re.findall(r'(?<!\.env)\(\s*"([A-Z_]+)",', source)
    assert sorted(set(re.findall(r"\$\{([A-Z_]+)\}", CONF))) == sorted(filled)
    tried = (COLLECT.parent / "try-nginx-conf").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\|\\\$\{([A-Z_]+)\}\|", tried)) == sorted(filled)


@pytest.mark.parametrize(
    ("path", "immutable"),
    [
        # As in backend/crates/web/src/assets/path.rs.
        ("/assets/app-k3v9x2m1.js", True),
        ("/assets/fonts/a-b-0a1b2c3d.woff2", True),
        ("/assets/app-k3v9x2m1.js.map", True),
        ("/app-k3v9x2m1.js", False),
        ("/assets/app.js", False),
        ("/assets/app-navigation.js", False),
        ("/assets/photo-20300131.jpg", False),
        ("/assets/app-a1.js", False),
        ("/assets/k3v9x2m1-x/app.js", False),
        ("/assets/app-k3v9x2m1", False),
        ("/assets/.git/app-k3v9x2m1.js", False),
        ("/assets/.app-k3v9x2m1.js", False),
    ],
)
def test_only_names_with_a_digest_are_kept_for_good(path: str, immutable: bool) -> None:
    place = re.search(r'location ~ "(\^/assets/.+)" \{', CONF)
    assert place is not None
    assert (re.search(place[1], path) is not None) == immutable


def test_where_nginx_comes_from_is_held_to_a_digest() -> None:
    def faults(nginx: str, pinned: set[str]) -> list[str]:
        found = dockerfile_rules.check(
            read_dockerfile(REPOSITORY / "ui/Dockerfile"),
            "ui/Dockerfile",
            lambda base: "" if base in pinned else f"{base} is not pinned",
            frozenset({"tools", "server"}),
            {"BUN_IMAGE": "bun:1", "NGINX_IMAGE": nginx},
        )
        return [finding.message for finding in found]

    assert faults("bun", {"bun:1"}) == []
    assert faults("debian:13-slim", {"bun:1"}) == ["debian:13-slim is not pinned"]
    assert faults("debian:13-slim", {"bun:1", "debian:13-slim"}) == []


def collect(folder: Path, **fakes: str) -> subprocess.CompletedProcess[str]:
    """Run the tool, with another program as nginx and scripts in the place of others."""
    programs = folder / "programs"
    programs.mkdir()
    program = shutil.which("true")
    assert program is not None
    shutil.copy(program, programs / "nginx")
    for name, text in fakes.items():
        (programs / name.replace("_", "-")).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name.replace("_", "-")).chmod(0o755)
    return subprocess.run(
        [COLLECT, folder / "out"],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@in_a_shell
def test_nginx_runs_with_what_was_collected(tmp_path: Path) -> None:
    done = collect(tmp_path, dpkg_query='printf "Package: %s\\n" "$*"')
    assert done.returncode == 0, done.stderr
    home = tmp_path / "out/opt/nginx"
    subprocess.run([home / "ld.so", "--library-path", home / "lib", home / "nginx"], check=True)
    assert (home / "conf/main").is_dir()
    assert not list((home / "conf").rglob("*.conf"))
    assert "no module for brotli" in done.stderr


@in_a_shell
def test_scanners_learn_which_packages_it_comes_from(tmp_path: Path) -> None:
    script = 'case $1 in --search) echo "one:amd64: $2" ;; *) echo "Package: $2" ;; esac'
    done = collect(tmp_path, dpkg_query=script)
    assert done.returncode == 0, done.stderr
    told = tmp_path / "out/var/lib/dpkg/status.d"
    assert [file.name for file in told.iterdir()] == ["one"]
    assert (told / "one").read_text() == "Package: one\n"
    assert (tmp_path / "out/etc/os-release").is_file()


@in_a_shell
def test_a_library_that_is_missing_ends_the_build(tmp_path: Path) -> None:
    done = collect(tmp_path, ldd='echo "libx.so.1 => not found"')
    assert done.returncode == 1
    assert "libraries are missing in the base image: libx.so.1 => not found" in done.stderr
