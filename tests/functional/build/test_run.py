"""A build through a faked docker program: the gate, the record, and failures."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path

import pytest

from rebake.build import run as build_run
from rebake.build.inputs import build_id
from rebake.build.plan import plan_build
from rebake.build.run import build_images, read_inputs
from rebake.engine.client import ImageInfo
from rebake.engine.endpoint import Endpoint
from rebake.errors import BuildFailed, WrongImage
from rebake.history.store import History
from rebake.project.project import Project, open_project

if sys.platform == "win32":
    pytest.skip("the fake program is a script with a #! line", allow_module_level=True)

FAKE = """\
    #!{python}
    import json, os, pathlib, sys
    folder = pathlib.Path(__file__).parent
    words = sys.argv[1:]
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\\n")
    if "bake" in words:
        with (folder / "contexts").open("a") as contexts:
            contexts.write(os.environ.get("REBAKE_BACKEND_CONTEXT", "") + "\\n")
        metadata = pathlib.Path(words[words.index("--metadata-file") + 1])
        metadata.write_text(json.dumps({{"api": {{"containerimage.digest": "sha256:new"}}}}))
        code = int((folder / "code").read_text())
        if code:
            print("ERROR: failed to solve: nothing works", file=sys.stderr)
        sys.exit(code)
    if "--version" in words:
        resent = (folder / "contexts").read_text().splitlines()[-1]
        sent = folder / "told-when-sent-again"
        print((sent if resent and sent.exists() else folder / "told").read_text())
"""


class Client:
    """Images by reference, before and after the build."""

    def __init__(self) -> None:
        self.ids = ["old", "new"]
        self.removed: list[str] = []

    def image(self, _ref: str) -> ImageInfo:
        found = self.ids[0] if len(self.ids) == 1 else self.ids.pop(0)
        return ImageInfo(id=found, digest=f"sha256:{found}", bytes=7)

    def remove_image(self, ref: str, *, force: bool = False) -> bool:
        self.removed.append(ref)
        return force


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "rebake.toml").write_text('[project]\nname = "shop"\n')
        (folder / "backend").mkdir()
        (folder / "backend" / "main.rs").write_text("fn main() {}\n")
        program = folder / "docker"
        program.write_text(textwrap.dedent(FAKE).format(python=sys.executable))
        program.chmod(0o755)
        self.project: Project = open_project(folder)
        self.plan = plan_build(self.project, "prod", ("api",), folder / "settings")
        self.client = Client()
        self.id = build_id(read_inputs(self.plan)["backend"])
        self.history = folder / "history.sqlite3"
        (folder / "code").write_text("0")
        (folder / "told").write_text(f"api 0.1.0 (build {self.id})")

    def build(self):
        return build_images(
            self.project,
            self.plan,
            self.client,  # type: ignore[arg-type]
            # An address that is asked through the client, so that no socket is needed.
            Endpoint("host-env", "ssh://nowhere", self.folder / "docker"),
            on_event=lambda _event: None,
            say=print,
            history=self.history,
        )

    @property
    def contexts(self) -> list[str]:
        """What each bake was given as the backend's folder; empty: the bake file's own."""
        return (self.folder / "contexts").read_text().splitlines()

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

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


def test_the_gate_asks_the_binary_without_network_or_rights(bench: Bench) -> None:
    bench.build()
    assert bench.calls[-1] == [
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


def test_sources_that_were_not_sent_are_sent_again_under_another_name(bench: Bench) -> None:
    (bench.folder / "told").write_text("api 0.1.0 (build 0123456789abcdef)")
    (bench.folder / "told-when-sent-again").write_text(f"api 0.1.0 (build {bench.id})")
    bench.client.ids = ["old", "stale", "stale", "new"]
    assert bench.build().images["api"].build_id == bench.id
    first, second = bench.contexts
    assert first == ""
    assert Path(second).name.startswith("backend-")
    assert Path(second).resolve() == bench.folder / "backend"
    # The next build uses the same name: under the old one the engine still holds the old files.
    bench.build()
    assert bench.contexts[2:] == [second]
    # And so on, when it happens again.
    (bench.folder / "told-when-sent-again").write_text("api 0.1.0 (build 0123456789abcdef)")
    (bench.folder / "backend" / "main.rs").write_text("fn main() { }\n")
    with pytest.raises(WrongImage):
        bench.build()
    assert bench.contexts[3] == second
    assert bench.contexts[4] not in {"", second}
    assert not Path(second).exists()


def test_files_that_change_while_the_build_runs_are_not_sent_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder / "told").write_text("api 0.1.0 (build 0123456789abcdef)")
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


def test_a_dockerfile_that_kept_size_and_time_is_sent_again(bench: Bench) -> None:
    dockerfile = bench.folder / "backend" / "Dockerfile"
    for text, time_ns in (("USER 1\n", 10**18), ("USER 2\n", 10**18), ("USER 3\n", 10**18 + 1)):
        dockerfile.write_text(text)
        os.utime(dockerfile, ns=(time_ns, time_ns))
        bench.id = build_id(read_inputs(bench.plan)["backend"])
        (bench.folder / "told").write_text(f"api 0.1.0 (build {bench.id})")
        bench.build()
    first, second, third = bench.contexts
    assert first == ""
    assert second == third != ""


def test_an_image_that_was_checked_before_is_not_asked_again(bench: Bench) -> None:
    bench.client.ids = ["same"]
    assert bench.build().images["api"].built is False
    bench.build()
    assert len([words for words in bench.calls if "--version" in words]) == 1


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
