"""The task `why`, on histories of a temporary state folder: words, documents, and its speed."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.build import evidence
from rebake.build.inputs import read_inputs
from rebake.build.plan import plan_build
from rebake.cli import main
from rebake.explain.model import Cause, ExplainedBuild, ExplainedStep
from rebake.history.evidence import BakeTarget, Evidence, Removal
from rebake.history.records import BuildRecord, ImageRecord, StepRecord
from rebake.history.store import History
from rebake.results import StepUsage
from rebake.tasks import why_flow, why_words
from rebake.tasks.session import Session
from unit.explain.sides import ARGUMENTS, FILES

RUN = "RUN --mount=type=bind,target=/src     compile"
LIB = "backend/crates/core/src/lib.rs"
WEB = {
    "backend/crates/worker/Cargo.toml": '[package]\nname = "worker"\n',
    "backend/crates/worker/src/main.rs": "fn main() {}\n",
    "ui/package.json": "{}\n",
    "docker/docker-bake.hcl": 'variable "RUST_IMAGE" {}\n',
}


class Shop:
    """A project, and builds of it as the history would hold them."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.root, self.state = folder / "a b,ü", folder / "state"
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.write("rebake.toml", '[project]\nname = "shop"\n')
        for name, text in {**FILES, **WEB}.items():
            self.write(name, text)
        monkeypatch.setenv("REBAKE_STATE_HOME", str(self.state))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/no.sock")
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)

    @property
    def file(self) -> Path:
        return self.state / "history.sqlite3"

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def session(self) -> Session:
        return Session("why", folder=self.root, progress="quiet")

    def build(self, *ran: str, services: tuple[str, ...] = ("api",), **rest: object) -> int:
        """Record a build of the files as they are, in which the steps `ran` ran."""
        with self.session() as session, History(self.file) as store:
            project = session.project
            plan = plan_build(project, "prod", services, session.host_settings)
            inputs = read_inputs(plan)
            settings = evidence.settings_of(project, plan, store.key, "unix://a", {})
            key, _ = evidence.known_targets(project, plan, store)
            tools = {"tools": "docker/tools"}
            target = BakeTarget("backend", "Dockerfile", "prod", ARGUMENTS, tools)
            kept = Evidence(
                settings={**settings, evidence.KEY: key},
                targets={
                    s: replace(target, arguments={**ARGUMENTS, "SERVICE": s}) for s in services
                },
                mounts=None,
                crates=("core@0.1.0", "api@0.1.0") if ran else None,
                facts=evidence.facts_of(evidence.located(plan, inputs), store.key),
            )
            values: dict[str, object] = {
                "project": project.cache_id, "worktree": str(self.root), "mode": "prod",
                "targets": services, "started_at": time.time(), "seconds": 3.0, "outcome": "done",
                "steps": tuple(
                    StepRecord(
                        f"d{n}", f"[{label}] {text}", kind, label.split(" ")[0], "",
                        float(n), n + 0.5, cached=label not in ran,
                        usage=StepUsage(crates_compiled=2) if kind == "run" else None,
                    )
                    for n, (label, kind, text) in enumerate(
                        (
                            ("rust 2/2", "run", "RUN /tools/packages"),
                            ("seed-none 1/1", "meta", "WORKDIR /target"),
                            ("build 1/1", "run", RUN),
                            ("prod 1/1", "copy", "COPY /out/api /bin/service"),
                        )
                    )
                ),
                "images": tuple(
                    ImageRecord(s, f"{project.name}-{s}:prod", "sha256:1", 1, "id")
                    for s in services
                ),
                "inputs": inputs,
                "arguments": {"BACKEND_BUILD_ID": str(time.time_ns()), "SEED": "none"},
                "base_images": {"rust:1": "sha256:" + "1" * 64},
                "evidence": kept,
            }  # fmt: skip
            return store.record(BuildRecord(**(values | rest)))  # type: ignore[arg-type]

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run `rebake why` with these words, in this process."""
        code = 0
        self._capsys.readouterr()
        self._monkeypatch.chdir(self.root)
        self._monkeypatch.setattr("sys.argv", ["rebake", "why", *words])
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
        return code, *self._capsys.readouterr()

    def document(self, *words: str) -> dict[str, object]:
        """The only build of the document."""
        code, out, err = self.run(*words, "--json")
        assert code == 0, err
        (found,) = json.loads(out)["builds"]
        return found  # type: ignore[no-any-return]


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shop:
    return Shop(tmp_path, monkeypatch, capsys)


def edit(shop: Shop) -> None:
    shop.write(LIB, FILES[LIB].replace("two()", "three()"))


def test_the_words(shop: Shop) -> None:
    shop.build("rust 2/2", "seed-none 1/1", "build 1/1", "prod 1/1")
    edit(shop)
    shop.build("build 1/1", "prod 1/1")
    code, out, err = shop.run()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "build 2 of api: 2 of 4 steps ran, 3.0 s",
        "  build 1/1 RUN compile  0.5 s",
        f"      {LIB} (+1 -1)",
        "  prod 1/1 COPY /out/api /bin/service  0.5 s",
        f"      follows from build 1/1: {LIB} (+1 -1)",
        "  cargo compiled 2 packages:",
        f"      core: {LIB} (+1 -1) → api",
    ]


def test_the_document(shop: Shop) -> None:
    shop.build("rust 2/2", "build 1/1")
    edit(shop)
    shop.build("build 1/1")
    found = shop.document("api")
    file = {"kind": "file", "name": LIB, "detail": "+1 -1"}
    assert (found["service"], found["build"], found["compared_with"]) == ("api", 2, 1)
    assert found["cause"] == file
    assert found["changes"] == [file]
    steps = {step["name"]: step for step in found["steps"]}  # type: ignore[attr-defined]
    assert steps["build 1/1 RUN compile"] == {
        "name": "build 1/1 RUN compile", "ran": True, "seconds": 0.5, "cause": file, "also": [],
        "place": "backend/Dockerfile:20", "attempt": 1, "error": "",
    }  # fmt: skip
    assert steps["rust 2/2 RUN /tools/packages"]["cause"] is None
    assert found["crates"] == [
        {"name": "core", "version": "0.1.0", "reason": f"{LIB} (+1 -1)"},
        {"name": "api", "version": "0.1.0", "reason": "core changed"},
    ]


def test_the_first_build_and_one_of_many(shop: Shop) -> None:
    shop.build("build 1/1")
    edit(shop)
    shop.build("build 1/1")
    first = shop.document("--build", "1")
    assert first["cause"]["kind"] == "first-build"  # type: ignore[index]
    assert first["compared_with"] is None
    code, _, err = shop.run("--build", "9")
    assert (code, "--build 9: this project has no such build" in err) == (2, True)
    code, _, err = shop.run("--build", "2", "worker")
    assert (code, "build 2 was not one of worker" in err) == (2, True)
    code, _, err = shop.run("--build", "two")
    assert (code, "is not a whole number" in err) == (2, True)
    code, _, err = shop.run("wroker")
    assert (code, "did you mean worker?" in err) == (2, True)


def test_a_build_that_was_skipped(shop: Shop) -> None:
    shop.build("build 1/1")
    shop.build(skipped="nothing changed: all files are those of the images", steps=())
    code, out, _ = shop.run()
    assert (code, out.splitlines()) == (
        0,
        ["build 2 of api: nothing ran", "  nothing changed: all files are those of the images"],
    )
    assert shop.document()["steps"] == []


def test_a_build_that_left_an_image_as_it_was(shop: Shop) -> None:
    """It is of all services, though one of them alone was baked."""
    shop.build("build 1/1", services=("api", "worker"))
    edit(shop)
    shop.build("build 1/1", services=("api", "worker"), targets=("api",))
    code, out, _ = shop.run("worker")
    left = "its image was left as it is: no change reached it"
    assert (code, out.splitlines()) == (0, ["build 2 of worker: nothing ran", f"  {left}"])
    code, out, _ = shop.run()
    assert out.splitlines()[0].startswith("build 2 of api: 1 of 4 steps ran")
    assert "build 2 of worker: nothing ran" in out.splitlines()
    found = shop.document("worker")
    assert (found["skipped"], found["steps"]) == (left, [])
    shop.build("build 1/1")  # of another service alone
    assert shop.document("worker")["build"] == 1


def test_a_lost_layer_and_who_removed_it(shop: Shop) -> None:
    shop.build("build 1/1")
    edit(shop)
    shop.build("build 1/1")
    with History(shop.file) as store, shop.session() as session:
        project = session.project.cache_id
        by = "invoke refresh-cache clean build"
        store.note_removal(project, Removal(time.time(), by, ("layers",)))
    shop.build("build 1/1")
    cause = shop.document()["cause"]
    assert cause == {
        "kind": "cache-gone", "name": "the cached layer of build 1/1",
        "detail": "removed by invoke refresh-cache clean build",
    }  # fmt: skip


def test_an_edit_that_was_taken_back_is_not_the_cause(shop: Shop) -> None:
    shop.build("build 1/1")
    edit(shop)
    shop.build("build 1/1")
    shop.write(LIB, FILES[LIB])
    shop.build("build 1/1")
    steps = {s["name"]: s for s in shop.document()["steps"]}  # type: ignore[attr-defined]
    assert steps["build 1/1 RUN compile"]["cause"]["kind"] == "cache-gone"


def test_a_build_from_before_causes_were_kept(shop: Shop) -> None:
    shop.build("build 1/1", evidence=None)
    edit(shop)
    shop.build("build 1/1", evidence=None)
    found = shop.document()
    assert found["cause"] == {"kind": "file", "name": LIB, "detail": "32 → 34 bytes"}
    (ran,) = [step for step in found["steps"] if step["ran"]]  # type: ignore[attr-defined]
    assert ran["cause"]["name"] == LIB


def test_the_first_build_for_which_causes_are_kept(shop: Shop) -> None:
    shop.build("build 1/1", evidence=None)
    edit(shop)
    shop.build("build 1/1")
    steps = {s["name"]: s for s in shop.document()["steps"]}  # type: ignore[attr-defined]
    cause = {"kind": "file", "name": LIB, "detail": "32 → 34 bytes"}
    assert steps["build 1/1 RUN compile"]["cause"] == cause
    assert steps["build 1/1 RUN compile"]["also"] == []


def test_nothing_is_recorded(shop: Shop) -> None:
    code, out, err = shop.run()
    assert (code, out) == (0, "")
    assert "no build is recorded yet" in err
    assert not shop.file.exists()
    shop.build("build 1/1")
    code, out, err = shop.run("worker")
    assert (code, out) == (0, "")
    assert "no build of worker is recorded here yet" in err
    assert json.loads(shop.run("worker", "--json")[1]) == {"schema_version": 1, "builds": []}


def test_the_next_build_without_an_engine(shop: Shop) -> None:
    shop.build("build 1/1", "prod 1/1")
    assert "nothing changed" in shop.document("--next", "api")["skipped"]  # type: ignore[operator]
    edit(shop)
    found = shop.document("--next", "api")
    assert (found["build"], found["outcome"], found["compared_with"]) == (None, "next", 1)
    ran = {s["name"]: s for s in found["steps"] if s["ran"]}  # type: ignore[attr-defined]
    assert list(ran) == ["build 1/1 RUN compile", "prod 1/1 COPY /out/api /bin/service"]
    assert ran["build 1/1 RUN compile"]["seconds"] == 0.5
    assert found["seconds"] == pytest.approx(3.0)
    names = [crate["name"] for crate in found["crates"]]  # type: ignore[attr-defined]
    assert names == ["api", "core"]
    code, out, _ = shop.run("--next", "api")
    assert code == 0
    assert out.splitlines()[0] == "next build of api: 2 of 4 steps would run, about 3.0 s"
    first = shop.document("--next", "worker")
    assert first["cause"]["kind"] == "first-build"  # type: ignore[index]


def test_a_build_that_had_to_be_warm(shop: Shop) -> None:
    from rebake.errors import NotWarm

    shop.build("build 1/1")
    edit(shop)
    shop.build("build 1/1")
    ran = {"caches": {"layers": {"hits": 3, "misses": 1}}}
    with shop.session() as session, pytest.raises(NotWarm) as caught:
        why_flow.require_warm(session, ("api",), "prod", ran)
    assert f"      {LIB} (+1 -1)" in caught.value.details
    assert caught.value.exit_code == 1
    with shop.session() as session:
        for warm in ({"caches": {"layers": {"hits": 4, "misses": 0}}}, {"skipped": "nothing"}):
            why_flow.require_warm(session, ("api",), "prod", warm)


def test_a_build_that_is_in_no_history_is_not_taken_for_warm(shop: Shop) -> None:
    from rebake.errors import NotWarm

    ran = {"caches": {"layers": {"hits": 3, "misses": 1}}}
    with shop.session() as session, pytest.raises(NotWarm) as caught:
        why_flow.require_warm(session, ("api",), "prod", ran)
    assert caught.value.details == ["1 of its steps ran; the history does not tell why"]


def many(path: Path, count: int) -> None:
    """Copy the last build until there are `count`, each with a root of its own."""
    with sqlite3.connect(path) as db:
        (last,) = db.execute("SELECT max(id) FROM builds").fetchone()
        numbers = f"WITH RECURSIVE n(i) AS (SELECT {last} + 1 UNION ALL SELECT i + 1 FROM n"
        numbers += f" WHERE i < {count})"
        for table, key, others in (
            ("builds", "id", {"inputs": "randomblob(32)"}),
            ("steps", "build_id", {}),
            ("step_usage", "build_id", {}),
            ("images", "build_id", {}),
            ("evidence", "build_id", {}),
        ):
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            values = ["i" if c == key else others.get(c, c) for c in columns]
            db.execute(
                f"INSERT INTO {table}({', '.join(columns)}) {numbers}"
                f" SELECT {', '.join(values)} FROM n, {table} WHERE {key} = {last}"
            )
    db.close()


def test_ten_thousand_builds_are_no_burden(shop: Shop) -> None:
    shop.build("build 1/1")
    many(shop.file, 9_998)
    shop.build("build 1/1")
    edit(shop)
    shop.build("build 1/1")
    shop.write("docker/tools/packages", "a step that did not run in any of them\n")
    for words in ((), ("api",), ("--next", "api")):
        began = time.process_time()  # not the clock: other tests run beside this one
        found = shop.document(*words)
        assert time.process_time() - began < 1.0, words
        assert found["service"] == "api"
    assert shop.document("api")["compared_with"] == 9_999


def test_what_follows_from_a_cause_that_is_told_is_not_told_again() -> None:
    edit_of, lost = Cause("file", "a", "+1 -0"), Cause("cache-gone", "the cache mount x")
    step = ExplainedStep(
        "build 1/1 RUN make",
        ran=True,
        seconds=1.0,
        cause=lost,
        also=(edit_of, Cause("previous-step", "deps 1/1", lost.text)),
    )
    build = ExplainedBuild("api", 2, 1, "done", changes=(lost,), steps=(step,), seconds=2.0)
    assert why_words.lines([build]) == [
        "build 2 of api: 1 of 1 steps ran, 2.0 s",
        "  build 1/1 RUN make  1.0 s",
        "      the cache mount x is gone",
        "      a (+1 -0)",
    ]
