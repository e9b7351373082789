"""A stack's plan: the exact words of Compose."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.project.project import open_project
from rebake.stack.plan import down_words, logs_words, packages_key, plan_stack, up_words


def make(folder: Path, text: str = ""):
    (folder / "rebake.toml").write_text(f'[project]\nname = "shop"\n{text}')
    return open_project(folder)


PORTS = {"ui": 1, "api": 2, "worker": 3}


def test_dev(tmp_path: Path) -> None:
    project = make(tmp_path)
    plan = plan_stack(
        project, "dev", PORTS, host_settings=Path("/settings"), owner=(1000, 1001), watch="polling"
    )
    assert plan.variables == {
        "BIND_ADDRESS": "127.0.0.1",
        "REBAKE_HOST_SETTINGS": "/settings",
        "UI_PORT": "1",
        "API_PORT": "2",
        "WORKER_PORT": "3",
        "WATCH": "polling",
        "UI_POLLING": "1",
        "HOST_UID": "1000",
        "HOST_GID": "1001",
    }
    assert up_words(plan) == (
        "compose", "--project-name", f"{project.name}-dev",
        "--file", str(tmp_path / "docker" / "docker-compose.dev.yml"),
        "up", "--detach", "--no-build", "--pull", "never", "--remove-orphans",
    )  # fmt: skip
    assert plan.urls["ui"] == "http://127.0.0.1:1"


def test_the_compose_file_is_told_of_npm_and_nothing_of_bun(tmp_path: Path) -> None:
    for manager, told in (("bun", None), ("npm", "npm")):
        project = make(tmp_path, f'[ui]\nmanager = "{manager}"\n')
        plan = plan_stack(project, "dev", PORTS, host_settings=Path("/s"), owner=None, watch="x")
        assert plan.variables.get("UI_MANAGER") == told


def test_another_lock_file_gets_another_volume_in_dev(tmp_path: Path) -> None:
    project = make(tmp_path)
    one, other = packages_key(b"react 1"), packages_key(b"react 2")
    assert one != other
    assert len(one) == 12
    for mode, given in (("dev", one), ("prod", None)):
        plan = plan_stack(
            project, mode, PORTS, host_settings=Path("/s"), owner=None, watch="x", packages=one
        )
        assert plan.variables.get("UI_PACKAGES") == given


@pytest.mark.parametrize(
    ("address", "bind", "url"),
    [
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:2"),
        ("::1", "[::1]", "http://[::1]:2"),
        ("::", "[::]", "http://[::1]:2"),
    ],
)
def test_addresses(tmp_path: Path, address: str, bind: str, url: str) -> None:
    project = make(tmp_path, f'[prod]\naddress = "{address}"\n')
    plan = plan_stack(
        project, "prod", PORTS, host_settings=Path("/s"), owner=(1, 1), watch="events"
    )
    assert plan.variables["BIND_ADDRESS"] == bind
    assert plan.urls["api"] == url
    assert "HOST_UID" not in plan.variables


def test_down_keeps_volumes_unless_asked() -> None:
    assert down_words("shop", Path("c.yml"))[5:] == ("down", "--remove-orphans")
    assert down_words("shop", Path("c.yml"), volumes=True)[5:] == (
        "down", "--remove-orphans", "--volumes",
    )  # fmt: skip


def test_logs() -> None:
    words = logs_words("shop", Path("c.yml"), ("api",), follow=True, tail=5)
    assert words[5:] == ("logs", "--no-color", "--follow", "--tail", "5", "api")
