"""A bake that starts before it is known what it shall make."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.build.bake import Early, bake
from rebake.build.plan import (
    EXPORTS,
    PLANNED,
    BuildPlan,
    RemoteCache,
    Scope,
    early_variables,
    early_words,
    late_definition,
    plan_build,
)
from rebake.engine.endpoint import Endpoint
from rebake.project.project import open_project

PROGRAM = """\
    #!{python}
    import json, os, sys
    words = sys.argv[1:]
    told = sys.stdin.read() if "-" in words else None
    facts = dict(words=words, told=told, env=dict(os.environ))
    with open(os.path.dirname(os.path.abspath(__file__)) + "/calls", "a") as file:
        file.write(json.dumps(facts) + "\\n")
    digests = dict(api={{"containerimage.digest": "sha256:new"}})
    with open(words[words.index("--metadata-file") + 1], "w") as file:
        json.dump(digests, file)
"""


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        toml = '[project]\nname = "shop"\n[backend]\nservices = ["api", "worker"]\n'
        (folder / "rebake.toml").write_text(toml)
        program = folder / "docker.py"
        program.write_text(textwrap.dedent(PROGRAM).format(python=sys.executable))
        program.chmod(0o755)
        self.endpoint = Endpoint("host-env", "ssh://nowhere", program)
        self.first = self.plan("api", "worker")
        # As it is when the files were read.
        self.ready = replace(
            self.first.seeded("none", "the mount", refuse_empty=True),
            images=self.first.images[:1],
            build_ids={"backend": "0123456789abcdef"},
            service_ids={"api": "f" * 16},
            scopes={"api": Scope(("crates/web",))},
            networks={"backend": "offline"},
        )

    def plan(self, *services: str, **options: bool) -> BuildPlan:
        return plan_build(
            open_project(self.folder), "prod", services, self.folder / "settings", **options
        )

    def bake(self, first: BuildPlan, ready: BuildPlan) -> list[dict[str, object]]:
        with Early(first, self.endpoint) as early:
            result = bake(ready, self.endpoint, lambda _event: None, early)
        assert result.digests == {"api": "sha256:new"}
        lines = (self.folder / "calls").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_words_name_no_target_but_the_one_that_comes(bench: Bench) -> None:
    assert early_words(bench.first, Path("m.json")) == (
        "buildx", "bake",
        "--file", str(bench.folder / "docker" / "docker-bake.hcl"),
        "--file", "-",
        "--progress", "rawjson",
        "--metadata-file", "m.json",
        "--allow", f"fs.read={bench.folder / 'settings'}",
        "--set", f"api.output={EXPORTS['none']}",
        "--set", f"worker.output={EXPORTS['none']}",
        PLANNED,
    )  # fmt: skip


def test_what_comes_late_is_told_as_a_bake_file(bench: Bench) -> None:
    assert late_definition(bench.ready) == textwrap.dedent("""\
        variable "BACKEND_BUILD_ID" { default = "0123456789abcdef" }
        variable "BACKEND_NETWORK" { default = "offline" }
        variable "SERVICE_BUILD_IDS" { default = "api=ffffffffffffffff:crates/web" }
        group "rebake-planned" { targets = ["api"] }
    """)


def test_a_name_of_a_folder_is_a_text_and_no_template(bench: Bench) -> None:
    folder = Path('/srv/a "b" ${c} %{d}\\e ü')
    plan = replace(bench.ready, contexts={"backend": folder}, networks={})
    line = 'variable "REBAKE_BACKEND_CONTEXT" { default = '
    line += '"/srv/a \\"b\\" $${c} %%{d}\\\\e ü" }'
    assert line in late_definition(plan).splitlines()


def test_the_users_own_variables_do_not_stand_for_what_comes_late(bench: Bench) -> None:
    found = early_variables(bench.first)
    assert found["CACHE_ID"] == open_project(bench.folder).cache_id
    assert found["BACKEND_BUILD_ID"] is None
    assert found["REBAKE_UI_CONTEXT"] is None
    assert found.keys() >= {n for n in bench.ready.all_variables if n != "REBAKE_EMPTY_MOUNT"}


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a script with a #! line")
def test_the_usual_build_is_told_to_the_one_that_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKEND_BUILD_ID", "somebody's")
    (call,) = bench.bake(bench.first, bench.ready)
    assert call["told"] == late_definition(bench.ready)
    environment = call["env"]
    assert isinstance(environment, dict)
    assert "BACKEND_BUILD_ID" not in environment
    assert environment["REBAKE_EMPTY_MOUNT"] == "refuse"
    assert environment["SEED"] == "none"


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a script with a #! line")
@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan.seeded("none", "nothing to fill it from"),
        lambda plan: plan.seeded("deps", "the mount is gone"),
        lambda plan: replace(plan, no_cache=True),
        lambda plan: replace(plan, remote=RemoteCache("registry.example/shop")),
        lambda plan: replace(plan, variables={**plan.variables, "RUST_IMAGE": "rust:2"}),
        lambda plan: replace(plan, export=EXPORTS["zstd"]),
        lambda plan: replace(plan, secrets={"token": "TOKEN"}),
    ],
)
def test_any_other_build_starts_its_own(bench: Bench, change) -> None:
    plan = change(bench.ready)
    (call,) = bench.bake(bench.first, plan)
    assert call["told"] is None
    words = call["words"]
    assert isinstance(words, list)
    assert words[-1] == "api"


@pytest.mark.parametrize("how", [{"no_cache": True}, {"again": "now"}])
def test_what_is_forced_begins_nothing(bench: Bench, how: dict[str, bool]) -> None:
    with Early(bench.plan("api", **how), bench.endpoint) as early:
        assert not early.fits(bench.ready)
    assert not (bench.folder / "calls").exists()


def test_an_image_that_was_not_asked_for_does_not_fit(bench: Bench) -> None:
    with Early(bench.plan("worker"), bench.endpoint) as early:
        assert not early.fits(bench.ready)


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a script with a #! line")
def test_one_that_is_not_needed_leaves_nothing(bench: Bench) -> None:
    with Early(bench.first, bench.endpoint) as early:
        folder = early.metadata.parent
        assert folder.is_dir()
        early.drop()
    assert not folder.exists()
    assert not (bench.folder / "calls").exists()
