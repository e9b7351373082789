"""Scanners from PATH, out of a module that is built, or out of an image; some are refused."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from rebake.engine.endpoint import Endpoint
from rebake.errors import ScannerFailed, ToolRefused
from rebake.scan import tools
from rebake.scan.tools import (
    TRIVY,
    LocalScanner,
    Recipe,
    ScannerInContainer,
    download,
    find,
    make,
    program_of,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fakes are shell scripts")

SUM = "h1:0000000000000000000000000000000000000000000="
RECIPE = Recipe(
    "scanner", oldest=(1, 2), denied={"1.3.4": "that release was malicious"}, version="1.5.0",
    module="example.org/scanner", package="./cmd/scanner", sum=SUM, stamp="main.version",
    env={"GOEXPERIMENT": "jsonv2"}, image="example/scanner",
)  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing on PATH, and a tool folder of its own."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(tools, "tool_folder", lambda: tmp_path / "tools")
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(file: Path, *lines: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    file.chmod(0o755)
    return file


def quiet(_line: str) -> None:
    pass


def test_one_on_path(home: Path) -> None:
    path = program(home / "bin/scanner", "echo Version: 1.2.0")
    assert find(RECIPE, say=quiet) == LocalScanner(path, "1.2.0", "PATH")


def test_a_version_that_must_not_be_run_is_refused(home: Path) -> None:
    program(home / "bin/trivy", "echo Version: 0.69.4")
    with pytest.raises(ToolRefused) as caught:
        find(TRIVY, say=quiet)
    assert str(caught.value) == (
        "trivy 0.69.4 is refused: that release was malicious\n"
        "  next: remove it from this machine, and renew what it could read; 0.74.0 is good"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [("echo Version: 1.1.9", "is 1.1.9, 1.2 is needed"), ("exit 3", "is no program that runs")],
)
def test_one_that_is_too_old_or_broken_is_not_taken(home: Path, line: str, told: str) -> None:
    program(home / "bin/scanner", line)
    found = find(RECIPE, say=quiet, fetch=False)
    assert isinstance(found, str)
    assert told in found


def go(home: Path, module: Path, sum_: str = SUM, built: str = "1.5.0") -> Path:
    """A fake toolchain: it tells a module's sum, and its `build` writes a program."""
    told = home / "told.json"
    told.write_text(json.dumps({"Path": RECIPE.module, "Sum": sum_, "Dir": str(module)}))
    return program(
        home / "bin/go",
        f'echo "$PWD|$GOEXPERIMENT|$GOCACHE|$*" >>"{home}/go.log"',
        f'if [ "$1" = mod ]; then cat "{told}"; exit 0; fi',
        'mkdir -p "$GOCACHE"',
        'while [ "$1" != -o ]; do shift; done',
        'printf "#!/bin/sh\\necho Version: ' + built + '\\n" >"$2"; chmod +x "$2"',
    )


def test_one_is_built_from_source_inside_its_own_module(home: Path) -> None:
    module = home / "mod"
    module.mkdir()
    go(home, module)
    said: list[str] = []
    found = find(RECIPE, say=said.append)
    assert found == LocalScanner(program_of(RECIPE), "1.5.0", "built by rebake")
    fetch, build = (home / "go.log").read_text().splitlines()
    folder = home / "tools" / "scanner-1.5.0"
    assert fetch.endswith("|mod download -json example.org/scanner@v1.5.0")
    assert build == (
        f"{module}|jsonv2|{folder / 'build-cache'}|build -mod=readonly -trimpath -buildvcs=false "
        f"-ldflags=-s -w -X main.version=1.5.0 -o {folder / 'new-scanner'} ./cmd/scanner"
    )
    assert [file.name for file in folder.iterdir()] == ["scanner"]  # no compiler's cache is left
    assert said == ["building scanner 1.5.0 from source, once: this takes minutes"]
    # And the next time it is there.
    (home / "bin/go").unlink()
    assert find(RECIPE, say=quiet) == found


def test_a_module_with_another_sum_is_refused_and_not_built(home: Path) -> None:
    go(home, home, sum_="h1:other=")
    with pytest.raises(ToolRefused, match=r"has the sum h1:other=, and h1:0+= is pinned"):
        find(RECIPE, say=quiet)
    assert not program_of(RECIPE).exists()
    assert len((home / "go.log").read_text().splitlines()) == 1


def test_a_program_that_tells_another_version_is_not_kept(home: Path) -> None:
    go(home, home, built="9.9.9")
    with pytest.raises(ScannerFailed, match="does not compile here"):
        make(RECIPE, quiet)
    assert not program_of(RECIPE).exists()


@pytest.mark.parametrize("line", ["exit 1", "echo no JSON", "echo '{}'"])
def test_a_module_that_can_not_be_fetched(home: Path, line: str) -> None:
    (home / "tools").mkdir()
    with pytest.raises(ScannerFailed, match="its source can't be fetched"):
        download(RECIPE, program(home / "bin/go", line))


def test_without_anything_it_is_told_what_was_tried(home: Path) -> None:
    found = find(RECIPE, say=quiet)
    assert found == "scanner (scanner failed: it can't be built: no Go toolchain on PATH)"


def docker(home: Path, *lines: str) -> Endpoint:
    path = program(home / "bin/docker", f'echo "$*" >>"{home}/docker.log"', *lines)
    return Endpoint("default", "unix:///s", path)


def test_out_of_an_image_that_the_engine_gets(home: Path) -> None:
    engine = docker(home, 'test "$1" = pull')
    found = find(RECIPE, say=quiet, docker=engine)
    assert found == ScannerInContainer(engine, "example/scanner:1.5.0", "1.5.0")
    assert (home / "docker.log").read_text().splitlines() == [
        "image inspect example/scanner:1.5.0",
        "pull --quiet example/scanner:1.5.0",
    ]


def test_nothing_is_pulled_without_a_network(home: Path) -> None:
    found = find(RECIPE, say=quiet, docker=docker(home, "exit 1"), fetch=False)
    assert found == "scanner (no image example/scanner:1.5.0)"
    assert (home / "docker.log").read_text() == "image inspect example/scanner:1.5.0\n"


def test_the_command_of_one_in_a_container(home: Path) -> None:
    engine = docker(home)
    one = ScannerInContainer(engine, "x:1", "1").with_folders(Path("/w a"), Path("/c"))
    words = one.command(["image", "--input", "/w a/i.tar"]).argv[1:]
    assert words == (
        "run", "--rm", "--init", "--cap-drop", "ALL", "--user", f"{os.getuid()}:{os.getgid()}",
        "--mount", 'type=bind,"source=/w a","target=/w a"',
        "--mount", 'type=bind,"source=/c","target=/c"',
        "x:1", "image", "--input", "/w a/i.tar",
    )  # fmt: skip
