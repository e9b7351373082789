"""Running a stack through a faked docker program: waiting, failing, and what is said then."""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.engine.endpoint import Endpoint
from rebake.errors import CommandFailed, Interrupted, ServiceUnhealthy, TimedOut
from rebake.stack.plan import StackPlan
from rebake.stack.run import (
    down,
    parse_others,
    parse_states,
    read_states,
    seed,
    undone_by_interrupt,
    up,
)

if sys.platform == "win32":
    pytest.skip("the fake program is a script with a #! line", allow_module_level=True)

FAKE = """\
    #!{python} -IS
    import os, sys, time
    folder = os.path.dirname(os.path.abspath(__file__)) + "/"
    words = sys.argv[1:]
    def read(name):
        with open(folder + name) as file:
            return file.read()
    with open(folder + "calls", "a") as calls:
        calls.write(repr(words) + "\\n")
    if words[:2] == ["volume", "ls"]:
        print(read("volumes"))
    if "up" in words:
        sys.exit(int(read("up")))
    if "ps" in words:
        states = eval(read("states"))
        current = states[0] if len(states) == 1 else states.pop(0)
        with open(folder + "states", "w") as file:
            file.write(repr(states))
        for line in current:
            print(line)
    if "logs" in words:
        print(read("logs"), flush=True)
        if "--follow" in words:
            time.sleep(30)
"""
READY = {"api": ("running", "healthy"), "ui": ("running", "")}


class Fake:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "docker"
        program.write_text(textwrap.dedent(FAKE).format(python=sys.executable))
        program.chmod(0o755)
        self.endpoint = Endpoint("default", "unix:///nowhere.sock", program)
        self.say(up=0, states=[READY], logs="")
        self.volumes("shop-dev_node_modules_0a", "shop-dev_node_modules_1b")

    def say(self, up: int = 0, states: list | None = None, logs: str = "") -> None:
        (self.folder / "up").write_text(str(up))
        told = [
            [
                json.dumps({"Service": name, "State": state, "Health": health})
                for name, (state, health) in current.items()
            ]
            for current in states or [READY]
        ]
        (self.folder / "states").write_text(repr(told))
        (self.folder / "logs").write_text(logs)

    def volumes(self, *names: str) -> None:
        (self.folder / "volumes").write_text("\n".join(names))

    @property
    def calls(self) -> list[list[str]]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [ast.literal_eval(line) for line in lines]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def plan(timeout: int = 5) -> StackPlan:
    return StackPlan(
        "dev", "shop-dev", Path("c.yml"), ("api", "ui"), "127.0.0.1", {"api": 2, "ui": 1}, {},
        timeout,
    )  # fmt: skip


def test_it_waits_until_all_are_ready(fake: Fake) -> None:
    starting = {"api": ("running", "starting"), "ui": ("running", "")}
    fake.say(states=[starting, starting, starting, READY], logs="api-1  | Compiling")
    lines: list[str] = []
    states = up(plan(), fake.endpoint, on_log=lines.append)
    assert all(state.ready for state in states)
    assert [state.url for state in states] == ["http://127.0.0.1:2", "http://127.0.0.1:1"]
    assert "api-1  | Compiling" in lines


def test_a_port_that_somebody_took_meanwhile_is_exchanged(fake: Fake) -> None:
    fake.say(up=1)
    failed: list[StackPlan] = []

    def elsewhere(one: StackPlan) -> StackPlan:
        failed.append(one)
        if len(failed) == 2:
            fake.say(up=0)
        return replace(one, ports={"api": 20 + len(failed), "ui": 1})

    states = up(plan(), fake.endpoint, on_log=lambda _: None, elsewhere=elsewhere)
    assert [one.ports["api"] for one in failed] == [2, 21]
    assert states[0].url == "http://127.0.0.1:22"
    assert sum("up" in call for call in fake.calls) == 3


def test_what_can_not_be_started_is_not_tried_for_ever(fake: Fake) -> None:
    fake.say(up=1)
    for answer, calls in ((None, 1), (plan(), 5)):
        (fake.folder / "calls").write_text("")
        with pytest.raises(CommandFailed):
            up(plan(), fake.endpoint, on_log=lambda _: None, elsewhere=lambda _, a=answer: a)
        assert sum("up" in call for call in fake.calls) == calls


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_takes_down_what_was_started(fake: Fake, number: signal.Signals) -> None:
    starting = {"api": ("running", "starting"), "ui": ("running", "")}
    fake.say(states=[starting])
    said: list[str] = []
    threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
    began = time.monotonic()
    with (
        pytest.raises(Interrupted, match="the start of the dev stack"),
        undone_by_interrupt(plan(), fake.endpoint, said.append),
    ):
        up(plan(60), fake.endpoint, on_log=print)
    assert time.monotonic() - began < 5
    last = fake.calls[-1]
    assert last[last.index("down") :] == ["down", "--remove-orphans", "--timeout", "2"]
    assert said == ["stopping what was started; its data is kept"]


def test_compose_that_fails_is_told_with_its_words(fake: Fake) -> None:
    fake.say(up=3)
    with pytest.raises(CommandFailed) as caught:
        up(plan(), fake.endpoint, on_log=print)
    assert caught.value.returncode == 3
    assert "invoke logs" in caught.value.hint


def test_a_service_that_ended(fake: Fake) -> None:
    fake.say(states=[{"api": ("exited", ""), "ui": ("running", "")}], logs="boom")
    with pytest.raises(ServiceUnhealthy) as caught:
        up(plan(), fake.endpoint, on_log=print)
    assert caught.value.service == "api"
    assert "boom" in caught.value.details


def test_sources_that_do_not_compile(fake: Fake) -> None:
    fake.say(
        states=[{"api": ("running", "starting"), "ui": ("running", "")}],
        logs="api-1  | error[E0425]\napi-1  | dev-service: the build failed; waiting",
    )
    with pytest.raises(ServiceUnhealthy, match="api did not become healthy: its sources do not"):
        up(plan(), fake.endpoint, on_log=lambda _line: None)


def test_too_slow(fake: Fake) -> None:
    fake.say(states=[{"api": ("running", "starting"), "ui": ("running", "")}])
    with pytest.raises(TimedOut) as caught:
        up(plan(timeout=1), fake.endpoint, on_log=print)
    assert "starting api took longer than 1 s" in str(caught.value)
    assert caught.value.exit_code == 124


def test_states_are_read_with_the_stacks_own_name(fake: Fake) -> None:
    read_states(plan(), fake.endpoint)
    assert fake.calls == [
        [
            "compose",
            "--project-name",
            "shop-dev",
            "--file",
            "c.yml",
            "ps",
            "--all",
            "--format",
            "json",
        ]
    ]


def test_states_without_lines() -> None:
    assert parse_states("\n", {}) == ()


def test_down_with_volumes_takes_those_of_other_lock_files_along(
    fake: Fake, tmp_path: Path
) -> None:
    down("shop-dev", tmp_path / "c.yml", fake.endpoint, {})
    assert [call[0] for call in fake.calls] == ["compose"]
    down("shop-dev", tmp_path / "c.yml", fake.endpoint, {}, volumes=True)
    assert fake.calls[2:] == [
        ["volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project=shop-dev"],
        ["volume", "rm", "shop-dev_node_modules_0a", "shop-dev_node_modules_1b"],
    ]


def test_a_new_worktree_takes_over_what_another_has_compiled(fake: Fake, tmp_path: Path) -> None:
    said: list[str] = []
    plan = StackPlan(
        "dev", "shop-2-dev", tmp_path / "c.yml", ("api", "ui"), "127.0.0.1", {}, {}, 60
    )
    seed(plan, fake.endpoint, ["shop-1-dev", "shop-0-dev"], said.append)
    assert [call[0] for call in fake.calls] == ["volume"]  # nobody has compiled
    fake.volumes("shop-0-dev_target", "shop-9-dev_target")
    seed(plan, fake.endpoint, ["shop-1-dev", "shop-0-dev"], said.append)
    assert fake.calls[-1] == [
        *("compose", "--project-name", "shop-2-dev", "--file", str(tmp_path / "c.yml")),
        *("run", "--rm", "--no-deps", "--no-TTY", "--pull", "never"),
        *("--volume", "shop-0-dev_target:/seed:ro"),
        *("--entrypoint", "seed-target", "api", "/seed"),
    ]
    assert len(said) == 1
    fake.volumes("shop-0-dev_target", "shop-2-dev_target")
    seed(plan, fake.endpoint, ["shop-0-dev"], pytest.fail)  # this one has compiled before


def test_what_would_run_beside_the_services() -> None:
    services = {
        "api": {"image": "shop-api:prod"},
        "web": {"image": "shop-web:prod", "scale": 0},
        "idle": {"image": "x", "deploy": {"replicas": 0}},
        "db": {"image": "postgres:17"},
        "odd": {"build": {}},
    }
    text = json.dumps({"services": services})
    assert parse_others(text, ("api", "ui")) == {"db": "postgres:17", "odd": "built here"}
    assert parse_others("{}", ("api",)) == {}


def test_what_is_laid_over_is_written_before_compose_reads_it(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "state" / "compose.dev.json"
    over = replace(plan(), override={"services": {}}, override_file=file)
    up(over, fake.endpoint, on_log=print)
    assert json.loads(file.read_text()) == {"services": {}}
    started = next(words for words in fake.calls if "up" in words)
    assert started[3:8] == ["--file", "c.yml", "--file", str(file), "up"]
