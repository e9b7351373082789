"""apt is asked for its settings once, and again when what they come from changes."""

from __future__ import annotations

import stat
import sys
import time
from pathlib import Path

import pytest

from rebake.engine import apt_settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake is a script with #!")


class Apt:
    """Its folder, and a program in its place that notes when it is called."""

    def __init__(self, folder: Path) -> None:
        self.etc, self.kept, self.calls = (
            folder / "etc",
            folder / "state" / "kept",
            folder / "calls",
        )
        self.parts = self.etc / "apt.conf.d"
        self.parts.mkdir(parents=True)
        (self.parts / "10proxy").write_text('Acquire::http::Proxy "http://a.invalid";\n')
        self.program = folder / "apt-config"
        self.answer("http://a.invalid")

    def answer(self, proxy: str, code: int = 0) -> None:
        self.program.write_text(
            f"#!/bin/sh\necho x >>'{self.calls}'\n"
            f"echo 'Acquire::http::Proxy \"{proxy}\";'\n"
            "echo 'APT::Architecture \"amd64\";'\n"
            f"exit {code}\n"
        )
        self.program.chmod(0o755)

    def ask(self) -> list[str]:
        return apt_settings.host_settings(self.kept, self.etc)

    @property
    def asked(self) -> int:
        return len(self.calls.read_text().splitlines())


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("APT_CONFIG", raising=False)
    return Apt(tmp_path)


FOUND = ['Acquire::http::Proxy "http://a.invalid";']


def test_the_second_time_nothing_is_started(apt: Apt) -> None:
    assert apt.ask() == FOUND
    assert apt.ask() == FOUND
    assert apt.asked == 1
    assert stat.S_IMODE(apt.kept.stat().st_mode) == 0o600  # a proxy's password may be in it


def test_without_a_place_to_keep_it_apt_is_asked_each_time(apt: Apt) -> None:
    assert apt_settings.host_settings() == apt_settings.host_settings() == FOUND
    assert apt.asked == 2


@pytest.mark.parametrize("name", ["apt.conf", "apt.conf.d/10proxy", "apt.conf.d/20new"])
def test_a_changed_file_asks_again(apt: Apt, name: str) -> None:
    apt.ask()
    (apt.etc / name).write_text('Acquire::http::Proxy "http://b.invalid";\n')
    apt.ask()
    assert apt.asked == 2
    (apt.etc / name).unlink()
    apt.ask()
    assert apt.asked >= 3


def test_another_apt_and_another_day_ask_again(apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    apt.ask()
    apt.answer("http://newer.invalid")
    assert apt.ask() == ['Acquire::http::Proxy "http://newer.invalid";']
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 24 * 3600)
    apt.ask()
    assert apt.asked == 3


@pytest.mark.parametrize(
    "text",
    ['#include "/etc/more.conf"', 'Dir::Etc::parts "other";', 'Dir { Etc { main "x"; }; };',
     'RootDir "/elsewhere";', 'dir "/elsewhere";'],
)  # fmt: skip
def test_files_that_lead_elsewhere_are_never_trusted(apt: Apt, text: str) -> None:
    (apt.parts / "99more").write_text(text + "\n")
    apt.ask()
    apt.ask()
    assert apt.asked == 2
    assert not apt.kept.exists()


def test_the_files_of_usual_images_are_kept(apt: Apt) -> None:
    (apt.parts / "docker-clean").write_text('Dir::Cache::pkgcache "";\n# Dir::Cache\n')
    apt.ask()
    apt.ask()
    assert apt.asked == 1


def test_a_variable_may_name_any_file(apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APT_CONFIG", "/somewhere")
    apt.ask()
    apt.ask()
    assert apt.asked == 2


def test_a_failure_is_not_kept(apt: Apt) -> None:
    apt.answer("http://a.invalid", code=1)
    apt.ask()
    apt.ask()
    assert apt.asked == 2


def test_where_there_is_no_apt_there_are_no_settings(
    apt: Apt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert apt.ask() == []
    assert not apt.kept.exists()
