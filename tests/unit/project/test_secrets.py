"""Declared secrets: what is there, what is not, and that none is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake import redact
from rebake.errors import MissingSecrets
from rebake.project.secrets import learn_all, place_of, read
from rebake.redact import Redactor


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_learned", set())


def test_values_come_from_variables_and_files_and_are_masked(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(b"-- begin --\nfirst line\nsecond line\n")
    masked_before = Redactor.from_environment({})
    declared = {"token": {"env": "SETTING"}, "key": {"file": "key.pem"}}
    assert read("build", declared, tmp_path, {"SETTING": "hunter2"}) == {
        "token": b"hunter2",
        "key": b"-- begin --\nfirst line\nsecond line\n",
    }
    for redactor in (masked_before, Redactor.from_environment({})):
        assert redactor.text("is hunter2, and second line") == "is ***, and ***"


def test_all_that_is_missing_is_told_at_once_and_no_value_of_the_rest(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    declared = {
        "a": {"env": "A"}, "b": {"env": "B"}, "c": {"file": "c"}, "d": {"file": "empty"},
    }  # fmt: skip
    with pytest.raises(MissingSecrets) as caught:
        read("run", declared, tmp_path, {"A": "", "B": "hunter2"})
    assert caught.value.exit_code == 2
    assert list(caught.value.details) == [
        "secrets.run.a: the variable A is not set",
        f"secrets.run.c: {tmp_path / 'c'} can't be read: No such file or directory",
        f"secrets.run.d: {tmp_path / 'empty'} is empty",
    ]
    assert "hunter2" not in str(caught.value)


def test_what_is_there_is_masked_and_what_is_not_is_no_error(tmp_path: Path) -> None:
    learn_all(
        {"a": {"env": "A"}, "b": {"env": "B"}, "c": {"file": "c"}}, tmp_path, {"A": "hunter2"}
    )
    assert Redactor.from_environment({}).text("hunter2") == "***"


def test_a_file_is_named_from_the_project_s_root(tmp_path: Path) -> None:
    assert place_of({"file": "../x"}, tmp_path) == tmp_path / "../x"
    assert place_of({"file": "/etc/x"}, tmp_path) == Path("/etc/x")
    assert place_of({"file": "~/x"}, tmp_path) == Path.home() / "x"
    assert place_of({"env": "X"}, tmp_path) is None
