"""Each part of `lint` on a thing that is broken for real, with the real program."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from checks_bench import Linted, failed, write_linted_project


@pytest.fixture
def linted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Linted:
    # What an engine finds in a Dockerfile is for tests/e2e, even where one runs here.
    monkeypatch.setenv("REBAKE_ENGINE_KIND", "native")
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    linted = write_linted_project(tmp_path / "a b,ü")
    # shellcheck takes seconds for all of them
    tools = linted.root / "docker" / "tools"
    shutil.rmtree(tools)
    tools.mkdir()
    return linted


def states(linted: Linted, group: str) -> dict[str, str]:
    return {name: done.state for name, done in linted.lint(group).items()}


def test_shell(linted: Linted) -> None:
    assert states(linted, "shell") == {"shellcheck": "ok"}
    linted.write("scripts/run.sh", "#!/bin/sh\nrm -rf $1/*\n")
    failed(linted.lint("shell")["shellcheck"], "scripts/run.sh:2:", "SC2086")


def test_a_script_with_the_line_ends_of_windows(linted: Linted) -> None:
    linted.write("docker/entry", '#!/bin/sh\r\necho "$1"\r\n')
    failed(linted.lint("shell")["shellcheck"], "docker/entry:1:", "SC1017")


def test_powershell(linted: Linted) -> None:
    assert states(linted, "powershell") == {"powershell": "ok"}
    linted.write("scripts/run.ps1", "param([string]$Name)\nif ($Name {\n  1\n}\n")
    failed(linted.lint("powershell")["powershell"], "scripts/run.ps1:2:")


@pytest.mark.parametrize(
    ("line", "rule"), [("ADD a.txt /a.txt", "DL3020"), ("WORKDIR a/b", "DL3000")]
)
def test_hadolint(linted: Linted, line: str, rule: str) -> None:
    file = linted.root / "ui" / "Dockerfile"
    text = file.read_text() + line + "\n"
    file.write_text(text)
    failed(linted.lint("dockerfiles")["hadolint"], f"ui/Dockerfile:{text.count(chr(10))} {rule}")


def test_hadolint_passes_what_is_in_order(linted: Linted) -> None:
    assert linted.lint("dockerfiles")["hadolint"].state == "ok"


def test_workflows(linted: Linted) -> None:
    assert states(linted, "workflows") == {}
    linted.write(
        ".github/workflows/ci.yml",
        "name: ci\non: push\npermissions: {}\njobs:\n  a:\n    name: a\n"
        "    runs-on: ubuntu-24.04\n    container: alpine:3\n"
        "    steps:\n      - uses: actions/checkout@v6\n",
    )
    done = linted.lint("workflows")
    failed(done["zizmor"], "unpinned-uses", "ci.yml:10")
    failed(done["workflow rules"], ".github/workflows/ci.yml:8: image-by-digest")


def test_the_settings(linted: Linted) -> None:
    assert set(states(linted, "config").values()) == {"ok"}
    linted.write(
        "rebake.toml",
        '[backend]\nservices = ["api", "web"]\n[docker]\ncompose_dev = "docker/nothing.yml"\n'
        "[prod.ports]\nweb = 80\n",
    )
    done = linted.lint("config")["rebake.toml"]
    failed(done, "rebake.toml: docker.compose_dev: there is no file docker/nothing.yml")
    assert "warning: rebake.toml: prod.ports: web 80 below 1024" in done.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[project]\nnmae = "x"\n', "rebake.toml:2: project.nmae: unknown key"),
        ("[build]\nmin_free_bytes = -1\n", "rebake.toml:2: build.min_free_bytes"),
        ("[smoke]\nbody = '[1]'\n", "rebake.toml:2: smoke.body"),
        ('[smoke]\nresource = "items"\n', "rebake.toml:2: smoke.resource"),
        ("[build\n", "rebake.toml:1"),
        ('[backend]\nservices = ["nobody"]\n', "'nobody' is no binary"),
    ],
)
def test_settings_that_can_not_be_used(tmp_path: Path, text: str, says: str) -> None:
    from rebake.sessions_actions import check_settings

    linted = write_linted_project(tmp_path / "x")
    linted.write("rebake.toml", text)
    done = check_settings(linted.root)
    assert done.returncode == 1
    assert says in done.stdout


def test_the_base_images_lock(linted: Linted) -> None:
    linted.write("docker/base-images.lock.json", '{"schema_version": 1, "images": {"rst:1": "x"}}')
    failed(
        linted.lint("config")["base images' lock"],
        "docker/base-images.lock.json: rst:1: x is no digest",
        "is not pinned; invoke base-images --pin",
    )
