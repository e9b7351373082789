"""Which toolkits are built: those whose build runs nothing of the template's."""

from pathlib import Path

import pytest

from rebake.errors import TemplateRefused
from rebake.scaffold.toolkit import check_build, holds_toolkit, take

ROOT = Path(__file__).parents[3]
OURS = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def template(folder: Path, text: str = OURS) -> Path:
    (folder / "src" / "rebake").mkdir(parents=True)
    (folder / "src" / "rebake" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_our_own_is_built(tmp_path: Path) -> None:
    check_build(template(tmp_path), "t")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"hatchling.build"', '"evil.build"'),
        ('["hatchling>=1.27"]', '["hatchling>=1.27", "evil"]'),
        ('build-backend = "h', 'backend-path = ["."]\nbuild-backend = "h'),
        ('name = "rebake"', 'name = "pip"'),
        ('version = "0.1.0"', 'dynamic = ["version"]'),
        ("[tool.ruff]", '[tool.hatch.version]\npath = "evil.py"\n[tool.ruff]'),
        ("[tool.ruff]", "[tool.hatch.build.hooks.custom]\n[tool.ruff]"),
        ("[tool.ruff]", "[tool.hatch.build.targets.wheel.hooks.custom]\n[tool.ruff]"),
        ('packages = ["src/rebake"]', 'packages = ["../x"]'),
        ("[project]", "[project"),
    ],
)
def test_one_that_would_run_code_is_refused(tmp_path: Path, before: str, after: str) -> None:
    assert before in OURS
    with pytest.raises(TemplateRefused):
        check_build(template(tmp_path, OURS.replace(before, after, 1)), "t")


@pytest.mark.parametrize("name", ["hatch.toml", "hatch_build.py"])
def test_hatchs_own_files_are_refused_and_travel_so_far(tmp_path: Path, name: str) -> None:
    folder = template(tmp_path / "template")
    (folder / name).touch()
    with pytest.raises(TemplateRefused, match="run code of its own"):
        check_build(take(folder, tmp_path / "toolkit"), "t")


def test_a_template_gives_its_toolkit_away(tmp_path: Path) -> None:
    folder = template(tmp_path / "template")
    assert holds_toolkit(folder)
    sources = take(folder, tmp_path / "toolkit")
    assert not holds_toolkit(folder)
    assert (sources / "src" / "rebake" / "__init__.py").is_file()
    assert (sources / "pyproject.toml").read_text(encoding="utf-8") == OURS
