"""A headless Chromium in a container of its own, driven through WebDriver."""

from __future__ import annotations

import contextlib
import hashlib
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

if TYPE_CHECKING:
    from e2e.support import Clone, Docker

T = TypeVar("T")

IMAGE = "rebake-e2e-browser"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,900",
)


class Page:
    """One page, found through its test ids."""

    def __init__(self, driver: webdriver.Remote) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def all(self, test_id: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, f"[data-testid='{test_id}']")

    def one(self, test_id: str, timeout: float = 10) -> WebElement:
        return self.until(lambda: next(iter(self.all(test_id)), None), f"a {test_id}", timeout)

    def titles(self) -> list[str]:
        return [element.text for element in self.all("item-title")]

    def until(self, find: Callable[[], T | None], what: str, timeout: float = 10) -> T:
        deadline = time.monotonic() + timeout
        while True:
            # React may replace an element between finding and reading it: look again.
            with contextlib.suppress(StaleElementReferenceException):
                found = find()
                if found:
                    return found
            assert time.monotonic() < deadline, f"{what} did not come: {self.driver.page_source}"
            time.sleep(0.1)

    def screenshot(self, file: Path) -> None:
        self.driver.save_screenshot(str(file))


def image(clone: Clone, docker: Docker) -> str:
    """Build the browser's image where it is not there yet; return its name.

    By name, and not from the builder's cache alone: other tests prune that, and half a minute of
    installing would come once more.
    """
    place, tools = Path(__file__).parent / "browser", clone.root / "docker" / "tools"
    dockerfile = (place / "Dockerfile").read_text(encoding="utf-8")
    base = dockerfile.partition("ARG BUN_IMAGE=")[2].split()[0]
    made_of = [dockerfile, docker("image", "inspect", "--format", "{{.Id}}", base)]
    made_of += [(tools / name).read_text() for name in ("with-host-settings", "ensure-packages")]
    ref = f"{IMAGE}:{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}"
    words = ("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", IMAGE)
    there = docker(*words).split()
    if ref in there:
        return ref
    settings = docker.env["REBAKE_HOST_SETTINGS"]
    docker(
        "buildx", "build", "--load", "--tag", ref,
        "--provenance=false",
        "--build-context", f"tools={tools}",
        "--secret", f"id=ca,src={settings}/ca.pem",
        "--secret", f"id=apt-sources,src={settings}/apt-sources.sources",
        "--secret", f"id=apt-config,src={settings}/apt.conf",
        str(place),
        timeout=600,
    )  # fmt: skip
    if there:
        docker("image", "rm", "--force", *there)
    return ref


@contextlib.contextmanager
def chromium(clone: Clone, docker: Docker) -> Iterator[Page]:
    """Run the browser, and give a page."""
    ref = image(clone, docker)
    name = f"{IMAGE}-{uuid.uuid4().hex[:8]}"
    # On the host's network: the stack listens on the host's loopback address only.
    docker("run", "--detach", "--rm", "--name", name, "--network", "host", ref)
    try:
        server = "http://127.0.0.1:9515"
        _wait_for(f"{server}/status")
        options = webdriver.ChromeOptions()
        for flag in FLAGS:
            options.add_argument(flag)
        driver = webdriver.Remote(server, options=options)
        try:
            yield Page(driver)
        finally:
            driver.quit()
    finally:
        docker("kill", name, check=False)


def _wait_for(url: str) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(url, timeout=1).read()
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
