"""A build through a faked docker program: the gate, the record, and failures."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.build import run as build_run
from rebake.build import targets
from rebake.build.gate import LABEL
from rebake.build.inputs import build_id, read_inputs
from rebake.build.plan import plan_build
from rebake.build.progress_state import BuildProgress
from rebake.build.run import Surroundings, build_images
from rebake.build.upkeep import Upkeep
from rebake.engine.client import ImageInfo
from rebake.engine.endpoint import Endpoint
from rebake.errors import BuildFailed, WrongImage
from rebake.history.evidence import BakeTarget
from rebake.history.records import LayerRecord
from rebake.history.store import History
from rebake.project.project import Project, open_project
from rebake.results import IN_DOUBT, StepUsage

if sys.platform == "win32":
    pytest.skip("the fake program is a script with a #! line", allow_module_level=True)

# The client is started hundreds of times, mostly for questions that a shell answers sooner.
FAKE = """\
    #!/bin/sh
    folder=${{0%/*}}
    # In one write: two that run at once would mix their lines.
    line=; for word; do line="$line$word\037"; done
    printf '%s\\n' "$line" >> "$folder/calls"
    for last; do :; done
    case "$last $* " in
    "backend-deps "*) ;;
    *" --print "*)
        [ ! -e "$folder/slow" ] || sleep 20
        args='"args": {{"EXPECTED_BUILD_ID": "'$BACKEND_BUILD_ID'", "A": "1"}}'
        target='"context": "backend", "dockerfile": "Dockerfile", "target": "prod"'
        echo "{{\\"target\\": {{\\"api\\": {{$target, $args}}}}}}";;
    *" bake "*) exec "{python}" -IS "$folder/bake.py" "$@";;
    *" --version "*)
        while IFS= read -r line; do resent=$line; done < "$folder/contexts"
        if [ -n "$resent" ] && [ -e "$folder/told-when-sent-again" ]; then
            cat "$folder/told-when-sent-again"
        else
            cat "$folder/told"
        fi;;
    *" history "*) echo '{{"CreatedBy": "COPY api", "Size": "7"}}';;
    *" inspect "*) echo '{{"RootFS": {{"Layers": ["sha256:layer"]}}}}';;
    esac
"""
BAKE = """\
    import json, os, sys
    from binascii import b2a_base64
    folder = os.path.dirname(os.path.abspath(__file__)) + "/"
    words = sys.argv[1:]
    def read(name):
        with open(folder + name) as file:
            return file.read()
    def add(name, text):
        with open(folder + name, "a") as file:
            file.write(text + "\\n")
    add("contexts", os.environ.get("REBAKE_BACKEND_CONTEXT", ""))
    told = {k: os.environ[k] for k in ("BACKEND_BUILD_ID", "SEED")}
    add("seeds", told["SEED"])
    add("networks", os.environ["BACKEND_NETWORK"])
    with open(folder + "environment", "w") as file:
        json.dump(told, file)
    with open(words[words.index("--metadata-file") + 1], "w") as file:
        json.dump({"api": {"containerimage.digest": "sha256:new"}}, file)
    step = dict(digest="sha256:" + "a" * 64, name="[build 1/1] RUN cargo build")
    told = b'rebake-crates api@0.1.0 core@0.1.0\\n'
    told += b'rebake-usage {"cpu_s":1.5,"crates_compiled":1,"crates_reused":7}\\n'
    when = "2026-01-01T00:00:00Z"
    for item in (
        dict(vertexes=[dict(step, started=when)]),
        dict(logs=[dict(vertex=step["digest"], data=b2a_base64(told, newline=False).decode())]),
        dict(vertexes=[dict(step, started=when, completed=when)]),
    ):
        print(json.dumps(item), file=sys.stderr)
    code = int(read("code"))
    if code == 66:
        if not os.environ.get("REBAKE_EMPTY_MOUNT"):
            sys.exit(0)
        vertex = {
            "digest": "sha256:3", "name": "[api build 1/1] RUN build-workspace",
            "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z",
            "error": 'process "/bin/sh -c x" did not complete successfully: exit code: 66',
        }
        print(json.dumps({"vertexes": [vertex]}), file=sys.stderr)
        sys.exit(1)
    if code == 67:
        if os.environ["BACKEND_NETWORK"] == "online":
            sys.exit(0)
        vertex = {
            "digest": "sha256:4", "name": "[api build-offline 1/1] RUN build-workspace",
            "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z",
            "error": 'process "/bin/sh -c x" did not complete successfully: exit code: 67',
        }
        print(json.dumps({"vertexes": [vertex]}), file=sys.stderr)
        sys.exit(1)
    if code == 101:
        if os.environ["SEED"] == "none":
            sys.exit(0)
        vertex = {
            "digest": "sha256:2", "name": "[api deps 1/1] RUN compile-dependencies",
            "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z",
            "error": 'process "/bin/sh -c x" did not complete successfully: exit code: 101',
        }
        print(json.dumps({"vertexes": [vertex]}), file=sys.stderr)
        sys.exit(1)
    if code in (2, 3):
        if code == 2 and os.path.exists(folder + "lost"):
            sys.exit(0)
        add("lost", "a layer")
        lost = 'failed to prepare extraction snapshot "extract-1 sha256:a": parent snapshot '
        vertex = {
            "digest": "sha256:5", "name": "[api] exporting to image",
            "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z",
            "error": lost + "sha256:b does not exist: not found",
        }
        print(json.dumps({"vertexes": [vertex]}), file=sys.stderr)
        sys.exit(1)
    if code == 65 and not os.environ.get("REBAKE_BACKEND_CONTEXT"):
        vertex = {
            "digest": "sha256:1", "name": "[build 2/2] RUN build-workspace",
            "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z",
            "error": 'process "/bin/sh -c x" did not complete successfully: exit code: 65',
        }
        print(json.dumps({"vertexes": [vertex]}), file=sys.stderr)
        sys.exit(1)
    if code and code != 65:
        print("ERROR: failed to solve: nothing works", file=sys.stderr)
    sys.exit(code if code != 65 else 0)
"""


MANIFEST = '[package]\nname = "api"\n[[bin]]\nname = "api"\npath = "main.rs"\n'


class Client:
    """Images by reference, before and after the build."""

    def __init__(self) -> None:
        self.ids = ["old", "new"]
        self.removed: list[str] = []
        self.label = ""
        self.others: dict[str, str] = {}

    def image(self, ref: str) -> ImageInfo | None:
        if not ref.endswith("-api:prod"):
            other = self.others.get(ref)
            return None if other is None else ImageInfo(id=other, digest=other, bytes=1)
        found = self.ids[0] if len(self.ids) == 1 else self.ids.pop(0)
        return ImageInfo(id=found, digest=f"sha256:{found}", bytes=7, labels={LABEL: self.label})

    def remove_image(self, ref: str, *, force: bool = False) -> bool:
        self.removed.append(ref)
        return force


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = '[project]\nname = "shop"\n[backend]\nservices = ["api"]\n'
        (folder / "rebake.toml").write_text(settings)
        (folder / "backend").mkdir()
        (folder / "backend" / "Cargo.toml").write_text(MANIFEST)
        (folder / "backend" / "main.rs").write_text("fn main() {}\n")
        (folder / "backend" / "Dockerfile").write_text("FROM rust:1 AS prod\n")
        (folder / "docker" / "tools").mkdir(parents=True)
        (folder / "docker" / "docker-bake.hcl").write_text("")
        (folder / "bake.py").write_text(textwrap.dedent(BAKE))
        program = folder / "docker.sh"
        program.write_text(textwrap.dedent(FAKE).format(python=sys.executable))
        program.chmod(0o755)
        self.project: Project = open_project(folder)
        self.client = Client()
        self.surroundings = Surroundings(base_images={"rust:1": "a"})
        self.replan()
        self.history = folder / "history.sqlite3"
        (folder / "code").write_text("0")

    def replan(self, again: str = "") -> None:
        """What a build now would be: the fake binary tells what a real one would."""
        settings = self.folder / "settings"
        self.plan = plan_build(self.project, "prod", ("api",), settings, again=again)
        self.id = build_id(read_inputs(self.plan)["backend"])
        (self.folder / "told").write_text(f"api 0.1.0 (build {self.id})")

    def build(self):
        return build_images(
            self.project,
            self.plan,
            self.client,  # type: ignore[arg-type]
            # An address that is asked through the client, so that no socket is needed.
            Endpoint("host-env", "ssh://nowhere", self.folder / "docker.sh"),
            on_event=lambda _event: None,
            say=print,
            history=self.history,
            surroundings=self.surroundings,
        )

    @property
    def contexts(self) -> list[str]:
        """What each bake was given as the backend's folder; empty: the bake file's own."""
        return (self.folder / "contexts").read_text().splitlines()

    @property
    def calls(self) -> list[list[str]]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line.split("\037")[:-1] for line in lines]

    def last(self):
        with History(self.history) as store:
            return store.last(self.project.cache_id, "prod")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    return Bench(tmp_path)


def test_a_good_build_is_recorded(bench: Bench) -> None:
    result = bench.build()
    image = result.images["api"]
    assert (image.digest, image.build_id, image.built) == ("sha256:new", bench.id, True)
    record = bench.last().record
    assert record.outcome == "done"
    assert record.images[0].build_id == bench.id
    assert record.arguments["PROJECT"] == bench.project.name


def test_the_record_holds_the_layers_and_what_the_steps_took(bench: Bench) -> None:
    layers = (LayerRecord("sha256:layer", 7, "COPY api"),)
    result = bench.build()
    assert bench.last().record.images[0].layers == layers
    assert bench.last().record.steps[0].usage == StepUsage(
        cpu_s=1.5, crates_compiled=1, crates_reused=7
    )
    assert result.document()["caches"] == {
        "layers": {"hits": 0, "misses": 1},
        "crates": {"reused": 7, "compiled": 1},
    }


def test_the_record_holds_what_tells_the_causes(bench: Bench) -> None:
    (bench.folder / "docker" / "docker-bake.hcl").write_text('variable "COLOUR" {}\n')
    bench.replan()
    bench.build()
    kept = bench.last().record.evidence
    assert kept.targets == {
        "api": BakeTarget(
            "backend", "Dockerfile", "prod", {"EXPECTED_BUILD_ID": "$BACKEND_BUILD_ID", "A": "1"}
        )
    }
    assert kept.crates == ("api@0.1.0", "core@0.1.0")
    assert kept.settings["backend.path"] == "backend"
    assert sorted(kept.modes["backend"]) == ["*file"]
    assert kept.settings["engine.address"] == "ssh://nowhere"
    with History(bench.history) as store:
        file = store.build(1).record.inputs["backend"][-1]
        assert file.path == "main.rs"
        assert store.facts([file.sha256])[file.sha256].lines is not None


def test_bake_is_asked_for_its_targets_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> int:
        return sum("--print" in words for words in bench.calls)

    (bench.folder / "docker" / "docker-bake.hcl").write_text('variable "COLOUR" {}\n')
    bench.replan()
    bench.build()
    (bench.folder / "backend" / "main.rs").write_text("fn main() { other() }\n")
    bench.replan()
    bench.build()
    assert asked() == 1
    assert bench.last().record.evidence.targets
    monkeypatch.setenv("COLOUR", "red")
    bench.replan(again="now")
    bench.build()
    assert asked() == 2


def test_a_bake_that_does_not_tell_its_targets_breaks_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder / "docker" / "docker-bake.hcl").write_text("")
    (bench.folder / "slow").touch()
    monkeypatch.setattr(targets, "_TIMEOUT_S", 0.1)
    bench.replan()
    assert bench.build().images["api"].built
    assert bench.last().record.evidence.targets == {}


def test_an_image_that_stayed_keeps_its_layers_without_a_question(bench: Bench) -> None:
    bench.build()
    asked = sum("history" in words for words in bench.calls)
    bench.build()
    assert not bench.last().record.images[0].built
    assert bench.last().record.images[0].layers == (LayerRecord("sha256:layer", 7, "COPY api"),)
    assert sum("history" in words for words in bench.calls) == asked == 1


def test_the_gate_asks_the_binary_without_network_or_rights(bench: Bench) -> None:
    bench.build()
    (asked,) = [words for words in bench.calls if "run" in words]
    assert asked == [
        "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
        "--pull", "never", f"{bench.project.name}-api:prod", "--version",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "told", ["api 0.1.0 (build 0000000000000000)", "", "api 0.1.0 (build dev)"]
)
def test_a_wrong_image_is_refused(bench: Bench, told: str) -> None:
    (bench.folder / "told").write_text(told)
    with pytest.raises(WrongImage) as caught:
        bench.build()
    assert caught.value.expected == bench.id
    assert "invoke rebuild api" in str(caught.value)
    assert set(bench.client.removed) == {f"{bench.project.name}-api:prod"}


def test_an_image_whose_build_checked_the_id_is_not_asked(bench: Bench) -> None:
    bench.client.label = bench.id
    bench.build()
    assert not [words for words in bench.calls if "--version" in words]


def test_a_label_of_other_sources_is_no_excuse(bench: Bench) -> None:
    bench.client.label = "0" * 16
    (bench.folder / "told").write_text("api 0.1.0 (build 0000000000000000)")
    with pytest.raises(WrongImage):
        bench.build()


def test_bake_is_told_which_sources_it_must_have(bench: Bench) -> None:
    bench.build()
    assert json.loads((bench.folder / "environment").read_text()) == {
        "BACKEND_BUILD_ID": bench.id,
        "SEED": "none",
    }


def bakes(bench: Bench) -> int:
    return len([words for words in bench.calls if "--metadata-file" in words])


def test_nothing_is_built_when_nothing_changed(bench: Bench) -> None:
    bench.client.ids = ["new"]
    bench.build()
    again = bench.build()
    assert bakes(bench) == 1
    assert again.skipped.startswith("nothing changed")
    assert again.images["api"].build_id == bench.id
    assert again.images["api"].built is False
    record = bench.last().record
    assert record.skipped == again.skipped
    assert record.images[0].layers == (LayerRecord("sha256:layer", 7, "COPY api"),)
    assert "caches" not in again.document()
    assert bench.build().skipped  # after a skip as well
    assert bakes(bench) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda bench: (bench.folder / "backend" / "main.rs").write_text("fn main() { }\n"),
        lambda bench: (bench.folder / "backend" / "new.rs").touch(),
        lambda bench: (bench.folder / "backend" / "main.rs").chmod(0o755),
        lambda bench: (bench.folder / "backend" / "Dockerfile").write_text(
            "FROM rust:1 AS prod\nUSER 1\n"
        ),
        lambda bench: (bench.folder / "docker" / "tools" / "tool").write_text("#!/bin/sh\n"),
        lambda bench: setattr(bench.client, "ids", ["another"]),
        lambda bench: bench.history.unlink(),
        lambda bench: setattr(bench, "surroundings", Surroundings(base_images={"rust:1": "b"})),
        lambda bench: setattr(bench, "surroundings", Surroundings(host_settings="b")),
    ],
)
def test_any_change_is_built(bench: Bench, change) -> None:
    bench.client.ids = ["new"]
    bench.build()
    change(bench)
    bench.replan()
    bench.build()
    assert bakes(bench) == 2


def test_what_is_forced_is_built(bench: Bench) -> None:
    bench.client.ids = ["new"]
    bench.build()
    bench.replan(again="now")
    bench.build()
    assert bakes(bench) == 2


def test_after_a_build_the_dependencies_become_a_layer_once(bench: Bench) -> None:
    def layers() -> int:
        return len([words for words in bench.calls if words[-1] == "backend-deps"])

    bench.build()
    assert layers() == 1
    (bench.folder / "backend" / "main.rs").write_text("fn main() { /* edited */ }\n")
    bench.replan()
    bench.build()
    assert layers() == 1
    (bench.folder / "backend" / "Cargo.lock").write_text("version = 4\n")
    bench.replan()
    bench.build()
    assert layers() == 2


def test_each_bake_s_steps_are_told_for_the_names_of_layers(bench: Bench) -> None:
    told: list[BuildProgress] = []
    bench.surroundings = Surroundings(on_steps=told.append)
    bench.build()
    images, layer = told
    assert layer.records() == ()  # the fake program's has no step
    (step,) = images.records()
    assert None not in {images.started_at, step.started_s, step.ended_s}
    bench.replan(again="now")
    (bench.folder / "code").write_text("1")
    with pytest.raises(BuildFailed):
        bench.build()
    assert len(told) == 3  # what a failed build made is there too


def test_a_lost_mount_is_filled_from_the_layer_by_a_second_bake(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def seeds() -> list[str]:
        return [seed for seed in (bench.folder / "seeds").read_text().split() if seed]

    bench.build()
    assert seeds() == ["none"]
    (bench.folder / "code").write_text("66")  # what a step says that found the mount empty
    (bench.folder / "backend" / "main.rs").write_text("fn main() { /* edited */ }\n")
    bench.replan()
    assert bench.build().images["api"].build_id == bench.id
    assert seeds() == ["none", "none", "deps"]
    told = "the cache mount is gone: filling it from the dependency layer"
    assert told in capsys.readouterr().out


def test_a_lost_mount_without_a_layer_of_these_dependencies(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.build()
    (bench.folder / "code").write_text("66")
    (bench.folder / "backend" / "Cargo.lock").write_text("version = 4\n")
    bench.replan()
    assert bench.build().images["api"].build_id == bench.id
    seeds = (bench.folder / "seeds").read_text().split()
    assert [seed for seed in seeds if seed] == ["none", "none", "none"]
    told = "the cache mount is gone, and there is no dependency layer: compiling everything"
    assert told in capsys.readouterr().out


def test_a_step_has_a_network_only_where_it_may_need_one(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def networks() -> list[str]:
        return (bench.folder / "networks").read_text().split()

    def edit(name: str, text: str) -> None:
        (bench.folder / "backend" / name).write_text(text)
        bench.replan()

    bench.build()
    edit("main.rs", "fn main() { /* edited */ }\n")
    bench.build()
    edit("Cargo.lock", "version = 4\n")
    bench.build()
    assert networks() == ["online", "offline", "online"]
    edit("main.rs", "fn main() { /* once more */ }\n")
    (bench.folder / "code").write_text("67")  # what a step says that wanted one
    assert bench.build().images["api"].build_id == bench.id
    assert networks()[3:] == ["offline", "online"]
    assert "backend: it failed without a network, so once more with one" in capsys.readouterr().out


def test_an_edit_of_the_last_stage_packs_and_compiles_nothing(bench: Bench) -> None:
    backend = bench.folder / "backend"
    (backend / ".dockerignore").write_text("Dockerfile\n")

    def build(last: str, compiles: str = "compile") -> None:
        stages = f"FROM rust:1 AS build\nRUN {compiles}\nFROM scratch AS prod\n"
        (backend / "Dockerfile").write_text(f"{stages}COPY --from=build a b\n{last}\n")
        bench.replan()
        bench.build()

    build("LABEL a=1")
    build("LABEL a=2")
    # As before, or the step that is there would run again; and the layer is not looked at.
    assert (bench.folder / "networks").read_text().split() == ["online", "online"]
    assert [words[-1] for words in bench.calls].count("backend-deps") == 1
    (backend / "main.rs").write_text("fn main() { /* edited */ }\n")
    build("LABEL a=3")
    build("LABEL a=4")
    assert (bench.folder / "networks").read_text().split()[2:] == ["offline", "offline"]
    build("LABEL a=4", "compile otherwise")
    assert (bench.folder / "networks").read_text().split()[4:] == ["online"]
    assert [words[-1] for words in bench.calls].count("backend-deps") == 2


def test_what_a_bake_made_that_was_mended_is_told_as_well(bench: Bench) -> None:
    bench.build()
    told: list[BuildProgress] = []
    bench.surroundings = replace(bench.surroundings, on_steps=told.append)
    (bench.folder / "code").write_text("66")
    (bench.folder / "backend" / "main.rs").write_text("fn main() { /* edited */ }\n")
    bench.replan()
    bench.build()
    assert len(told) == 2
    steps = bench.last().record.steps
    assert [(s.attempt, s.name, bool(s.error)) for s in steps] == [
        (1, "[build 1/1] RUN cargo build", False),
        (1, "[api build 1/1] RUN build-workspace", True),
        (2, "[build 1/1] RUN cargo build", False),
    ]
    with History(bench.history) as store:
        assert store.builds()[0].bakes == 2


def test_a_layer_that_the_engine_lost_while_it_wrote_an_image_is_written_once_more(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.folder / "code").write_text("2")
    assert bench.build().images["api"].build_id == bench.id
    assert (bench.folder / "lost").read_text().split("\n") == ["a layer", ""]
    said = "the engine lost a layer while it wrote an image: once more"
    assert said in capsys.readouterr().out.splitlines()
    (bench.folder / "code").write_text("3")
    (bench.folder / "backend" / "main.rs").write_text("fn main() { /* edited */ }\n")
    bench.replan()
    words = r"^the build failed in exporting to image: failed to prepare extraction snapshot"
    with pytest.raises(BuildFailed, match=words):
        bench.build()
    assert (bench.folder / "lost").read_text().count("a layer") == 3


def test_without_a_layer_an_empty_mount_is_not_refused(bench: Bench) -> None:
    (bench.folder / "code").write_text("66")
    assert bench.build().images["api"].build_id == bench.id
    assert (bench.folder / "seeds").read_text().split() == ["none"]


def test_a_dependency_layer_that_can_not_be_made_is_done_without(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REBAKE_CACHE_REMOTE", "registry.example/shop")
    bench.project = open_project(bench.folder)
    bench.replan()
    (bench.folder / "code").write_text("101")
    assert bench.build().images["api"].build_id == bench.id
    seeds = [words for words in bench.calls if "--metadata-file" in words]
    assert ["registry.example/shop:backend-deps" in " ".join(words) for words in seeds] == [
        True,
        False,
    ]
    assert "the dependency layer could not be made: compiling without it" in capsys.readouterr().out


def layers_made(bench: Bench) -> int:
    # A call beside us may be written by half.
    return sum(words[-1:] == ["backend-deps"] for words in bench.calls)


def later(bench: Bench, what: build_run.Later) -> bool:
    return build_run.do_later(
        what,
        bench.project,
        bench.plan,
        bench.client,  # type: ignore[arg-type]
        Endpoint("host-env", "ssh://nowhere", bench.folder / "docker.sh"),
        on_event=lambda _event: None,
        say=print,
        history=bench.history,
        surroundings=bench.surroundings,
    )


def make_layer(bench: Bench) -> bool:
    return later(bench, "dependency layer")


def test_steps_that_were_forgotten_run_again_and_write_no_image(bench: Bench) -> None:
    bench.build()
    (bench.folder / "backend" / "main.rs").write_text("fn main() { /* edited */ }\n")
    bench.replan()
    bench.build()
    before, builds = len(bench.calls), bench.last().id
    assert later(bench, "steps")
    (words,) = (words for words in bench.calls[before:] if "bake" in words)
    assert "api.output=type=cacheonly" in words
    networks = (bench.folder / "networks").read_text().split()
    assert networks[-2:] == ["offline", "offline"]  # with another choice it were another step
    assert bench.last().id == builds
    assert bench.build().skipped


def test_steps_that_fail_fail_nothing_else(bench: Bench) -> None:
    bench.build()
    (bench.folder / "code").write_text("1")
    assert not later(bench, "steps")


def test_a_layer_that_is_left_for_later_is_made_once(bench: Bench) -> None:
    assert not make_layer(bench)  # nothing was ever built
    bench.surroundings = replace(bench.surroundings, layer_later=True)
    assert bench.build().later == ("dependency layer",)
    assert layers_made(bench) == 0
    assert bench.last().record.settings["dependency layer"] == ""
    assert make_layer(bench)
    assert not make_layer(bench)
    assert layers_made(bench) == 1
    # The next build knows of it.
    (bench.folder / "backend" / "main.rs").write_text("fn main() { other() }\n")
    bench.replan()
    assert bench.build().later == ()
    settings = bench.last().record.settings
    assert settings["dependency layer"]
    assert "dependency layer due" not in settings


def test_a_layer_stays_due_until_it_is_made(bench: Bench) -> None:
    bench.surroundings = replace(bench.surroundings, layer_later=True)
    bench.build()
    due = bench.last().record.settings["dependency layer due"]
    assert bench.build().skipped
    assert bench.last().record.settings["dependency layer due"] == due
    (bench.folder / "backend" / "main.rs").write_text("fn main() { broken }\n")
    (bench.folder / "code").write_text("1")
    bench.replan()
    with pytest.raises(BuildFailed):
        bench.build()
    assert make_layer(bench)


def test_a_build_stops_the_upkeep_and_one_with_nothing_to_do_does_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[Path] = []
    monkeypatch.setattr(Upkeep, "make_way", lambda upkeep: stopped.append(upkeep.folder))
    bench.build()
    assert stopped == [bench.project.state]
    assert bench.build().skipped
    assert len(stopped) == 1


def test_no_layer_is_made_of_sources_that_no_build_has_seen(bench: Bench) -> None:
    bench.surroundings = replace(bench.surroundings, layer_later=True)
    bench.build()
    (bench.folder / "backend" / "Cargo.toml").write_text(f"{MANIFEST}# edited\n")
    bench.replan()
    assert not make_layer(bench)
    assert layers_made(bench) == 0


STALE = "api 0.1.0 (build 0123456789abcdef)"


def edit(bench: Bench, name: str, text: str, time_ns: int) -> None:
    file = bench.folder / name
    file.write_text(text)
    os.utime(file, ns=(time_ns, time_ns))
    bench.replan()


def test_sources_that_were_not_sent_are_sent_again_under_another_name(bench: Bench) -> None:
    (bench.folder / "told").write_text(STALE)
    (bench.folder / "told-when-sent-again").write_text(f"api 0.1.0 (build {bench.id})")
    assert bench.build().images["api"].build_id == bench.id
    first, second = bench.contexts
    assert first == ""
    assert Path(second).name.startswith("backend-")
    assert Path(second).resolve() == bench.folder / "backend"
    # The next build uses the same name: under the old one the engine still holds the old files.
    bench.replan(again="now")
    bench.build()
    assert bench.contexts[2:] == [second]
    # And so on, when it happens again.
    (bench.folder / "told-when-sent-again").write_text(STALE)
    bench.replan(again="once more")
    with pytest.raises(WrongImage):
        bench.build()
    assert bench.contexts[3] == second
    assert bench.contexts[4] not in {"", second}
    assert not Path(second).exists()


def test_sources_that_the_builder_refused_are_sent_again(bench: Bench) -> None:
    (bench.folder / "code").write_text("65")
    assert bench.build().images["api"].build_id == bench.id
    first, second = bench.contexts
    assert first == ""
    assert second
    with History(bench.history) as store:
        assert store.count() == 1


def test_files_that_change_while_the_build_runs_are_not_sent_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder / "told").write_text(STALE)
    real = build_run.bake

    def edited(*words: object) -> object:
        (bench.folder / "backend" / "main.rs").write_text("fn main() { edited() }\n")
        return real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(build_run, "bake", edited)
    with pytest.raises(WrongImage, match="were files changed while the build ran"):
        bench.build()
    assert bench.contexts == [""]


def test_an_image_that_tells_no_id_is_not_built_twice(bench: Bench) -> None:
    (bench.folder / "told").write_text("api 0.1.0 (build dev)")
    with pytest.raises(WrongImage):
        bench.build()
    assert bench.contexts == [""]


def test_a_recipe_that_kept_size_and_time_is_sent_again(bench: Bench) -> None:
    for text, time_ns in (("USER 1\n", 10**18), ("USER 2\n", 10**18), ("USER 3\n", 10**18 + 1)):
        edit(bench, "backend/Dockerfile", text, time_ns)
        bench.build()
    first, second, third = bench.contexts
    assert first == ""
    assert second == third != ""


def test_another_name_is_no_other_input(bench: Bench) -> None:
    bench.client.ids = ["new"]
    (bench.folder / "code").write_text("65")
    bench.build()
    assert bench.build().skipped


def test_an_image_that_was_refused_is_asked_again(bench: Bench) -> None:
    bench.client.ids = ["same"]
    (bench.folder / "told").write_text("api 0.1.0 (build 0000000000000000)")
    for _ in range(2):
        with pytest.raises(WrongImage):
            bench.build()


def test_a_failed_build_is_told_and_recorded(bench: Bench) -> None:
    (bench.folder / "code").write_text("1")
    with pytest.raises(BuildFailed, match="failed to solve: nothing works"):
        bench.build()
    assert bench.last().record.outcome == "failed"


def test_in_doubt_nothing_is_skipped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def bakes() -> int:
        return len([words for words in bench.calls if "--metadata-file" in words])

    file = bench.project.bake_file
    file.write_text('variable "FEATURES" {\n}\n')
    bench.replan()
    bench.client.ids = ["old", "new"]
    bench.build()
    bench.client.ids = ["new"]
    assert bench.build().skipped
    assert bakes() == 1
    monkeypatch.setenv("FEATURES", "big")
    assert not bench.build().skipped
    assert bench.build().skipped
    file.write_text('contexts = { proto = "proto" }\n')
    bench.replan()
    bench.build()
    assert not bench.build().skipped


def test_an_image_that_nobody_names_is_compared_or_a_doubt(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """`FROM`, `COPY --from` and mounts of images that rebake.toml does not know."""
    (bench.folder / "backend" / "Dockerfile").write_text(
        "FROM rust:1 AS prod\nCOPY --from=other:tag /a /a\n"
    )
    bench.replan()
    bench.client.ids = ["new"]
    bench.build()
    reason = "the engine has no image other:tag, so its digest is not known: docker pull it, or "
    reason += "write name@sha256:…"
    capsys.readouterr()
    assert not bench.build().skipped
    assert bakes(bench) == 2
    line = f"nothing seems changed; built all the same, in doubt: {reason}"
    assert line in capsys.readouterr().out.splitlines()
    assert bench.last().record.settings[IN_DOUBT] == reason
    bench.client.others = {"other:tag": "sha256:1"}
    assert not bench.build().skipped  # what the last build took in is not known
    assert bench.last().record.base_images == {"rust:1": "a", "other:tag": "sha256:1"}
    assert bench.build().skipped
    assert IN_DOUBT not in bench.last().record.settings
    assert bench.build().skipped  # after a skip as well
    bench.client.others = {"other:tag": "sha256:2"}
    assert not bench.build().skipped
    assert IN_DOUBT not in bench.last().record.settings  # it is known what changed
    assert bench.build().skipped
