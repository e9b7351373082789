"""What a build keeps so that causes can be told: facts of files, settings, bake targets."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from rebake.build import evidence, targets
from rebake.build.plan import plan_build
from rebake.history.evidence import BakeTarget, FileFacts, line_digests
from rebake.history.records import FileDigest
from rebake.project.project import Project, open_project

KEY = b"k" * 32


def digest(path: str, content: bytes) -> FileDigest:
    return FileDigest(path, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "rebake.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "docker-bake.hcl").write_text('variable "COLOUR" {}\n')
    return open_project(tmp_path)


def test_facts_of_each_kind_of_file() -> None:
    text = b"fn main() {}\n"
    assert evidence.file_facts("src/main.rs", text, KEY) == FileFacts(line_digests(text, KEY))
    assert evidence.file_facts("Dockerfile", b"FROM x\n", KEY).text == "FROM x\n"
    assert evidence.file_facts("Dockerfile.dockerignore", b"a\n", KEY).text == "a\n"
    assert evidence.file_facts("docker/bake.hcl", b"a\n", KEY).text == "a\n"
    assert evidence.file_facts("notes.txt", b"a\n", KEY).text is None
    lock = evidence.file_facts("Cargo.lock", b"version = 4\n", KEY)
    assert lock.lock == ()
    manifest = evidence.file_facts("crates/a/Cargo.toml", b'[package]\nname = "a"\n', KEY).manifest
    assert manifest is not None
    assert manifest.name == "a"
    assert evidence.file_facts("logo.png", b"\x89PNG\0", KEY) == FileFacts()
    assert evidence.file_facts("big.txt", b"a\n" * 400_000, KEY) == FileFacts()


def test_a_file_that_was_edited_since_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("as it was\n")
    (tmp_path / "b").write_text("edited while the build ran\n")
    files = [digest("a", b"as it was\n"), digest("b", b"as it was\n"), digest("gone", b"x")]
    found = evidence.facts_of([(tmp_path, file) for file in files], KEY)
    assert list(found) == [files[0].sha256]


def test_settings_hold_what_decides_and_of_secrets_only_that_they_are_others(
    project: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "settings"
    folder.mkdir()
    (folder / "npmrc").write_text("//x/:_authToken=canary-token\n")
    (folder / "ca.pem").write_text("")
    plan = plan_build(
        project, "prod", ("api",), folder, {"HTTPS_PROXY": "http://u:canary-pass@p"}, again="7"
    )
    found = evidence.settings_of(project, plan, KEY, "unix:///x", {"engine": "28.5"})
    assert found["base_images.rust"] == project.config.base_images.rust
    assert found["engine.version"] == "28.5"
    assert found["flags"] == "rebuild"
    assert found["proxies"] == "HTTPS_PROXY"
    assert found["host-settings.npmrc"].startswith("keyed:")
    assert "host-settings.ca.pem" not in found
    assert "canary" not in json.dumps(found)
    assert not [name for name in found if name.startswith(("dev.", "prod.", "history."))]


def test_what_bake_says_of_its_targets(tmp_path: Path) -> None:
    document = {
        "target": {
            "api": {
                "context": "backend",
                "dockerfile": "Dockerfile",
                "target": "prod",
                "args": {"A": "1", "NONE": None, "HTTP_PROXY": "http://u:p@x"},
                "contexts": {"tools": "docker/tools", "server": "target:web"},
            },
            "bare": {"context": str(tmp_path / "sub")},
        }
    }
    assert targets.parse(document, tmp_path) == {
        "api": BakeTarget(
            "backend", "Dockerfile", "prod", {"A": "1"},
            {"tools": "docker/tools", "server": "target:web"},
        ),
        "bare": BakeTarget("sub", "Dockerfile"),
    }  # fmt: skip
    assert targets.parse({}, tmp_path) == {}


def test_bake_is_asked_again_only_when_its_answer_can_be_another(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(text: str = 'variable "COLOUR" {}\n', **rest: object) -> str:
        plan = plan_build(project, "prod", ("api",), Path("/settings"), **rest)  # type: ignore[arg-type]
        return targets.key_of(plan, text)

    monkeypatch.delenv("COLOUR", raising=False)
    first = key()
    assert key() == key(again="1") == key(proxies={"HTTP_PROXY": "x"}) == first
    assert key("other") != first
    monkeypatch.setenv("COLOUR", "red")
    assert key() != first
    monkeypatch.delenv("COLOUR")
    monkeypatch.setenv("UNKNOWN_TO_THE_FILE", "red")
    assert key() == first
