"""The tutorial, followed word by word: its commands in a shell, its page in a browser.

A long form, with `REBAKE_E2E_NEW=1`: everything is new to the engine, as it is to a reader.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
from selenium.webdriver.common.by import By

from e2e.chromium import Page, chromium
from e2e.support import REPOSITORY, Clone, Docker, clean_environment
from tutorial_page import Step, prints_in_order, steps

FOLDER = platformdirs.user_cache_path("rebake") / "e2e-tutorial"
pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("REBAKE_E2E_NEW"), reason="the long form: REBAKE_E2E_NEW=1"
    ),
    pytest.mark.skipif(os.name == "nt", reason="the tutorial's shell is not for Windows"),
]


class Reader:
    """Somebody at a shell, who stays in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / "rebake"
        self._state = folder / "shell"
        self._state.write_text("")

    def types(self, commands: str) -> str:
        """Type lines into the shell; returns what it prints."""
        state, place = f'"{self._state}"', f'"{self._state}.pwd"'
        script = f"source {state}\n{commands}\nexport -p > {state}\npwd > {place}\n"
        nobody = {
            f"GIT_{who}_{what}": "rebake@localhost"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.place,
            env=clean_environment() | nobody,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        self.place = Path(Path(f"{self._state}.pwd").read_text().rstrip("\n"))
        return done.stdout

    def follows(self, step: Step) -> str:
        """Do what a step says, and look whether it prints what is written."""
        if step.edit is not None:
            file, before, now = step.edit
            path = self.place / file
            text = path.read_text(encoding="utf-8")
            assert before in text
            path.write_text(text.replace(before, now), encoding="utf-8")
            return ""
        printed = self.types(step.commands)
        assert prints_in_order(step.prints, printed) == [], printed
        return printed


@pytest.fixture
def reader(docker: Docker) -> Iterator[Reader]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=FOLDER))
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(folder / "rebake")], check=True)
    yield Reader(folder)
    shop = Clone(folder / "shop")
    if shop.program("invoke").is_file():
        shop.invoke("down", "--volumes")
        shop.invoke("refresh-cache", "clean", "all", "--yes")
    shutil.rmtree(folder, ignore_errors=True)


def heading(page: Page) -> str:
    found = page.driver.find_elements(By.TAG_NAME, "h1")
    return found[0].text if found else ""


def test_from_a_clone_to_a_changed_page_in_the_browser(
    reader: Reader, ready_clone: Clone, docker: Docker
) -> None:
    make, run, look, edit, *rest = steps()
    reader.follows(make)
    (reader.folder / "rebake").rename(reader.folder / "moved-away")
    printed = reader.follows(run)
    reader.follows(look)
    [url] = re.findall(r"(?m)^  ui +(http://\S+)$", printed)
    assert edit.edit is not None
    _, before, now = (re.sub(r"<[^>]+>", "", text) for text in edit.edit)
    with chromium(ready_clone, docker) as page:
        page.open(url)
        page.until(lambda: heading(page) == before, f"the heading {before}", 30)
        page.driver.execute_script("window.stays = true")
        reader.follows(edit)
        page.until(lambda: heading(page) == now, f"the heading {now}", 30)
        assert page.driver.execute_script("return window.stays")
    for step in rest:
        reader.follows(step)
    assert reader.types("git status --porcelain") == ""
