"""Images that no change reaches are left out of a build; through a faked docker program."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from rebake.build.plan import plan_build
from rebake.build.run import Surroundings, build_images
from rebake.engine.client import ImageInfo
from rebake.engine.endpoint import Endpoint
from rebake.history.store import History
from rebake.project.project import open_project
from rebake.results import BuildResult

if sys.platform == "win32":
    pytest.skip("the fake program is a script with a #! line", allow_module_level=True)

# The client is started a hundred times, mostly for questions that a shell answers sooner.
FAKE = """\
    #!/bin/sh
    folder=${{0%/*}}
    for last; do :; done
    case "$last $* " in
    "backend-deps "*) ;;
    *" --print "*)
        target='"context": "backend", "dockerfile": "Dockerfile", "target": "prod"'
        echo "{{\\"target\\": {{"
        echo "\\"api\\": {{$target, \\"args\\": {{\\"SERVICE\\": \\"api\\"}}}},"
        echo "\\"worker\\": {{$target, \\"args\\": {{\\"SERVICE\\": \\"worker\\"}}}}}}}}";;
    *" bake "*) exec "{python}" -IS "$folder/bake.py" "$@";;
    *-api:prod*" --version "*) cat "$folder/version-api";;
    *-worker:prod*" --version "*) cat "$folder/version-worker";;
    *" inspect "*) echo '{{"RootFS": {{"Layers": ["sha256:layer"]}}}}';;
    esac
"""
BAKE = """\
    import binascii, json, os, sys
    folder = os.path.dirname(os.path.abspath(__file__)) + "/"
    words = sys.argv[1:]
    asked = words[words.index("--allow") + 2:]
    with open(folder + "bakes", "a") as bakes:
        bakes.write(" ".join(w for w in asked if w in ("api", "worker")) + "\\n")
    for word in os.environ["SERVICE_BUILD_IDS"].split():
        name, _, made = word.partition(":")[0].partition("=")
        with open(folder + "version-" + name, "w") as file:
            file.write(f"{name} 0.1.0 (build {made})\\n")
    step = dict(digest="sha256:" + "a" * 64, name="[build 1/1] RUN build-workspace")
    when = "2026-01-01T00:00:00Z"
    with open(folder + "binaries", "rb") as file:
        told = file.read()
    items = [dict(vertexes=[dict(step, started=when, completed=when, cached=not told)])]
    if told:
        data = binascii.b2a_base64(told, newline=False).decode()
        items.insert(1, dict(logs=[dict(vertex=step["digest"], data=data)]))
    for item in items:
        print(json.dumps(item), file=sys.stderr)
"""
DOCKERFILE = """\
FROM rust:1 AS build
RUN --mount=target=/src /tools/build-workspace release /out api worker
FROM scratch AS prod
ARG SERVICE
COPY --from=build /out/bin/${SERVICE} /bin/service
"""
FIRST = {"api": "1:10:1.000000000", "worker": "2:10:1.000000000"}


class Images:
    def __init__(self) -> None:
        self.gone: set[str] = set()

    def image(self, ref: str) -> ImageInfo | None:
        if ref in self.gone:
            return None
        return ImageInfo(id=f"sha256:{ref}", digest=f"sha256:{ref}", bytes=7)

    def remove_image(self, ref: str, *, force: bool = False) -> bool:
        raise AssertionError((ref, force))


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = '[project]\nname = "shop"\n[backend]\nservices = ["api", "worker"]\n'
        (folder / "rebake.toml").write_text(settings)
        (folder / "backend").mkdir()
        (folder / "backend" / "Cargo.toml").write_text('[workspace]\nmembers = ["api", "worker"]\n')
        for name in ("api", "worker"):
            (folder / "backend" / name / "src").mkdir(parents=True)
            self.write(f"{name}/Cargo.toml", f'[package]\nname = "{name}"\n')
            self.write(f"{name}/src/main.rs", "fn main() {}\n")
        self.write("Dockerfile", DOCKERFILE)
        (folder / "docker" / "tools").mkdir(parents=True)
        (folder / "docker" / "docker-bake.hcl").write_text('variable "COLOUR" {}\n')
        (folder / "bake.py").write_text(textwrap.dedent(BAKE))
        program = folder / "docker.sh"
        program.write_text(textwrap.dedent(FAKE).format(python=sys.executable))
        program.chmod(0o755)
        self.images = Images()
        self.tell(FIRST)

    def write(self, name: str, text: str) -> None:
        (self.folder / "backend" / name).write_text(text)

    def tell(self, binaries: dict[str, str]) -> None:
        """What the compiling step says at its end; it is cached when that is nothing."""
        told = "".join(f" {name}={by}" for name, by in binaries.items())
        (self.folder / "binaries").write_text(f"rebake-binaries{told}\n" if told else "")

    def build(self) -> BuildResult:
        project = open_project(self.folder)
        return build_images(
            project,
            plan_build(project, "prod", ("api", "worker"), self.folder / "settings"),
            self.images,  # type: ignore[arg-type]
            Endpoint("host-env", "ssh://nowhere", self.folder / "docker.sh"),
            on_event=lambda _event: None,
            say=print,
            history=self.folder / "history.sqlite3",
            surroundings=Surroundings(base_images={"rust:1": "a"}),
        )

    @property
    def bakes(self) -> list[str]:
        return (self.folder / "bakes").read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    bench = Bench(tmp_path)
    bench.build()
    return bench


def test_the_image_of_another_service_is_left_out(bench: Bench) -> None:
    for number in range(2):
        bench.write("api/src/main.rs", f"fn main() {{ edit({number}) }}\n")
        bench.tell({**FIRST, "api": f"{number}:10:2.000000000"})
        result = bench.build()
        assert list(result.images) == ["api", "worker"]
        worker = result.images["worker"]
        assert (worker.built, worker.digest, worker.bytes) == (False, f"sha256:{worker.ref}", 7)
    assert bench.bakes == ["api worker", "api", "api"]
    assert bench.build().skipped
    with History(bench.folder / "history.sqlite3") as history:
        built = history.build(3)
        assert built is not None
        assert built.record.targets == ("api",)
        assert [image.service for image in built.record.images] == ["api", "worker"]


def test_a_binary_that_was_linked_again_is_an_image_that_is_built(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write("api/src/main.rs", "fn main() { edit() }\n")
    bench.tell({"api": "4:10:2.000000000", "worker": "5:10:2.000000000"})
    bench.build()
    assert bench.bakes == ["api worker", "api", "api worker"]
    line = "a binary of an image that was left out is another one: all are built"
    assert line in capsys.readouterr().out.splitlines()
    # Nothing is promised for it until a build has seen that no edit links it.
    for number, baked in enumerate((["api worker"], ["api"]), start=1):
        bench.write("api/src/main.rs", f"fn main() {{ once_more({number}) }}\n")
        bench.tell({"api": f"{number}:10:3.000000000", "worker": "5:10:2.000000000"})
        before = len(bench.bakes)
        bench.build()
        assert bench.bakes[before:] == baked


def test_a_step_that_did_not_run_promises_nothing(bench: Bench) -> None:
    bench.write("api/src/main.rs", "fn main() { edit() }\n")
    bench.tell({})
    bench.build()
    assert bench.bakes == ["api worker", "api", "api worker"]
    bench.write("api/src/main.rs", "fn main() { once_more() }\n")
    bench.tell(FIRST)
    bench.build()  # what the images of the last build are known by, nobody told
    assert bench.bakes[3:] == ["api worker"]


def test_an_image_that_is_gone_is_built(bench: Bench) -> None:
    bench.write("api/src/main.rs", "fn main() { edit() }\n")
    project = open_project(bench.folder)
    bench.images.gone = {f"{project.compose_name('prod')}-worker:prod"}
    bench.build()
    assert bench.bakes == ["api worker", "api worker"]


@pytest.mark.parametrize("outside", [True, False])
def test_in_doubt_all_are_built(bench: Bench, *, outside: bool) -> None:
    if outside:  # of another image from outside, nobody knows the digest
        bench.write("Dockerfile", f"{DOCKERFILE}COPY --from=other:tag /a /a\n")
        bench.images.gone = {"other:tag"}
    else:
        bake = 'target "x" { contexts = { other = "/elsewhere" } }\n'
        (bench.folder / "docker" / "docker-bake.hcl").write_text(bake)
    bench.build()
    bench.write("api/src/main.rs", "fn main() { edit() }\n")
    bench.build()
    assert bench.bakes[1:] == ["api worker", "api worker"]
