"""Keys: where they may be, who may read them, and that none is ever overwritten."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rebake.errors import ProjectError, UsageError
from rebake.sign import keys

if sys.platform == "win32":
    pytest.skip("the fake program is a script with a #! line", allow_module_level=True)

FAKE = """#!/bin/sh
[ "$COSIGN_PASSWORD" = secret-enough ] || exit 3
echo private > "$3.key"
echo public > "$3.pub"
"""


@pytest.fixture
def cosign(tmp_path: Path) -> Path:
    program = tmp_path / "cosign"
    program.write_text(FAKE)
    program.chmod(0o755)
    return program


def test_a_pair_is_made_for_its_owner_alone(cosign: Path, tmp_path: Path) -> None:
    key = tmp_path / "keys" / "shop.key"
    public = keys.make(cosign, key, tmp_path / "repository", "secret-enough")
    assert (key.read_text(), public.read_text()) == ("private\n", "public\n")
    assert public == tmp_path / "keys" / "shop.pub"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    keys.require_private(key)


@pytest.mark.parametrize("name", ["shop.key", "shop.pub"])
def test_nothing_is_overwritten(cosign: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(UsageError, match="never overwritten"):
        keys.make(cosign, tmp_path / "shop.key", tmp_path / "repository", "secret-enough")
    assert (tmp_path / name).read_text() == "precious"


def test_none_gets_into_the_repository(cosign: Path, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    key = root / "keys" / "shop.key"
    with pytest.raises(UsageError, match="not ignored by Git"):
        keys.make(cosign, key, root, "secret-enough")
    assert not key.parent.exists()
    (root / ".gitignore").write_text("/keys/\n")
    keys.make(cosign, key, root, "secret-enough")
    assert key.is_file()


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "shop.key"
    with pytest.raises(UsageError, match="no key at"):
        keys.require_private(key)
    key.write_text("private")
    key.chmod(0o640)
    with pytest.raises(ProjectError, match="others can read"):
        keys.require_private(key)


def test_a_public_key_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "shop.pub"
    with pytest.raises(UsageError, match="no public key at"):
        keys.read_public(file)
    file.write_text("hello")
    with pytest.raises(UsageError, match="no public key in PEM form"):
        keys.read_public(file)
