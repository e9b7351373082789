"""Settings that were found good are kept, and used for the very same files, variables and flags."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rebake.config import kept
from rebake.config.load import Loaded, load
from rebake.errors import ConfigError
from rebake.project.project import open_project
from rebake.tasks.session import Session

PACKAGE = Path(__file__).parents[3] / "src" / "rebake"
TEXT = '[backend]\nservices = ["api", "mail"]\n[prod.ports]\nui = 81\n[aliases]\nfront = "ui"\n'


class Folder:
    """A project, and the file that its settings are kept in."""

    def __init__(self, root: Path) -> None:
        self.root, self.file, self.user = root, root / "kept" / "one.json", root / "user.toml"
        self.write(TEXT)

    def write(self, text: str) -> None:
        (self.root / "rebake.toml").write_text(text, encoding="utf-8")

    def load(self, **environ: str) -> Loaded:
        return load(self.root, environ=environ, user=self.user, keep_in=self.file)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was checked with pydantic, call by call."""
    from rebake.config.model import Config

    calls: list[object] = []
    check = Config.model_validate

    def note(tree: Any) -> object:
        calls.append(tree)
        return check(tree)

    monkeypatch.setattr(Config, "model_validate", note)
    return calls


def test_the_second_call_checks_nothing_and_gives_the_same(
    folder: Folder, checked: list[object]
) -> None:
    first, second = folder.load(), folder.load()
    assert len(checked) == 1
    assert second == first
    assert second.values() == first.values()
    assert second.config.services == ("api", "mail", "ui")
    assert second.config.prod.ports == {"ui": 81, "api": 8001, "worker": 8002}
    assert second.config.aliases == {"front": "ui"}
    assert second.sources["prod.ports.ui"] == str(folder.root / "rebake.toml")


def test_kept_or_not_the_settings_are_those_without_a_file(folder: Folder) -> None:
    plain = load(folder.root, environ={}, user=folder.user)
    assert folder.load() == folder.load() == plain


def test_whatever_they_were_made_from_changes_is_checked(
    folder: Folder, checked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.load()
    folder.write(TEXT + "\n")
    folder.load()
    assert len(checked) == 2
    folder.user.write_text('[engine]\nkind = "system"\n', encoding="utf-8")
    assert folder.load().config.engine.kind == "system"
    folder.user.write_text('[engine]\nkind = "native"\n', encoding="utf-8")
    assert folder.load().config.engine.kind == "native"
    assert folder.load(REBAKE_ENGINE_KIND="private").config.engine.kind == "private"
    assert folder.load(UNRELATED="1").config.engine.kind == "native"
    asked = len(checked)
    folder.load(UNRELATED="2")
    assert len(checked) == asked
    flags = {"engine.kind": "auto"}
    loaded = load(folder.root, environ={}, user=folder.user, flags=flags, keep_in=folder.file)
    assert loaded.config.engine.kind == "auto"
    monkeypatch.setattr(kept, "__version__", "0")
    folder.load()
    assert len(checked) == asked + 2


def test_new_rules_check_again(folder: Folder, tmp_path: Path, checked: list[object]) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "model.py").write_text("old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "_RULES", rules)
        folder.load()
        folder.load()
        assert len(checked) == 1
        (rules / "model.py").write_text("newer")
        folder.load()
    assert len(checked) == 2


def test_what_is_wrong_is_never_kept(folder: Folder) -> None:
    folder.load()
    folder.write("[engine]\nkidn = 1\n")
    for _ in range(2):
        with pytest.raises(ConfigError, match=re.escape("engine.kidn: unknown key")):
            folder.load()


def test_a_file_that_was_cut_or_changed_is_as_good_as_none(
    folder: Folder, checked: list[object]
) -> None:
    expected = folder.load()
    whole = folder.file.read_bytes()
    broken = [whole[:length] for length in range(0, len(whole), 97)]
    broken += [whole.replace(b'"api"', b'"abi"'), b"\xff", b"[" * 5000, whole + b" "]
    for text in broken:
        folder.file.write_bytes(text)
        assert folder.load() == expected
    assert len(checked) == 1 + len(broken)


def test_a_place_that_can_not_be_written_is_no_fault(folder: Folder) -> None:
    folder.file.parent.write_text("a file where the folder should be")
    assert folder.load().config.services == ("api", "mail", "ui")


def test_a_dry_run_keeps_nothing_and_uses_what_is_kept(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checked: list[object]
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("REBAKE_STATE_HOME", str(state))
    _ = Session("x", dry_run=True, folder=folder.root).project
    _ = open_project(folder.root)
    assert not state.exists()
    _ = Session("x", folder=folder.root).project
    assert len(list((state / "settings").iterdir())) == 1
    asked = len(checked)
    _ = Session("x", dry_run=True, folder=folder.root).project
    assert len(checked) == asked == 3


def test_settings_do_not_change(folder: Folder) -> None:
    config: Any = folder.load().config
    with pytest.raises(AttributeError, match="don't change"):
        config.engine.kind = "native"
    with pytest.raises(AttributeError, match="don't change"):
        del config.engine
    assert "kind='auto'" in repr(config)


def test_nobody_asks_settings_for_what_only_the_model_has() -> None:
    users = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if re.search(r"\.model_(?:dump|copy|fields|validate|construct)", file.read_text())
    }
    assert users == {"config/load.py"}


def test_kept_settings_need_no_pydantic(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    _ = open_project(folder.root, kept=True)
    code = (
        "import sys\n"
        "from rebake.project.project import open_project\n"
        "print(open_project(kept=True).config.services)\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder.root, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("('api', 'mail', 'ui')\n", "")
