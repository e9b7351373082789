"""This very repository as a template: versions and files that have to agree."""

import re
import tomllib
from pathlib import Path

import yaml

from rebake import __version__
from rebake.checks.plan import Tree
from rebake.checks.plan_tests import parts_of_e2e, parts_of_test

ROOT = Path(__file__).parents[3]
RENDERED = (ROOT / "pyproject.toml.jinja").read_text(encoding="utf-8")


def test_a_project_names_the_wheel_of_this_version() -> None:
    assert re.findall(r"vendor/(\S+\.whl)", RENDERED) == [f"rebake-{__version__}-py3-none-any.whl"]


def test_a_project_checks_with_the_tools_that_the_toolkit_checks_with() -> None:
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = ours["optional-dependencies"]
    wanted = set(re.findall(r'^  "([^"]+)"', RENDERED, re.MULTILINE))
    assert wanted <= set(extras["dev"])
    assert set(extras["template"]) <= set(extras["dev"])


def test_a_project_has_what_its_sessions_run_pytest_with() -> None:
    tree = Tree(files=("tests/e2e/test_images.py", "tests/unit/test_mine.py"))
    parts = [*parts_of_test(tree), *parts_of_e2e(tree)]
    assert [part.name for part in parts if "-n" in part.argv] == ["toolkit tests", "end to end"]
    assert '"pytest-xdist>=' in RENDERED


def test_each_rendered_file_has_what_it_renders() -> None:
    siblings = {p.with_suffix("").relative_to(ROOT).as_posix() for p in ROOT.rglob("*.jinja")}
    own = {
        name for name in siblings if not name.startswith(("src/", ".", "{{", "tests/", "vendor/"))
    }
    assert {name for name in own if not (ROOT / name).is_file()} == set()


def test_every_answer_has_a_default_and_words() -> None:
    document = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    for name, question in document.items():
        if not name.startswith("_") and question.get("when") is not False:
            assert question["default"] not in {None, ""}, name
            assert question["help"], name
