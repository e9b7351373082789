"""package.json, and the bun that it wants."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rebake.errors import CommandFailed, ProgramMissing, ProjectError
from rebake.project.javascript import Package, find_bun, find_npm, read_package, wanted_bun

posix = pytest.mark.skipif(sys.platform == "win32", reason="the fakes are shell scripts")
IMAGE = "oven/bun:1.4.5-slim"


def package(manager: str | None = None) -> Package:
    return Package(Path("package.json"), "x", manager, {"dev": "x"})


def write(folder: Path, text: str) -> Path:
    (folder / "package.json").write_text(text)
    return folder


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, but for the system's own tools."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "mkdir", "cat", "chmod", "echo", "touch"):
        tool = next(p for p in ("/bin", "/usr/bin") if Path(p, name).exists())
        (folder / name).symlink_to(Path(tool, name))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def npm(programs: Path, version: str, place: str = "node_modules/.bin/bun") -> Path:
    """An npm that installs a bun of that version, and counts its calls."""
    return script(
        programs / "npm",
        f"""[ "$1 $2" = "install --prefix" ] || exit 9
echo "$4" >> {programs}/npm.calls
program="$3/{place}"
mkdir -p "${{program%/*}}"
echo '#!/bin/sh' > "$program"
echo 'echo {version}' >> "$program"
chmod +x "$program"
""",
    )


def test_read(tmp_path: Path) -> None:
    text = '{"name": "items-ui", "packageManager": "bun@1.4.4", "scripts": {"dev": "bun x"}}'
    read = read_package(write(tmp_path, text))
    assert (read.name, read.package_manager) == ("items-ui", "bun@1.4.4")
    assert read.script("dev") == "bun x"
    with pytest.raises(ProjectError, match="has no script 'build'"):
        read.script("build")
    assert read_package(write(tmp_path, "\ufeff{}")).name == tmp_path.name


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ('{\n  "name": x\n}', "is not valid JSON", 2),
        ("[]", "is not a JSON object", None),
        ('{"scripts": []}', "scripts is not an object", None),
        ('{"packageManager": 1}', "packageManager is not a string", None),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str, line: int | None) -> None:
    with pytest.raises(ProjectError) as caught:
        read_package(write(tmp_path, text))
    assert words in caught.value.what
    assert caught.value.line == line


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is not there") as caught:
        read_package(tmp_path)
    assert "ui.path" in caught.value.hint


@pytest.mark.parametrize(
    ("manager", "image", "version"),
    [
        (None, IMAGE, "1.4.5"),
        (None, "registry:5000/oven/bun:1.4.5@sha256:" + "0" * 64, "1.4.5"),
        (None, "oven/bun:latest", None),
        ("bun@1.3.0", IMAGE, "1.3.0"),
        ("bun@1.3.0+sha224.953c8233f7a92884eee2de69a1b92d1f", IMAGE, "1.3.0"),
        ("bun@latest", IMAGE, None),
    ],
)  # fmt: skip
def test_wanted(manager: str | None, image: str, version: str | None) -> None:
    assert wanted_bun(package(manager), image) == version


def test_another_manager() -> None:
    with pytest.raises(ProjectError, match=r"packageManager is 'pnpm@9\.0\.0'"):
        wanted_bun(package("pnpm@9.0.0"), IMAGE)
    with pytest.raises(ProjectError, match=r"packageManager is 'bun@1\.4\.5', but .* is npm"):
        wanted_bun(package("bun@1.4.5"), IMAGE, "npm")


def test_with_npm_the_base_image_says_which_bun_runs_the_programs() -> None:
    assert wanted_bun(package("npm@11.0.0"), IMAGE, "npm") == "1.4.5"
    assert wanted_bun(package(), IMAGE, "npm") == "1.4.5"


@posix
def test_npm_of_this_machine(programs: Path) -> None:
    with pytest.raises(ProgramMissing) as caught:
        find_npm()
    assert caught.value.what == "npm (ui.manager is npm) was not found"
    program = npm(programs, "1.0.0")
    assert find_npm() == program


@posix
@pytest.mark.parametrize("version", ["1.4.0", "1.4.9", "1.10.0", "2.0.0"])
def test_a_bun_on_path_that_does(programs: Path, tmp_path: Path, version: str) -> None:
    bun = script(programs / "bun", f"echo {version}\n")
    assert find_bun("1.4.5", tmp_path / "cache") == bun


@posix
@pytest.mark.parametrize("answer", ["echo 1.3.9", "echo 0.9.0", "exit 1", "echo hello"])
def test_an_older_or_broken_one_is_replaced_from_npm(
    programs: Path, tmp_path: Path, answer: str
) -> None:
    script(programs / "bun", answer + "\n")
    npm(programs, "1.4.5")
    said: list[str] = []
    for _ in range(2):
        found = find_bun("1.4.5", tmp_path / "cache", say=said.append)
        assert found == tmp_path / "cache" / "bun" / "1.4.5" / "node_modules" / ".bin" / "bun"
    assert (programs / "npm.calls").read_text() == "bun@1.4.5\n"
    assert len(said) == 1
    assert "installing bun 1.4.5 from npm" in said[0]


@posix
def test_where_install_scripts_are_off(programs: Path, tmp_path: Path) -> None:
    npm(programs, "1.4.5", "node_modules/@oven/bun-linux-x64/bin/bun")
    found = find_bun("1.4.5", tmp_path / "cache")
    assert found.parts[-4:] == ("@oven", "bun-linux-x64", "bin", "bun")


@posix
def test_a_broken_one_in_the_cache_is_replaced(programs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "cache" / "bun" / "1.4.5" / "node_modules" / ".bin" / "bun"
    script(broken, "exit 1\n")
    npm(programs, "1.4.5")
    assert find_bun("1.4.5", tmp_path / "cache") == broken
    assert sorted(p.name for p in (tmp_path / "cache" / "bun").iterdir()) == ["1.4.5", "1.4.5.lock"]


@posix
def test_an_npm_that_installs_something_else(programs: Path, tmp_path: Path) -> None:
    npm(programs, "1.0.0")
    with pytest.raises(CommandFailed, match="no bun that runs"):
        find_bun("1.4.5", tmp_path / "cache")
    assert not (tmp_path / "cache" / "bun" / "1.4.5").exists()


@posix
def test_an_npm_that_fails(programs: Path, tmp_path: Path) -> None:
    script(programs / "npm", "echo 'npm error code E404' >&2; exit 1\n")
    with pytest.raises(CommandFailed) as caught:
        find_bun("1.4.5", tmp_path / "cache")
    assert "npm error code E404" in str(caught.value)


@posix
@pytest.mark.usefixtures("programs")
def test_neither_bun_nor_npm(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing) as caught:
        find_bun("1.4.5", tmp_path / "cache")
    assert caught.value.what == "bun 1.4.5 was not found"
    assert "bun.sh/install" in caught.value.hint
    assert os.listdir(tmp_path) == ["programs"]  # noqa: PTH208
