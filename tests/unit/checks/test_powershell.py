"""PowerShell scripts: by the grammar for real, by PowerShell through a fake."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rebake import sessions
from rebake.checks import powershell
from rebake.checks.tools import Program, toolkit_program

GOOD = """\
param([string]$Name = 'x')
function Get-It { param($a) if ($a -eq 1) { return @{ x = 1 } } else { 'no' } }
foreach ($n in 1..3) { Write-Output "$n $($Name.Length)" }
& $Name @args
exit $LASTEXITCODE
"""


def test_a_good_script_has_no_faults() -> None:
    assert powershell.faults(GOOD.encode()) == []


@pytest.mark.parametrize(
    "script",
    [
        "Get-X | Select-Object Name, Size\n",
        "Get-ChildItem -Include *.ps1, *.psm1 -Recurse\n",
        "param(\n  [string]$A = 'x'\n)\n",
        "switch ($a) { 'b' { 1 } default { 2 } }\n",
        "function Build { param($s) Write-Host x }\n",
        "# c\n<# block\n#>\n",
        "$x ?? 1\n",
    ],
)
def test_what_powershell_takes_and_the_grammar_does_not_is_no_fault(script: str) -> None:
    assert powershell.faults(script.encode()) == []
    assert powershell.faults((script + "if ($a {\n").encode()) != []


def test_strings_and_places_stay_as_they_are() -> None:
    source = "Write-Host Größe, b 'c, d' \"e, f\" # g, h\n".encode()
    plain = powershell.plainer(source)
    assert len(plain) == len(source)
    assert b"'c, d' \"e, f\"" in plain
    assert powershell.faults(source + b"}\n")[0][:2] == (2, 1)


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("$a = 1\nif ($a -eq 1 {\n  2\n}\n", 2),
        ("$a = 1\n}\n", 2),
        ("Write-Output 'abc\n", 1),
        ("$a = @{ x = 1\n", 1),
        ("$a = 1\n$b = 2\nforeach ($x in) { }\n", 3),
        ("function { 1 }\n", 1),
        ("param([string]$Name)\nif ($Name {\n  1\n}\n", 2),
        ("param($a)\nfunction F {\n  $b = @(1\n}\n", 3),
        ("$a = 1\n$b = 'x\n$c = 2\n", 2),
    ],
)
def test_what_is_no_powershell_is_found_at_its_line(script: str, line: int) -> None:
    found = powershell.faults(script.encode())
    assert found
    assert found[0][0] == line


def test_the_scripts_of_this_repository_and_of_the_check_itself() -> None:
    root = Path(__file__).parents[3]
    names = [
        file.relative_to(root).as_posix()
        for folder in ("docker", "scripts", "src")
        for file in (root / folder).rglob("*.ps1")
    ]
    assert len(names) >= 4
    assert powershell.parse(root, names).stdout == ""


def test_faults_are_lines_with_file_and_place(tmp_path: Path) -> None:
    (tmp_path / "bad.ps1").write_text("$a = 1\n}\n")
    (tmp_path / "good.ps1").write_text(GOOD)
    python = toolkit_program("python")
    assert python is not None
    done = powershell.check(python, tmp_path, ["bad.ps1", "good.ps1"], 60)
    assert done.returncode == 1
    first, note = done.stdout.splitlines()
    assert first == "bad.ps1:2:1: } closes nothing"
    assert note.startswith("This machine has no PowerShell")


@pytest.mark.skipif(sys.platform == "win32", reason="the fake is a shell script")
def test_powershell_itself_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "pwsh"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tool = sessions.find_powershell()
    assert tool == Program(fake)
    done = powershell.check(tool, tmp_path, ["a.ps1", "b.ps1"], 60)
    *options, script, first, second = done.stdout.splitlines()
    assert options == ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"]
    assert Path(script).name == "analyze.ps1"
    assert (first, second, done.returncode) == ("a.ps1", "b.ps1", 1)


def test_without_either_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sessions.find_powershell() == toolkit_program("python")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "tree_sitter_powershell is not in" in str(sessions.find_powershell())
