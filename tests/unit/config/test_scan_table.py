"""`[scan]`: what can be set, and what is told of an entry that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.config.load import load
from rebake.errors import ConfigError

NOBODY = Path("no-user-settings.toml")


def scan_of(folder: Path, text: str, **environ: str) -> object:
    (folder / "rebake.toml").write_text(text, encoding="utf-8")
    return load(folder, environ=environ, user=NOBODY).config.scan


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        scan_of(folder, text)
    return [str(problem).replace(f"{folder / 'rebake.toml'}:", "") for problem in
            caught.value.problems]  # fmt: skip


@pytest.mark.parametrize("day", ["2027-01-31", '"2027-01-31"'])
def test_an_ignore(tmp_path: Path, day: str) -> None:
    text = f'[[scan.ignore]]\nid = "CVE-1"\nreason = "not reached"\nexpires = {day}\n'
    table = scan_of(tmp_path, text)
    assert vars(table)["ignore"] == (
        {"id": "CVE-1", "reason": "not reached", "expires": "2027-01-31", "target": ""},
    )


def test_every_fault_of_every_entry_with_its_line(tmp_path: Path) -> None:
    text = (
        '[[scan.ignore]]\nid = "CVE-1"\nreason = "r"\nexpires = 2027-01-31\n'
        '[[scan.ignore]]\nid = "CVE-2"\nreason = ""\nexpires = "soon"\n'
        '[[scan.ignore]]\nid = "CVE-3"\nexpires = 3\nuntil = 1\n'
    )
    assert faults(tmp_path, text) == [
        "5: scan.ignore[1].reason: '' can't be used; expected some text",
        "5: scan.ignore[1].expires: 'soon' can't be used; expected a date, as in 2027-01-31",
        "9: scan.ignore[2].reason: is missing",
        "9: scan.ignore[2].expires: 3 can't be used; expected a date, as in 2027-01-31",
        "9: scan.ignore[2].until: 1 can't be used; expected no such key",
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('scanner = "trivi"', 'did you mean "trivy"?'),
        ('severity = "hi"', "'hi' can't be used"),
        ('db_max_age = "two weeks"', "expected 30m, 12h, 7d or 2w"),
        ('db_repository = "trivy-db"', "expected registry/repository"),
        ("ignore_unfixd = true", "did you mean scan.ignore_unfixed?"),
    ],
)
def test_values_that_can_not_be_used(tmp_path: Path, line: str, fault: str) -> None:
    (told,) = faults(tmp_path, f"[scan]\n{line}\n")
    assert told.startswith("2: scan.")
    assert fault in told


@pytest.mark.parametrize(
    "repository",
    ["127.0.0.1:5000/trivy-db", "127.0.0.1:5000/trivy-db:2", "r.example.com/a/b/trivy-db:2"],
)
def test_a_database_of_ones_own(tmp_path: Path, repository: str) -> None:
    table = scan_of(tmp_path, "", REBAKE_SCAN_DB_REPOSITORY=repository)
    assert vars(table)["db_repository"] == repository


def test_advisories_of_ones_own(tmp_path: Path) -> None:
    for name in ("https://git.example.com/db", "git@git.example.com:a/db", "../db", "ssh://me@x/d"):
        table = scan_of(tmp_path, "", REBAKE_SCAN_ADVISORY_REPOSITORY=name)
        assert vars(table)["advisory_repository"] == name
    address = "https://me:hunter2hunter2@git.example.com/db"
    (told,) = faults(tmp_path, f'[scan]\nadvisory_repository = "{address}"\n')
    assert "expected an address without a password" in told
    assert "hunter2" not in told
