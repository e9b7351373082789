"""A stack's plan: the exact words of Compose."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.project.project import open_project
from rebake.stack.plan import (
    GivenSecret,
    config_words,
    down_words,
    logs_words,
    packages_key,
    plan_stack,
    up_words,
    with_override,
)


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


def test_secrets_and_verified_images_are_laid_over_the_compose_file(tmp_path: Path) -> None:
    project = make(tmp_path)
    plain = plan_stack(project, "prod", PORTS, host_settings=Path("/s"), owner=None, watch="x")
    assert with_override(plain, {}, ()).overrides == ()
    given = (
        GivenSecret("token", Path("/state/aa"), "aa", ("api", "ui")),
        GivenSecret("key", Path("/state/bb"), "bb", ("api",)),
    )
    plan = with_override(plain, {"api": "shop-api@sha256:00"}, given)
    assert plan.override == {
        "services": {
            "api": {
                "image": "shop-api@sha256:00",
                "secrets": [
                    {"source": "rebake-run-token", "target": "token"},
                    {"source": "rebake-run-key", "target": "key"},
                ],
                "labels": {"rebake.secrets": "aa bb"},
            },
            "ui": {
                "secrets": [{"source": "rebake-run-token", "target": "token"}],
                "labels": {"rebake.secrets": "aa"},
            },
        },
        "secrets": {
            "rebake-run-token": {"file": "/state/aa"},
            "rebake-run-key": {"file": "/state/bb"},
        },
    }
    file = str(project.state / "compose.prod.json")
    assert up_words(plan)[3:9] == (
        "--file", str(plan.compose_file), "--file", file, "up", "--detach",
    )  # fmt: skip
    assert config_words(plan)[7:] == ("config", "--format", "json")
