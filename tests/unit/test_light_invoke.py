"""Invoke imported by the program `rebake`: the same one, with less in tow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = "import sys\nfrom rebake.light_invoke import import_invoke\n"


def told(code: str, **environ: str) -> str:
    """What a new interpreter prints for the code."""
    result = subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": ""} | environ,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_what_only_others_need_is_not_imported() -> None:
    heavy = ("asyncio", "email", "importlib.metadata", "invoke.vendor.yaml", "unittest")
    code = f"import_invoke()\nimport invoke\nprint(*[n for n in {heavy!r} if n in sys.modules])"
    assert told(code) == ""


def test_whoever_comes_later_gets_the_real_ones() -> None:
    code = (
        "import_invoke()\n"
        "from importlib import metadata\nfrom unittest import mock\n"
        "print(metadata.version('invoke').partition('.')[0], mock.Mock().a.b is not None)"
    )
    assert told(code) == "3 True"


def test_what_is_there_already_stays() -> None:
    code = (
        "import unittest.mock\nimport_invoke()\nimport invoke.context\n"
        "print(invoke.context.Mock is unittest.mock.Mock, invoke.context.Mock.__name__)"
    )
    assert told(code) == "True Mock"


def test_an_invoke_that_is_imported_already_stays_as_it_is() -> None:
    code = "import invoke\nbefore = invoke\nimport_invoke()\nprint(sys.modules['invoke'] is before)"
    assert told(code) == "True"


def test_a_file_of_settings_in_yaml_is_read_as_ever(tmp_path: Path) -> None:
    (tmp_path / "invoke.yaml").write_text("run:\n  shell: /bin/other\n", encoding="utf-8")
    code = (
        "import_invoke()\nfrom invoke.config import Config\n"
        f"config = Config(project_location={str(tmp_path)!r})\n"
        "config.load_project()\nprint(config.run.shell)"
    )
    assert told(code) == "/bin/other"


@pytest.mark.parametrize("fault", ["ImportError", "AttributeError", "TypeError"])
def test_an_invoke_that_imports_otherwise_is_imported_as_it_is(fault: str) -> None:
    code = (
        "from rebake import light_invoke\nfrom contextlib import contextmanager\n"
        "real = light_invoke._stand_ins\n"
        "@contextmanager\ndef failing():\n"
        "    with real():\n        yield\n"
        f"        raise {fault}\n"
        "light_invoke._stand_ins = failing\nimport_invoke()\n"
        "import invoke\nprint(invoke.__version__.partition('.')[0], invoke.context.Mock.__module__)"
    )
    assert told(code) == "3 unittest.mock"
