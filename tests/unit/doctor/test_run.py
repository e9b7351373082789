"""Checks run side by side; one that breaks, hangs or can't look is a finding and not the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebake.doctor.case import Case, Fact
from rebake.doctor.diagnosis import Diagnosis, NotChecked, ok
from rebake.doctor.run import CHECKS, Check, choose, examine, findings
from rebake.errors import ProjectError, UnknownName
from unit.doctor.conftest import MakeCase

meeting = threading.Barrier(2)


def good(_case: Case) -> Iterator[Diagnosis]:
    yield ok("fine")


def first(_case: Case) -> Iterator[Diagnosis]:
    meeting.wait(10)
    yield ok("met")


def breaks(_case: Case) -> Iterator[Diagnosis]:
    yield Diagnosis("warning", "before", "w", "f")
    raise ZeroDivisionError("a fault of ours")


def refuses(_case: Case) -> Iterator[Diagnosis]:
    raise ProjectError(Path("x"), "can't be read", "look at it")
    yield


def blind(_case: Case) -> Iterator[Diagnosis]:
    raise NotChecked("no engine runs", "start it")
    yield


def hangs(_case: Case) -> Iterator[Diagnosis]:
    time.sleep(30)
    yield ok("late")


def run(root: Path, make_case: MakeCase, *checks: Check) -> list[tuple[str, str, str]]:
    report = examine(make_case(root), checks)
    return [(c.name, d.level, d.message) for c, found in report for d in found]


def test_checks_run_at_the_same_time(root: Path, make_case: MakeCase) -> None:
    told = run(root, make_case, Check("a", first), Check("b", first))
    assert told == [("a", "ok", "met"), ("b", "ok", "met")]


def test_one_that_breaks_is_a_finding_and_the_others_go_on(root: Path, make_case: MakeCase) -> None:
    told = run(root, make_case, Check("bad", breaks), Check("no", refuses), Check("good", good))
    assert told == [
        ("bad", "warning", "before"),
        ("bad", "error", "the check broke: ZeroDivisionError: a fault of ours"),
        ("no", "error", "x: can't be read"),
        ("good", "ok", "fine"),
    ]


def test_one_that_hangs_is_not_waited_for(root: Path, make_case: MakeCase) -> None:
    started = time.monotonic()
    told = run(root, make_case, Check("slow", hangs, limit_s=0.2), Check("good", good))
    assert time.monotonic() - started < 10
    assert told == [
        ("slow", "warning", "not checked: it did not end within 0 s"),
        ("good", "ok", "fine"),
    ]


def test_what_could_not_be_looked_at_is_never_counted_as_passed(
    root: Path, make_case: MakeCase
) -> None:
    told = run(root, make_case, Check("blind", blind))
    assert told == [("blind", "warning", "not checked: no engine runs")]


def test_without_an_engine_its_checks_say_so(root: Path, make_case: MakeCase) -> None:
    report = examine(make_case(root), choose(["engine", "gc", "clock", "file-sharing", "disk"]))
    told = {check.name: found[0] for check, found in report}
    assert told["engine"].level == "error"  # DOCKER_HOST names one that does not answer
    assert "does not answer" in told["engine"].message
    for name in ("gc", "clock", "file-sharing"):
        assert told[name].message == "not checked: the engine can't be used"
        assert told[name].level == "warning"
    assert told["disk"].level in {"ok", "warning"}  # the project's own disk


def test_where_only_the_private_engine_will_do_no_other_is_asked(
    root: Path, make_case: MakeCase
) -> None:
    (root / "rebake.toml").write_text('[engine]\nkind = "private"\n')
    ((_, (one,)),) = examine(make_case(root), choose(["engine"]))
    assert (one.level, one.message) == ("warning", "the private engine does not run")
    assert one.fix == "invoke engine start"


def test_in_native_mode_nobody_asks_for_an_engine(root: Path, make_case: MakeCase) -> None:
    (root / "rebake.toml").write_text('[engine]\nkind = "native"\n')
    report = examine(make_case(root), choose(["engine", "gc", "clock"]))
    assert [(check.name, found[0].level) for check, found in report] == [("engine", "ok")]


def test_findings_are_ordered_by_level(root: Path, make_case: MakeCase) -> None:
    checks = (Check("a", good), Check("b", breaks), Check("c", good))
    found = findings(examine(make_case(root), checks))
    assert [(f.check, f.level) for f in found] == [
        ("b", "error"), ("b", "warning"), ("a", "ok"), ("c", "ok"),
    ]  # fmt: skip


def test_an_unknown_check() -> None:
    with pytest.raises(UnknownName) as caught:
        choose(["garbage", "disk"])
    assert caught.value.what == "no check named 'garbage'"
    assert [check.name for check in choose(["gc", "disk", "gc"])] == ["gc", "disk"]
    assert choose([]) == CHECKS


def test_a_fact_is_found_once_and_told_to_all(root: Path, make_case: MakeCase) -> None:
    calls = []

    class Slow(Case):
        @Fact
        def thing(self) -> object:
            calls.append(1)
            time.sleep(0.1)
            return object()

        @Fact
        def broken(self) -> object:
            calls.append(2)
            raise NotChecked("no")

    case = make_case(root, Slow)
    assert isinstance(case, Slow)
    seen: list[object] = []
    threads = [threading.Thread(target=lambda: seen.append(case.thing)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, seen))) == 1
    for _ in range(2):
        with pytest.raises(NotChecked):
            _ = case.broken
    assert calls == [1, 2]


def test_each_finding_becomes_the_document_of_the_issue() -> None:
    finding = Diagnosis("warning", "what", "why", "mend").finding("disk")
    assert finding.document() == {
        "check": "disk", "level": "warning", "message": "what; why", "fix": "mend",
        "fixable": False,
    }  # fmt: skip
