"""The short form of `nox -s template`: all kinds of projects are made, one is linted."""

import re
import subprocess
import sys

from e2e.support import REPOSITORY, Docker, clean_environment


def test_projects_of_all_kinds_are_sound(own_docker: Docker) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/check_template.py"],
        cwd=REPOSITORY,
        env=clean_environment() | own_docker.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    [kinds] = re.findall(r"template: (\d+) kinds of projects, no faults", done.stdout)
    assert int(kinds) >= 9
    assert "ruff check" in done.stdout
