"""The task `history`: what each build was for, and what differs between two."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rebake.cli import main
from rebake.history.records import BuildRecord, FileDigest, ImageRecord, StepRecord
from rebake.history.store import History
from rebake.tasks.history_cause import Cause
from rebake.tasks.session import Session


def file(path: str, text: str) -> FileDigest:
    return FileDigest(path, hashlib.sha256(text.encode()).hexdigest(), len(text))


class Shop:
    """A project and its history."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = folder / "shop"
        self.root.mkdir()
        (self.root / "rebake.toml").write_text('[project]\nname = "shop"\n')
        self.project = Session("history", folder=self.root).project
        self.history = History(folder / "state" / "history.sqlite3")
        self.capsys = capsys
        steps = tuple(
            StepRecord(f"d{n}", f"[build {n}/4] RUN {n}", "run", "build", "api", n, n + 0.5, n < 3)
            for n in range(1, 5)
        )
        self.first = BuildRecord(
            project=self.project.cache_id, worktree=str(self.root), mode="prod",
            targets=("api", "ui"), started_at=time.time() - 60, seconds=31.0, outcome="done",
            steps=steps, git_head="a" * 40,
            images=(ImageRecord("api", "shop-api:prod", "sha256:1", 9_000_000, "3f9c"),),
            inputs={
                "backend": (file("Cargo.lock", "1"), file("crates/api/src/main.rs", "1")),
                "ui": (file("src/app.tsx", "1"),),
                "recipe": (file("docker/docker-bake.hcl", "1"),),
            },
            arguments={"RUST_IMAGE": "rust:1", "BACKEND_BUILD_ID": "x"},
            base_images={"rust:1": "sha256:a"}, engine={"engine": "28.5.2"},
        )  # fmt: skip

    def built(self, record: BuildRecord | None = None, **changes: Any) -> BuildRecord:
        made = replace(record or self.first, **changes)
        assert self.history.record(made)
        return made

    def edited(self, context: str, path: str, text: str | None) -> dict[str, Any]:
        """The inputs with one file changed, added or (None) gone."""
        kept = [entry for entry in self.first.inputs[context] if entry.path != path]
        new = [] if text is None else [file(path, text)]
        files = tuple(sorted([*kept, *new], key=lambda entry: entry.path))
        return {**self.first.inputs, context: files}

    def run(self, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["rebake", "history", *words])
        code: object = 0
        self.capsys.readouterr()
        try:
            main()
        except SystemExit as error:
            code = error.code or 0
        assert isinstance(code, int)
        return code, *self.capsys.readouterr()

    def causes(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        """The causes, the oldest build's first."""
        code, out, err = self.run(monkeypatch, "--json")
        assert code == 0, err
        return [build["cause"] for build in reversed(json.loads(out)["builds"])]


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shop:
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    one = Shop(tmp_path, capsys)
    monkeypatch.chdir(one.root)
    return one


@pytest.mark.parametrize(
    ("change", "kind", "named"),
    [
        ({"inputs": ("backend", "crates/api/src/main.rs", "22")}, "file",
         ("backend/crates/api/src/main.rs", "")),
        ({"inputs": ("ui", "src/new.tsx", "x")}, "file", ("ui/src/new.tsx", "new")),
        ({"inputs": ("backend", "Cargo.lock", None)}, "file", ("backend/Cargo.lock", "gone")),
        ({"inputs": ("recipe", "docker/docker-bake.hcl", "2")}, "file",
         ("docker/docker-bake.hcl", "")),
        ({"arguments": {"RUST_IMAGE": "rust:2", "BACKEND_BUILD_ID": "y"}}, "argument",
         ("RUST_IMAGE", "rust:1 → rust:2")),
        ({"base_images": {"rust:1": "sha256:b"}}, "base-image", ("rust:1", "sha256:a → sha256:b")),
        # Another base image is why a step gets a network again; that is no cause of its own.
        ({"base_images": {"rust:1": "sha256:b"},
          "arguments": {"RUST_IMAGE": "rust:1", "BACKEND_NETWORK": "online"}}, "base-image",
         ("rust:1", "sha256:a → sha256:b")),
        ({"engine": {"engine": "29.0.0"}}, "setting", ("engine", "28.5.2 → 29.0.0")),
        ({"arguments": {"RUST_IMAGE": "rust:1", "REBUILD": "17"}}, "asked", ("", "")),
        ({"skipped": "nothing changed"}, "nothing-changed", ("", "")),
        ({}, "unknown", ("", "")),
    ],
)  # fmt: skip
def test_what_a_build_was_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], kind: str,
    named: tuple[str, str],
) -> None:  # fmt: skip
    shop.built()
    if "inputs" in change:
        change = {"inputs": shop.edited(*change["inputs"])}
    shop.built(**change)
    first, second = shop.causes(monkeypatch)
    assert first["kind"] == "first-build"
    assert second == {"kind": kind, "name": named[0], "detail": named[1], "more": 0}


def test_a_source_comes_before_its_lock_file_and_the_recipe(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.built()
    inputs = {
        "backend": (file("Cargo.lock", "2"), file("crates/api/src/main.rs", "2")),
        "ui": shop.first.inputs["ui"],
        "recipe": (file("docker/docker-bake.hcl", "2"),),
    }
    shop.built(inputs=inputs)
    assert shop.causes(monkeypatch)[1] == {
        "kind": "file", "name": "backend/crates/api/src/main.rs", "detail": "", "more": 2,
    }  # fmt: skip


def test_a_build_after_a_failed_one(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.built(outcome="failed")
    shop.built()
    assert shop.causes(monkeypatch)[1]["kind"] == "retry"
    assert Cause("retry", "failed").words == "once more: the build before failed"


def test_builds_of_other_services_and_modes_and_projects_are_told_apart(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = {name: shop.first.inputs[name] for name in ("backend", "recipe")}
    shop.built()
    shop.built(project="other", inputs={"backend": (file("x", "x"),)})
    shop.built(targets=("api",), inputs=backend)  # the UI's files are not "gone"
    shop.built(mode="dev", targets=("ui-dev",))
    shop.built(inputs=shop.edited("ui", "src/app.tsx", "2"))
    kinds = [(cause["kind"], cause["name"]) for cause in shop.causes(monkeypatch)]
    assert kinds == [
        ("first-build", ""), ("unknown", ""), ("first-build", ""), ("file", "ui/src/app.tsx"),
    ]  # fmt: skip


def test_the_build_before_is_found_however_long_ago(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.built()
    for _ in range(60):
        shop.built(mode="dev", targets=("ui-dev",), steps=(), inputs={})
    shop.built(inputs=shop.edited("ui", "src/app.tsx", "2"))
    code, out, _ = shop.run(monkeypatch, "--json", "--limit", "1")
    document = json.loads(out)
    assert (code, document["total"], document["shown"]) == (0, 62, 1)
    assert document["builds"][0]["cause"]["name"] == "ui/src/app.tsx"


def test_the_table(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = shop.run(monkeypatch)
    assert (code, out) == (0, "no build of this project is recorded yet; invoke build makes one\n")
    shop.built()
    shop.built(inputs=shop.edited("ui", "src/app.tsx", "2"))
    shop.built(skipped="nothing changed", steps=())
    code, out, err = shop.run(monkeypatch, "--limit", "2")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["build", "when", "mode", "outcome", "took", "cached", "targets", "cause"]
    assert lines[1][0] == "3"
    assert " ".join(lines[1]).endswith("skipped 31.0 s api, ui nothing changed")
    assert " ".join(lines[2]).endswith("done 31.0 s 50% of 4 api, ui ui/src/app.tsx")
    assert "2 of 3 builds; --limit shows more" in err


def test_two_builds_compared(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.built()
    slow = tuple(replace(s, ended_s=(s.started_s or 0) + 9, cached=False) for s in shop.first.steps)
    shop.built(
        inputs=shop.edited("ui", "src/app.tsx", "22"), steps=slow[2:], seconds=4.0,
        arguments={"RUST_IMAGE": "rust:2", "BACKEND_BUILD_ID": "y"},
    )  # fmt: skip
    code, out, err = shop.run(monkeypatch, "--compare", "1", "2", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["before"]["id"], document["after"]["id"]) == (1, 2)
    assert document["files"] == [
        {"context": "ui", "path": "src/app.tsx", "before_bytes": 1, "after_bytes": 2}
    ]
    assert {"kind": "argument", "name": "RUST_IMAGE", "before": "rust:1", "after": "rust:2"} in (
        document["values"]
    )
    third = next(step for step in document["steps"] if step["name"] == "[build 3/4] RUN 3")
    assert (third["before_s"], third["after_s"], third["after_cached"]) == (0.5, 9.0, False)
    gone = next(step for step in document["steps"] if step["name"] == "[build 1/4] RUN 1")
    assert (gone["before_cached"], gone["after_s"]) == (True, None)
    assert document["images"] == [
        {"service": "api", "before_bytes": 9_000_000, "after_bytes": 9_000_000, "same": True}
    ]
    for words in ((), ("2",), ("2", "1")):  # the last two; one and that before it; in any order
        code, out, _ = shop.run(monkeypatch, "--compare", *words)
        assert code == 0
        assert out.splitlines()[0].split() == ["build", "1", "build", "2"]
        assert "ui/src/app.tsx" in out
        assert "rust:1 → rust:2" in out
        assert "BACKEND_BUILD_ID" not in out  # it follows from the files


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--compare", "1", "9"), "this project has no build 9"),
        (("--compare", "1", "2", "3"), "--compare takes two builds, not 3"),
        (("--compare", "x"), "--compare 'x' is not a whole number"),
        (("--compare", "1"), "build 1 is the first of its mode"),
        (("--compare", "2"), "this project has no build 2"),
        (("1",), "history takes no words: 1"),
        (("--limit", "0"), "--limit 0: at least 1"),
    ],
)
def test_bad_words(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    shop.built()
    shop.built(project="other")
    code, out, err = shop.run(monkeypatch, *words)
    assert (code, out) == (2, "")
    assert says in err
