"""What `warm-cache` does and leaves, with the engine, the builds and Compose faked."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rebake.cache.inventory import Inventory, NamedCache, Piece
from rebake.cli import main
from rebake.engine import stock
from rebake.engine.base_images import BaseImageResult
from rebake.engine.endpoint import Endpoint
from rebake.engine.stock import StoredContainer, StoredVolume
from rebake.errors import CommandFailed
from rebake.results import BuildResult
from rebake.tasks import image_flow, warm_flow, warm_volumes, wiring
from rebake.tasks.session import Session
from rebake.tasks.warm_flow import modes_of, warmth

if sys.platform == "win32":
    pytest.skip("the fake program is a script with a #! line", allow_module_level=True)

DOCKER = """#!{python} -IS
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit(int((here / "code").read_text()))
"""


def cache(name: str, kind: Any, identity: str = "", size: int = 5, **rest: Any) -> NamedCache:
    return NamedCache(name, kind, (Piece(identity or name, size, **rest),))


WARM = Inventory(
    (
        cache("target release", "mount"),
        cache("target release (rust:1.1)", "mount", needed=False),
        cache("cargo registry", "mount"),
        cache("bun store", "mount"),
        cache("dependency layers", "layers"),
        *(cache(f"{name} image (prod)", "image") for name in ("api", "worker", "ui")),
        *(cache(f"{half} image (dev)", "image") for half in ("backend", "ui")),
        cache("dev target debug volume", "volume"),
        cache("dev packages volume", "volume"),
    )
)


@dataclass
class Bench:
    """A project; its builds only say that they were asked for."""

    root: Path
    endpoint: Endpoint
    before: Inventory = WARM
    after: Inventory = WARM
    builds: list[tuple[str, bool]] = field(default_factory=list)
    skipped: str = "nothing changed"
    looks: int = 0
    volumes: tuple[StoredVolume, ...] = ()
    containers: tuple[StoredContainer, ...] = ()
    together: threading.Barrier | None = None

    def build(
        self, _session: Session, mode: Any, services: Any, *, again: bool = False, **_: Any
    ) -> BuildResult:
        assert set(services) == {"api", "worker", "ui"}
        if self.together is not None:
            self.together.wait(timeout=5)  # both modes get here, or the test fails
        self.builds.append((mode, again))
        return BuildResult({}, (), 0.1, skipped=self.skipped, mode=mode)

    def look(self, _session: Session) -> Inventory:
        self.looks += 1
        return self.after if self.builds or self.calls else self.before

    @property
    def calls(self) -> list[list[str]]:
        file = self.root.parent / "calls"
        return [json.loads(x) for x in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    root = tmp_path / "shop"
    for name in ("api", "worker"):
        crate = root / "backend" / "crates" / name
        (crate / "src").mkdir(parents=True)
        (crate / "Cargo.toml").write_text(f'[package]\nname = "{name}"\n')
        (crate / "src" / "main.rs").write_text("fn main() {}\n")
    (root / "backend" / "Cargo.toml").write_text('[workspace]\nmembers = ["crates/*"]\n')
    (root / "backend" / "Cargo.lock").write_text("version = 4\n")
    (root / "ui").mkdir()
    (root / "ui" / "bun.lock").write_text("{}\n")
    (root / "rebake.toml").write_text('[project]\nname = "shop"\n')
    program = tmp_path / "docker"
    program.write_text(DOCKER.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "code").write_text("0")
    one = Bench(root, Endpoint("default", "unix:///nowhere", program))
    monkeypatch.setenv("REBAKE_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(root)
    base = BaseImageResult("rust", "rust:1", "present", "sha256:1", 7, 0.0)
    monkeypatch.setattr(wiring, "fetch_base_images", lambda _session: [base])
    monkeypatch.setattr(wiring, "find_engine", lambda _session: _Detected(one.endpoint))
    monkeypatch.setattr(image_flow, "build", one.build)
    monkeypatch.setattr(warm_flow, "_look", one.look)
    monkeypatch.setattr(stock, "volumes", lambda _endpoint: one.volumes)
    monkeypatch.setattr(stock, "containers", lambda _endpoint: one.containers)
    return one


@dataclass
class _Detected:
    endpoint: Endpoint


def run(capsys: Any, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["rebake", "warm-cache", *words])
    code: Any = 0
    try:
        main()
    except SystemExit as error:
        code = error.code or 0
    return (code, *capsys.readouterr())


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_volumes, "fill", lambda _session: False)


@pytest.mark.usefixtures("filled")
def test_what_is_warm_is_left_alone_and_looked_at_once(
    bench: Bench, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(capsys, monkeypatch, "--json")
    assert code == 0
    assert bench.looks == 1
    assert sorted(bench.builds) == [("dev", False), ("prod", False)]
    document = json.loads(out)
    assert document["for"] == ["dev", "prod"]
    assert {entry["state"] for entry in document["caches"]} == {"warm"}
    assert [entry["name"] for entry in document["caches"]][:2] == ["rust:1", "target release"]
    assert "target release (rust:1.1)" not in out  # no build needs it


@pytest.mark.usefixtures("filled")
def test_both_modes_are_built_side_by_side(
    bench: Bench, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.together = threading.Barrier(2)
    assert run(capsys, monkeypatch)[0] == 0
    assert len(bench.builds) == 2


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("purpose", "modes"), [("dev", ["dev"]), ("prod", ["prod"]), ("ci", ["prod"])]
)
def test_one_purpose(
    bench: Bench, capsys: Any, monkeypatch: pytest.MonkeyPatch, purpose: str, modes: list[str]
) -> None:
    code, out, err = run(capsys, monkeypatch, "--for", purpose, "--json")
    assert (code, [mode for mode, _ in bench.builds]) == (0, modes)
    names = {entry["name"] for entry in json.loads(out)["caches"]}
    assert ("dev packages volume" in names) == (purpose == "dev")
    assert ("api image (prod)" in names) == (purpose != "dev")
    assert ("no remote cache is set" in err) == (purpose == "ci")


@pytest.mark.usefixtures("filled")
def test_mounts_that_are_gone_are_filled_though_the_images_are_there(
    bench: Bench, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.before = replace(WARM, caches=WARM.caches[1:])
    bench.skipped = ""
    code, out, err = run(capsys, monkeypatch, "--for", "prod")
    assert (code, bench.builds) == (0, [("prod", True)])
    assert "gone, made again: target release" in err
    assert bench.looks == 2
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    assert "warm now" in lines["target release"]
    assert "warm already" in lines["cargo registry"]


@pytest.mark.usefixtures("filled")
def test_a_first_build_is_no_forced_one(
    bench: Bench, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.before, bench.skipped = Inventory(()), ""
    run(capsys, monkeypatch, "--for", "prod")
    assert bench.builds == [("prod", False)]


@pytest.mark.usefixtures("filled")
def test_an_unknown_purpose(bench: Bench, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run(capsys, monkeypatch, "--for", "prd")
    assert (code, out, bench.builds) == (2, "", [])
    assert "no purpose named 'prd'" in err
    assert "did you mean prod?" in err


def test_what_should_be_there_and_is_not_is_cold() -> None:
    wanted = {"target release": "mount", "bun store": "mount"}
    only = Inventory((cache("bun store", "mount"), cache("ui image (dev)", "image")))
    found = list(warmth(Inventory(()), only, wanted, ("prod",)))
    assert [(one.name, one.state) for one in found] == [
        ("bun store", "warmed"),
        ("target release", "cold"),
    ]


def test_a_cache_that_was_made_anew_is_warmed_and_not_warm() -> None:
    before = Inventory((cache("bun store", "mount", "old"),))
    after = Inventory((cache("bun store", "mount", "new"),))
    assert [one.state for one in warmth(before, after, {}, ("prod",))] == ["warmed"]


def test_modes() -> None:
    assert modes_of(("ci",)) == modes_of(("prod", "ci")) == ("prod",)
    assert modes_of(("prod", "dev")) == ("dev", "prod")


# the volumes


def stack(bench: Bench) -> str:
    return Session("x", folder=bench.root).project.compose_name("dev")


def session(bench: Bench) -> Session:
    return Session("warm-cache", progress="quiet", folder=bench.root)


def volume(bench: Bench, key: str, at: float = 1.0) -> StoredVolume:
    name = f"{stack(bench)}_{key}"
    if key == "node_modules":
        name += "_ca3d163bab05"
    return StoredVolume(name, stack(bench), key, at)


def filling(bench: Bench) -> list[str]:
    """What was run in which service."""
    runs = [words for words in bench.calls if "run" in words]
    return sorted(" ".join(words[words.index("--entrypoint") + 1 :]) for words in runs)


def test_both_halves_are_filled_once(bench: Bench) -> None:
    assert warm_volumes.fill(session(bench))
    assert filling(bench) == [
        "install-packages ui",
        "with-host-settings api cargo build --locked --bin api --bin worker",
    ]
    (words,) = [w for w in bench.calls if "cargo" in w]
    assert words[:3] == ["compose", "--project-name", stack(bench)]
    assert words[5:13] == [
        "run", "--rm", "--no-deps", "--no-TTY", "--pull", "never", "--entrypoint",
        "with-host-settings",
    ]  # fmt: skip
    bench.volumes = (volume(bench, "target"), volume(bench, "node_modules"))
    assert not warm_volumes.fill(session(bench))
    assert len(filling(bench)) == 2


def test_a_half_is_filled_again_when_its_dependencies_or_its_volume_are_others(
    bench: Bench,
) -> None:
    warm_volumes.fill(session(bench))
    bench.volumes = (volume(bench, "target"), volume(bench, "node_modules"))
    (bench.root / "backend" / "Cargo.lock").write_text("version = 4 # changed\n")
    assert warm_volumes.fill(session(bench))
    assert len(filling(bench)) == 3
    (bench.root / "backend" / "crates" / "api" / "src" / "main.rs").write_text("fn main() { }\n")
    assert not warm_volumes.fill(session(bench))
    # Somebody removed the volume, and another one bears its name.
    bench.volumes = (volume(bench, "target", at=9e12), volume(bench, "node_modules"))
    assert warm_volumes.fill(session(bench))
    assert len(filling(bench)) == 4


def test_a_stack_that_runs_is_left_alone(bench: Bench) -> None:
    bench.containers = (StoredContainer("c", "x", stack(bench), True, "", "", (), 1.0),)
    assert not warm_volumes.fill(session(bench))
    assert bench.calls == []


def test_sources_that_do_not_compile_are_a_failure(bench: Bench) -> None:
    (bench.root.parent / "code").write_text("101")
    with pytest.raises(CommandFailed, match="ended with exit code 101"):
        warm_volumes.fill(session(bench))
    (bench.root.parent / "code").write_text("0")
    assert warm_volumes.fill(session(bench))  # nothing was taken for warm
