"""What can stand at the cursor."""

from __future__ import annotations

import pytest

from rebake.completion.candidates import candidates
from rebake.completion.table import make_table
from rebake.tasks import namespace
from rebake.tasks.face import RebakeTask

TASKS = [task for task in namespace.tasks.values() if isinstance(task, RebakeTask)]
TABLE = make_table(TASKS)
SHARED = ["--json", "--dry-run", "--progress", "--help"]


def offered(line: str, services: tuple[str, ...] = ("api", "worker", "ui", "w")) -> list[str]:
    """The candidates for a line; its last word is the one at the cursor."""
    *before, partial = line.split(" ")
    return [found.text for found in candidates(TABLE, before, partial, lambda: services)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bu", ["build"]),
        ("re", ["rebuild", "refresh-cache", "report"]),
        ("--", ["--help", "--list", "--version"]),
        ("--help bui", ["build"]),
        ("build ", ["api", "worker", "ui", "w"]),
        ("build w", ["worker", "w"]),
        ("build api ", ["worker", "ui", "w"]),
        ("build --dev u", ["ui"]),
        ("build --", ["--dev", "--no-cache", "--assert-warm", *SHARED]),
        ("build --dev api --d", ["--dry-run"]),
        ("build --progress ", ["auto", "plain", "quiet"]),
        ("build --progress p", ["plain"]),
        ("build --progress=", ["--progress=auto", "--progress=plain", "--progress=quiet"]),
        ("build --progress=q", ["--progress=quiet"]),
        ("build --dev=", []),
        ("build --progress = q", ["quiet"]),  # as bash takes it apart
        ("build --progress =", ["auto", "plain", "quiet"]),
        ("build --progress plain u", ["ui"]),
        ("build --progress=plain u", ["ui"]),
        ("prod --", ["--no-detach", "--require-signed", *SHARED]),
        ("refresh-cache ", ["show", "clean", "prune", "refresh", "upkeep"]),
        ("refresh-cache clean ", ["build", "images", "volumes", "all"]),
        ("refresh-cache clean build --y", ["--yes"]),
        ("refresh-cache show ", []),
        ("warm-cache --for ", ["dev", "prod", "ci"]),
        ("engine s", ["status", "start", "stop"]),
        ("engine env --shell p", ["posix", "powershell"]),
        ("completion ", ["bash", "zsh", "fish", "powershell"]),
        ("doctor --check lock", ["lock-files"]),
        ("doctor --check lock-files,secr", ["lock-files,secrets"]),
        ("benchmark --subjects rebake,n", ["rebake,naive"]),
        ("benchmark --subjects rebake,r", []),  # it is named already
        ("logs --export ", []),  # the shell names files
        ("logs --tail 5 w", ["worker", "w"]),
        ("down u", ["up", "update"]),  # one task after another
        ("rebuild --dev dev --", ["--detach", "--native", *SHARED]),
        ("no-such-task b", ["base-images", "benchmark", "build"]),
    ],
)
def test_what_is_offered(line: str, expected: list[str]) -> None:
    assert offered(line) == expected


def test_services_are_asked_for_only_where_they_can_stand() -> None:
    def never() -> list[str]:
        raise AssertionError

    for before, partial in (([], "b"), (["build"], "--"), (["down"], ""), (["engine"], "")):
        assert candidates(TABLE, before, partial, never)


def test_what_a_candidate_means_is_told() -> None:
    found = {c.text: c.says for c in candidates(TABLE, [], "", list)}
    assert found["build"] == "Build images of services, as far as anything changed."
    found = {c.text: c.says for c in candidates(TABLE, ["down"], "--v", list)}
    assert found == {"--volumes": "delete the stack's data too"}


def test_every_task_is_there_with_every_flag() -> None:
    assert set(TABLE) == set(namespace.task_names)
    for task in TASKS:
        known = {flag.lstrip("-").removeprefix("no-") for flag in TABLE[task.name]["flags"]}
        for argument in task.get_arguments():
            assert argument.positional or argument.names[0].removeprefix("no-") in known
        for entry in TABLE[task.name]["flags"].values():
            assert entry["says"]


def test_choices_belong_to_flags_and_words_that_there_are() -> None:
    for task in TASKS:
        names = {argument.names[0] for argument in task.get_arguments()}
        assert set(task.choices) <= names


def test_what_is_offered_is_taken() -> None:
    """No choice that the task itself would refuse."""
    from rebake.benchmark.scenarios import scenarios_named, subjects_named
    from rebake.doctor.run import choose
    from rebake.tasks.caches import _words

    for check in offered("doctor --check "):
        assert choose([check])
    for name in offered("benchmark --subjects "):
        assert subjects_named(name)
    for name in offered("benchmark --scenarios "):
        assert scenarios_named(name)
    for action in offered("refresh-cache "):
        for what in offered(f"refresh-cache {action} ") or [""]:
            assert _words([action, *([what] if what else [])]) == (action, what)
