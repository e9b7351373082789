"""The words of `refresh-cache`, with an engine of ours that keeps what a real one would."""

from __future__ import annotations

import json
import re
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from filelock import FileLock
from msgspec.structs import replace

from rebake import process
from rebake.build.upkeep import Upkeep
from rebake.cli import main
from rebake.engine.endpoint import Endpoint
from rebake.history.cache_log import CacheLog, OwnedLayer, RanStep
from rebake.history.evidence import Removal
from rebake.history.records import BuildRecord, ImageRecord
from rebake.history.store import History
from rebake.project.project import Project, open_project
from rebake.results import BuildResult, CacheCount, CacheUse, ImageResult, StoreUse
from rebake.tasks import caches_flow, image_flow, upkeep_flow, wiring
from rebake.tasks.session import Session

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="unix sockets")


@dataclass
class Engine:
    """What an engine keeps, and what it was told to change."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    containers: list[dict[str, Any]] = field(default_factory=list)
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuses: bool = False
    slow_s: float = 0.0

    def record(
        self, name: str, description: str, size: int, *parents: str, kind: str = "regular",
        at: str = "2026-11-26T01:00:00Z", in_use: bool = False,
    ) -> None:  # fmt: skip
        self.records[name] = {
            "ID": name, "Type": kind, "Description": description, "Size": size, "InUse": in_use,
            "CreatedAt": at, "LastUsedAt": at, " Parents": list(parents),
        }  # fmt: skip

    def mount(self, name: str, mount_id: str, size: int, **rest: Any) -> None:
        text = f'cached mount /x from exec /bin/sh -c x with id "/{mount_id}"'
        self.record(name, text, size, kind="exec.cachemount", **rest)

    def image(self, identity: str, tag: str, *layers: tuple[str, int]) -> None:
        self.images[identity] = {"Id": identity, "RepoTags": [tag], "Created": 1, "layers": layers}

    def volume(self, name: str, project: str, key: str, size: int) -> None:
        labels = {"com.docker.compose.project": project, "com.docker.compose.volume": key}
        self.volumes[name] = {
            "Name": name, "Labels": labels, "CreatedAt": "2026-11-25T00:00:00Z",
            "UsageData": {"Size": size, "RefCount": 0},
        }  # fmt: skip

    def container(self, name: str, project: str, state: str, volume: str, image: str = "") -> None:
        self.containers.append(
            {
                "Id": name, "Names": [f"/{name}"], "State": state, "ImageID": image, "Created": 1,
                "Labels": {"com.docker.compose.project": project} if project else {},
                "Mounts": [{"Type": "volume", "Name": volume}],
            }
        )  # fmt: skip

    def answer(self, method: str, target: str) -> tuple[int, Any]:  # noqa: PLR0911 - one a question
        url = urlsplit(target)
        path = unquote(re.sub(r"^/v[\d.]+", "", url.path))
        query = parse_qs(url.query)
        self.asked.append(f"{method} {path}")
        if method == "GET":
            return self.told(path, query)
        self.changes.append(f"{method} {path} {query.get('filters', [''])[0]}")
        if self.refuses:
            return 409, {"message": "in use"}
        if path == "/build/prune":
            (pattern,) = json.loads(query["filters"][0])["id"]
            gone = [n for n in self.records if re.search(pattern.strip("/"), n)]
            size = sum(self.records.pop(name)["Size"] for name in gone)
            return 200, {"CachesDeleted": gone, "SpaceReclaimed": size}
        kind, _, name = path.lstrip("/").partition("/")
        if kind == "volumes":
            held = [m["Name"] for c in self.containers for m in c["Mounts"]]
            if name in held:
                return 409, {"message": "volume is in use"}
            return (204, None) if self.volumes.pop(name, None) else (404, {})
        if kind == "containers":
            self.containers = [c for c in self.containers if c["Id"] != name]
            return 204, None
        for identity, image in list(self.images.items()):
            if name in {identity, *image["RepoTags"]}:
                del self.images[identity]
                return 200, []
        return 404, {}

    def told(  # noqa: PLR0911 - one a question
        self, path: str, query: dict[str, list[str]]
    ) -> tuple[int, Any]:
        if path == "/system/df" and query["type"] == ["build-cache"]:
            return 200, {"BuildCache": list(self.records.values())}
        if path == "/system/df":
            time.sleep(self.slow_s)
            return 200, {"Volumes": list(self.volumes.values())}
        if path == "/images/json":
            return 200, list(self.images.values())
        if path == "/containers/json":
            return 200, self.containers
        if path == "/volumes":
            return 200, {"Volumes": [{**v, "UsageData": None} for v in self.volumes.values()]}
        name, _, what = path.removeprefix("/images/").rpartition("/")
        image = self.images[name]
        if what == "json":
            return 200, {"Id": name, "RootFS": {"Layers": [d for d, _ in image["layers"]]}}
        lines = [{"CreatedBy": "COPY x", "Size": size} for _, size in image["layers"]]
        return 200, list(reversed(lines))


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode().split(" ")
        while self.rfile.readline().strip():
            pass
        status, document = self.server.engine.answer(method, target)  # type: ignore[attr-defined]
        body = b"" if document is None else json.dumps(document).encode()
        head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            self.wfile.write(head.encode() + body)
        except BrokenPipeError:  # it did not want to wait any longer
            return


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    engine: Engine


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Bench:
    """A project, our engine, and the command line."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.root, self.state = folder / "shop", folder / "state"
        self._patch, self._capsys = monkeypatch, capsys
        (self.root / "backend").mkdir(parents=True)
        (self.root / "ui").mkdir()
        (self.root / "rebake.toml").write_text('[project]\nname = "shop"\n')
        self.engine = Engine()
        self.server = Server(str(folder / "e.sock"), Handler)
        self.server.engine = self.engine
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.endpoint = Endpoint("default", f"unix://{folder / 'e.sock'}", Path("docker"))
        monkeypatch.setattr(wiring, "engine_if_running", lambda _session: self.endpoint)
        monkeypatch.setenv("REBAKE_STATE_HOME", str(self.state))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        monkeypatch.chdir(self.root)
        self.project: Project = open_project(self.root)
        self.id, self.prod = self.project.cache_id, self.project.compose_name("prod")
        self.dev = self.project.compose_name("dev")

    def run(self, *words: str) -> Ran:
        self._capsys.readouterr()
        self._patch.setattr("sys.argv", ["rebake", "refresh-cache", *words])
        code: Any = 0
        try:
            main()
        except SystemExit as error:
            code = error.code or 0
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)

    def fill(self) -> None:
        """Ours, and somebody else's of each kind."""
        engine, rust = self.engine, self.project.config.base_images.rust
        engine.mount("m1", f"{self.id}-cargo", 100)
        engine.mount("m2", f"{self.id}-target-release-amd64-{rust}", 1000)
        engine.mount("m3", f"{self.id}-target-release-amd64-rust:1.1", 500)
        engine.mount("x1", f"{self.id}-ffffffff-cargo", 9)
        engine.mount("x2", "somebody-cargo", 9)
        engine.record("x3", "mount / from exec /bin/sh -c y", 9)
        for name, at, stage in (("l1", 10.0, "deps"), ("l2", 20.0, "build"), ("l3", 30.0, "build")):
            engine.record(name, "mount / from exec /bin/sh -c y", 50, "x3")
            step = RanStep(self.id, str(self.root), f"[{stage} 1/1] RUN y", stage, "", at, at + 2)
            with self.log() as log:
                log.settle([OwnedLayer(name, step, 50, ("x3",))], [])
        engine.image("sha256:a", f"{self.prod}-api:prod", ("base", 900), ("api", 30))
        engine.image("sha256:x", "somebody/api:prod", ("base", 900), ("other", 30))
        engine.volume(f"{self.dev}_target", self.dev, "target", 300)
        engine.volume(f"{self.dev}_data", self.dev, "data", 300)
        engine.volume("somebody_target", "somebody", "target", 300)
        engine.container("stopped", self.dev, "exited", f"{self.dev}_target")
        engine.container("foreign", "somebody", "running", "somebody_target", "sha256:x")

    def log(self) -> CacheLog:
        return CacheLog(self.state / "caches.sqlite3", self.endpoint.docker_host)

    def removals(self) -> tuple[Removal, ...]:
        with History(self.state / "history.sqlite3") as history:
            return history.removals(self.id)

    def files(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in self.state.rglob("*") if p.is_file()}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Iterator[Bench]:
    one = Bench(tmp_path, monkeypatch, capsys)
    yield one
    one.server.shutdown()
    one.server.server_close()


FOREIGN = {"x1", "x2", "x3"}


def test_show_lists_what_is_ours_and_nothing_else(bench: Bench) -> None:
    bench.fill()
    document = bench.run("show", "--json").document
    assert [(c["name"], c["kind"], c["bytes"], c["needed"]) for c in document["caches"]] == [
        ("target release", "mount", 1000, True),
        ("target release (rust:1.1)", "mount", 500, False),
        ("cargo registry", "mount", 100, True),
        ("dependency layers", "layers", 50, True),
        ("build layers", "layers", 100, True),
        ("api image (prod)", "image", 30, True),
        ("dev target debug volume", "volume", 300, True),
    ]
    assert document["total_bytes"] == 2080
    assert document["max_bytes"] == 20_000_000_000
    assert document["caches"][0]["last_used"] == "2026-11-26T01:00:00Z"
    assert (document["caches"][0]["in_use"], document["caches"][3]["cost_s"]) == (False, 2.0)
    assert bench.engine.changes == []


def test_the_layers_of_an_image_are_asked_for_once(bench: Bench) -> None:
    bench.fill()
    first = bench.run("show", "--json").document
    bench.engine.image("sha256:y", "somebody/new:prod", ("base", 900), ("api", 30))
    bench.engine.asked.clear()
    second = bench.run("show", "--json").document
    asked = {line for line in bench.engine.asked if re.search(r"/sha256:.*/json", line)}
    assert asked == {"GET /images/sha256:a/json", "GET /images/sha256:y/json"}
    sizes = [{c["name"]: c["bytes"] for c in d["caches"]} for d in (first, second)]
    assert [one["api image (prod)"] for one in sizes] == [30, 0]  # now somebody else has it too


def test_show_is_a_table_for_people(bench: Bench) -> None:
    bench.fill()
    shown = bench.run()
    lines = shown.out.splitlines()
    assert lines[0].split() == [
        "cache",
        "kind",
        "size",
        "last",
        "used",
        "costs",
        "to",
        "lose",
        "grown",
    ]
    assert lines[2].startswith("target release (rust:1.1)")
    assert "not needed" in lines[2]
    assert lines[-1] == "2.1 kB in all, the ceiling is 20.0 GB"


def test_nothing_known_is_no_fault(bench: Bench) -> None:
    shown = bench.run("show", "--json")
    assert (shown.code, shown.document["caches"], shown.document["total_bytes"]) == (0, [], 0)


@pytest.mark.parametrize(
    ("word", "gone"),
    [
        ("build", {"m1", "m2", "m3", "l1", "l2", "l3"}),
        ("images", {"image"}),
        ("volumes", {"volume"}),
        ("all", {"m1", "m2", "m3", "l1", "l2", "l3", "image", "volume"}),
    ],
)
def test_each_word_removes_its_own_and_says_what_it_freed(
    bench: Bench, word: str, gone: set[str]
) -> None:
    bench.fill()
    document = bench.run("clean", word, "--yes", "--json").document
    engine = bench.engine
    assert set(engine.records) >= FOREIGN
    left = set(engine.records)
    left |= {"image"} if "sha256:a" in engine.images else set()
    left |= {"volume"} if f"{bench.dev}_target" in engine.volumes else set()
    assert {"m1", "m2", "m3", "l1", "l2", "l3", "image", "volume"} - left == gone
    assert "sha256:x" in engine.images
    assert {f"{bench.dev}_data", "somebody_target"} <= set(engine.volumes)
    assert "foreign" in {c["Id"] for c in engine.containers}
    assert document["freed_bytes"] == document["said_bytes"] > 0
    told = bench.removals()  # for `why`: what builds will miss
    missed = {r["name"] for r in document["removed"] if r["kind"] in {"mount", "layers"}}
    assert {name for removal in told for name in removal.names} == missed
    assert {removal.by for removal in told} <= {f"refresh-cache clean {word}"}


def test_only_a_stopped_container_of_our_own_goes_with_its_volume(bench: Bench) -> None:
    bench.fill()
    bench.run("clean", "volumes", "--yes")
    assert [c["Id"] for c in bench.engine.containers] == ["foreign"]


def test_what_is_in_use_stays(bench: Bench) -> None:
    bench.fill()
    bench.engine.container("runs", bench.dev, "running", f"{bench.dev}_target", "sha256:a")
    bench.engine.records["m2"]["InUse"] = True
    done = bench.run("clean", "all", "--yes", "--json")
    assert done.document["kept"] == [
        "api image (prod)", "dev target debug volume", "target release",
    ]  # fmt: skip
    assert "target release: stays, it is in use" in done.err
    assert {"m2"} | FOREIGN == set(bench.engine.records)
    assert not [c for c in bench.engine.changes if "containers" in c]


def test_an_engine_that_keeps_what_it_should_drop_is_a_failure(bench: Bench) -> None:
    bench.fill()
    bench.engine.refuses = True
    done = bench.run("clean", "build", "--yes")
    assert done.code == 1
    assert "0.0 MB of 0.0 MB were freed" in done.err
    assert "target release" in done.err.partition("error:")[2]
    assert bench.removals() == ()


@pytest.mark.parametrize("words", [("clean", "all"), ("prune", "--max-size", "1kB"), ("refresh",)])
def test_nobody_to_ask_means_nothing_goes(bench: Bench, words: tuple[str, ...]) -> None:
    bench.fill()
    done = bench.run(*words)
    assert done.code == 2
    assert "nobody can be asked here" in done.err
    assert f"invoke refresh-cache {words[0]}" in done.err
    assert "--yes" in done.err
    assert bench.engine.changes == []


class Terminal:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer


def test_a_person_is_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill()
    for answer in ("n\n", "\n", ""):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        refused = bench.run("clean", "build")
        assert (refused.code, bench.engine.changes) == (2, [])
        assert "remove 1.8 kB? [y/N]" in refused.err
        assert "nothing was removed" in refused.err
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    done = bench.run("clean", "build")
    assert done.code == 0
    assert "freed 1.8 kB of 1.8 kB; 330 B stay" in done.err
    # With --json there is nobody to read the question.
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert bench.run("clean", "images", "--json").code == 2


def test_a_dry_run_shows_the_commands_and_writes_nothing(bench: Bench) -> None:
    bench.fill()
    before = bench.files()
    done = bench.run("clean", "all", "--dry-run")
    assert done.code == 0
    assert "docker buildx prune --force --all --filter id=m2" in done.out
    assert f"docker image rm {bench.prod}-api:prod" in done.out
    assert f"docker volume rm {bench.dev}_target" in done.out
    assert bench.engine.changes == []
    assert bench.files() == before
    document = bench.run("clean", "all", "--dry-run", "--json").document
    assert (document["dry_run"], document["said_bytes"]) == (True, 2080)


def test_nothing_to_remove_asks_nobody(bench: Bench) -> None:
    done = bench.run("clean", "all")
    assert (done.code, done.err.splitlines()[-1]) == (0, "nothing to remove; 0 B stay")


def test_prune_keeps_the_ceiling_and_takes_what_no_build_needs_first(bench: Bench) -> None:
    bench.fill()
    document = bench.run("prune", "--max-size", "2030", "--yes", "--json").document
    assert [r["id"] for r in document["removed"]] == ["l2"]  # l3 is newer
    document = bench.run("prune", "--max-size", "2000", "--yes", "--json").document
    assert [r["id"] for r in document["removed"]] == ["m3"]
    assert document["left_bytes"] == 1530
    shown = bench.run("prune", "--max-size", "1510", "--yes")
    # The cheapest loss first; what an image costs is not known here.
    assert "the next build makes anew: dependency layers, which took 2.0 s" in shown.err


def test_prune_by_age(bench: Bench) -> None:
    bench.fill()
    assert bench.run("prune", "--older-than", "9999w", "--yes", "--json").document["removed"] == []
    document = bench.run("prune", "--older-than", "0s", "--yes", "--json").document
    assert {"m1", "m2", "m3"} <= {r["id"] for r in document["removed"]}


def test_clean_by_age_takes_only_its_kind(bench: Bench) -> None:
    bench.fill()
    none = bench.run("clean", "build", "--older-than", "9999w", "--yes", "--json").document
    assert none["removed"] == []
    done = bench.run("clean", "build", "--older-than", "0s", "--yes", "--json").document
    assert {r["kind"] for r in done["removed"]} == {"mount", "layers"}


def test_prune_without_a_flag_keeps_the_ceilings_of_the_project(bench: Bench) -> None:
    bench.fill()
    toml = '[project]\nname = "shop"\n[cache]\nmax_size = "1600"\nmax_age = ""\n'
    (bench.root / "rebake.toml").write_text(toml)
    document = bench.run("prune", "--yes", "--json").document
    assert [r["id"] for r in document["removed"]] == ["m3", "l2"]
    (bench.root / "rebake.toml").write_text(toml.replace("1600", "10"))
    document = bench.run("prune", "--yes", "--json").document
    assert document["removed"] == []  # all that is left is needed
    toml = toml.replace("1600", "").replace('max_age = ""', 'max_age = "1s"')
    (bench.root / "rebake.toml").write_text(toml)
    bench.fill()
    document = bench.run("prune", "--yes", "--json").document
    assert {r["id"] for r in document["removed"]} == {"m3", "l2"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("shw",), "did you mean show?"),
        (("clean",), "clean what?"),
        (("clean", "imags"), "did you mean images?"),
        (("clean", "build", "images"), "clean takes no further words"),
        (("show", "all"), "show takes no further words"),
        (("show", "--max-size", "1GB"), "--max-size belongs to prune"),
        (("clean", "all", "--max-size", "1GB"), "--max-size belongs to prune"),
        (("show", "--older-than", "1d"), "--older-than belongs to prune and clean"),
        (("clean", "all", "--older-than", "1"), "--older-than '1' is no age"),
        (("prune", "--max-size", "big"), "--max-size 'big' is no size"),
        (("prune", "--older-than", "old"), "--older-than 'old' is no age"),
    ],
)
def test_a_wrong_word_is_one_error(bench: Bench, words: tuple[str, ...], says: str) -> None:
    done = bench.run(*words)
    assert done.code == 2
    assert done.err.count("error: ") == 1
    assert says in done.err
    assert bench.engine.asked == []


def test_sizes_that_take_too_long_are_those_of_the_last_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches_flow, "_PATIENCE_S", 0.15)
    bench.fill()
    bench.engine.slow_s = 0.4
    first = bench.run("show", "--json").document  # never measured: it takes what it takes
    assert first["caches"][-1]["bytes"] == 300
    assert "notes" not in first
    bench.engine.volumes[f"{bench.dev}_target"]["UsageData"]["Size"] = 999
    again = bench.run("show", "--json").document
    assert again["caches"][-1]["bytes"] == 300
    assert "the engine takes longer to measure them" in again["notes"][0]
    bench.engine.slow_s = 0.0
    assert bench.run("show", "--json").document["caches"][-1]["bytes"] == 999


def test_volumes_are_not_measured_where_none_is_ours(bench: Bench) -> None:
    """The engine can only measure those of everybody, which takes it seconds."""
    bench.fill()
    del bench.engine.volumes[f"{bench.dev}_target"]
    assert bench.engine.volumes  # somebody else's
    assert bench.run("clean", "images", "--yes").code == 0
    assert bench.engine.asked.count("GET /system/df") == 2  # the builder's cache, twice


def test_the_layers_of_other_images_are_asked_for_once(bench: Bench) -> None:
    bench.fill()
    assert bench.run("clean", "volumes", "--yes").code == 0  # looks before and after
    assert bench.engine.asked.count("GET /images/json") == 2
    assert bench.engine.asked.count("GET /images/sha256:x/json") == 1


def test_growth_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 2 * 86_400)
    bench.run("show", "--json")
    monkeypatch.setattr(time, "time", lambda: now)
    bench.engine.records["m2"]["Size"] = 1700
    document = bench.run("show", "--json").document
    assert [c["grown_bytes"] for c in document["caches"][:2]] == [700, 0]
    assert document["grown_since"] is not None
    assert "+700 B" in bench.run().out


def test_an_engine_that_does_not_speak_to_us(bench: Bench) -> None:
    bench.endpoint = Endpoint("host-env", "ssh://far-away", Path("docker"))
    done = bench.run()
    assert done.code == 69
    assert "the engine at ssh://far-away does not tell what it keeps" in done.err


def test_without_an_engine_nothing_is_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "engine_if_running", lambda _session: None)
    shown = bench.run("show", "--json")
    assert (shown.code, shown.document["caches"]) == (0, [])
    assert "invoke engine start" in shown.document["notes"][0]
    assert bench.run("clean", "all", "--yes").code == 69


def session(bench: Bench) -> Session:
    return Session("build", progress="plain", folder=bench.root)


def built(*, image_bytes: int = 0, compiled: int | None = 1, downloaded: int = 0) -> BuildResult:
    image = ImageResult("api", "shop-api:prod", "sha256:a", image_bytes, "id", True, 1.0)
    caches = CacheUse(
        crates=None if compiled is None else CacheCount(100, compiled),
        bun=StoreUse(100, downloaded),
    )
    return BuildResult({"api": image}, (), 1.0, caches=caches)


def ceiling(bench: Bench, size: str) -> None:
    toml = f'[project]\nname = "shop"\n[cache]\nmax_size = "{size}"\nmax_age = ""\n'
    (bench.root / "rebake.toml").write_text(toml)


def test_after_a_build_the_ceiling_holds_and_what_is_needed_stays(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.fill()
    ceiling(bench, "1700")
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built())
    assert set(bench.engine.records) == {"m1", "m2", "l1", "l3"} | FOREIGN
    assert "caches: 550 B removed that no build needs; 1.5 kB stay" in capsys.readouterr().err
    (removal,) = bench.removals()
    assert removal.by == "a ceiling of [cache]"
    assert set(removal.names) == {"target release (rust:1.1)", "build layers"}
    ceiling(bench, "1000")
    bench.engine.changes.clear()
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built())
    assert bench.engine.changes == []
    assert "more than cache.max_size allows (1.0 kB): they stay" in capsys.readouterr().err


def test_far_below_the_ceiling_the_engine_is_not_asked_each_time(bench: Bench) -> None:
    bench.fill()
    ceiling(bench, "1GB")
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built())
    asked = len(bench.engine.asked)
    assert asked > 0
    step = RanStep(bench.id, str(bench.root), "[a 1/1] RUN x", "a", "", time.time(), time.time())
    for _ in range(24):
        with bench.log() as log:
            log.note_steps([step], {})
        caches_flow.keep_ceilings(session(bench), bench.endpoint, built())
    assert len(bench.engine.asked) == asked
    with bench.log() as log:
        log.note_steps([step], {})
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built())  # the 25th build
    assert len(bench.engine.asked) > asked


def near_the_ceiling(bench: Bench, size: str) -> int:
    """A look at 2,080 B of caches, and one build since then; how often the engine was asked."""
    bench.fill()
    ceiling(bench, size)
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built())
    step = RanStep(bench.id, str(bench.root), "[a 1/1] RUN x", "a", "", time.time(), time.time())
    with bench.log() as log:
        log.note_steps([step], {})
    return len(bench.engine.asked)


def test_the_engine_is_asked_when_builds_may_have_reached_the_ceiling(bench: Bench) -> None:
    asked = near_the_ceiling(bench, "100MB")
    # 20 MB, and six times its images, is what a build may add.
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built(image_bytes=13_000_000))
    assert len(bench.engine.asked) == asked
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built(image_bytes=14_000_000))
    assert len(bench.engine.asked) > asked


@pytest.mark.parametrize("much", [{"compiled": 21}, {"downloaded": 20}])
@pytest.mark.parametrize(("known", "due"), [(60_000_000, True), (40_000_000, False)])
def test_a_build_that_compiled_much_may_have_added_anything(
    bench: Bench, known: int, due: bool, much: dict[str, int]
) -> None:
    ceiling(bench, "100MB")
    with bench.log() as log:
        log.note_sizes(bench.id, [("total", "total", known)])
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built())
    assert bench.engine.asked == []
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built(**much))
    assert bool(bench.engine.asked) == due


def test_an_edit_of_the_ui_alone_asks_nothing_above_half(bench: Bench) -> None:
    ceiling(bench, "100MB")
    with bench.log() as log:
        log.note_sizes(bench.id, [("total", "total", 60_000_000)])
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built(compiled=None))
    assert bench.engine.asked == []


def test_no_ceiling_asks_nothing(bench: Bench) -> None:
    bench.fill()
    ceiling(bench, "")
    caches_flow.keep_ceilings(session(bench), bench.endpoint, built())
    assert bench.engine.asked == []


def test_a_build_does_not_fail_because_of_its_caches(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    ceiling(bench, "1GB")
    caches_flow.keep_ceilings(
        session(bench), Endpoint("host-env", "ssh://far-away", Path("docker")), built()
    )
    assert "could not be looked after" in capsys.readouterr().err


# what a build leaves for afterwards


def background(bench: Bench, monkeypatch: pytest.MonkeyPatch, **env: str) -> list[list[str]]:
    """Leave it to another process; what is started instead is returned."""
    started: list[list[str]] = []

    def start(command: process.Command, log: Path) -> int:
        assert command.cwd == bench.root
        assert log == upkeep(bench).log
        started.append(list(command.argv))
        return 1

    monkeypatch.setattr(process, "spawn_background", start)
    for name, value in ({"REBAKE_BUILD_UPKEEP": "background", "CI": ""} | env).items():
        monkeypatch.setenv(name, value)
    return started


def upkeep(bench: Bench) -> Upkeep:
    return Upkeep(bench.project.state)


def after_build(bench: Bench, result: BuildResult) -> BuildResult:
    one = session(bench)
    return upkeep_flow.after_build(
        one, bench.endpoint, result, wait=not upkeep_flow.in_background(one)
    )


LATER = replace(built(), later=("dependency layer",))


def test_a_build_leaves_its_caches_to_another_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = background(bench, monkeypatch)
    bench.fill()
    ceiling(bench, "1700")
    assert after_build(bench, LATER).later == ("dependency layer", "the caches' ceilings")
    assert bench.engine.asked == []
    (words,) = started
    assert words == [sys.executable, "-P", "-m", "rebake.cli", "refresh-cache", "upkeep"]
    said = "goes on in the background: dependency layer, the caches' ceilings"
    assert said in capsys.readouterr().err
    # One that has not begun yet sees to what comes meanwhile.
    after_build(bench, LATER)
    assert len(started) == 1
    monkeypatch.setattr(image_flow, "make_layer", lambda _session: True)
    stages: list[str] = []

    def run_steps(one: Session) -> bool:
        note = Upkeep(one.project.state).at_work()
        stages.append(note.stage if note is not None else "")
        return True

    monkeypatch.setattr(image_flow, "run_steps", run_steps)
    # It rests for a while, since whoever edits may edit again; here nobody does.
    resting: list[str] = []
    monkeypatch.setattr(Upkeep, "sleep", lambda upkeep: resting.append(upkeep.folder.name))
    done = bench.run("upkeep", "--json")
    assert resting == [bench.project.state.name]
    assert done.document["dependency_layer"] is True
    assert done.document["freed_bytes"] == 550
    assert stages == ["steps"]  # the engine takes them for new ones once
    assert set(bench.engine.records) == {"m1", "m2", "l1", "l3"} | FOREIGN
    assert upkeep(bench).wait(0.0)
    # The next build tells what nobody has read; it has just been looked, and it looks no more.
    upkeep_flow.tell_news(session(bench))
    assert "caches: 550 B removed that no build needs" in capsys.readouterr().err
    upkeep_flow.tell_news(session(bench))
    assert capsys.readouterr().err == ""
    assert after_build(bench, built()).later == ()
    assert len(started) == 1


def test_no_build_fails_because_nothing_can_be_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    background(bench, monkeypatch)

    def fails(_command: process.Command, _log: Path) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr(process, "spawn_background", fails)
    ceiling(bench, "")
    assert after_build(bench, LATER).later == ()
    assert "not begun in the background: dependency layer: [Errno 13] no" in capsys.readouterr().err


@pytest.mark.parametrize(
    "env",
    [
        {"CI": "true"},
        {"REBAKE_BUILD_UPKEEP": "foreground"},
        {"REBAKE_CACHE_REMOTE": "registry.example/shop", "REBAKE_CACHE_EXPORT": "true"},
    ],
)
def test_where_nobody_comes_after_it_is_done_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]
) -> None:
    started = background(bench, monkeypatch, **env)
    bench.fill()
    ceiling(bench, "1700")
    assert after_build(bench, built()).later == ()
    assert started == []
    assert set(bench.engine.records) == {"m1", "m2", "l1", "l3"} | FOREIGN


def test_upkeep_by_hand_waits_for_the_one_at_work_and_tells_no_news(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill()
    monkeypatch.setattr(image_flow, "make_layer", lambda _session: False)
    monkeypatch.setattr(image_flow, "run_steps", lambda _session: True)
    bench.project.state.mkdir(parents=True)
    held = threading.Event()

    def at_work() -> None:
        with FileLock(upkeep(bench).lock):
            held.set()
            time.sleep(0.2)

    other = threading.Thread(target=at_work)
    other.start()
    assert held.wait(30)
    ceiling(bench, "1700")
    done = bench.run("upkeep")
    other.join()
    assert "waits for the upkeep that is at work" in done.err
    assert "caches: 550 B removed" in done.err
    assert "no dependency layer was due" in done.err
    assert upkeep(bench).take_news() == []


def test_what_rests_begins_also_after_a_build_that_failed(bench: Bench) -> None:
    one = upkeep(bench)
    one.announce("resting")

    def build_that_fails() -> None:
        with upkeep_flow.resting(session(bench)):
            one.make_way()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_that_fails()
    assert float((one.folder / "upkeep.rest").read_text()) - time.time() <= 10


def test_upkeep_shows_what_it_would_do(bench: Bench) -> None:
    bench.fill()
    manifest = '[package]\nname = "api"\nversion = "1.0.0"\n[[bin]]\nname = "api"\npath = "a.rs"\n'
    (bench.root / "backend" / "Cargo.toml").write_text(manifest)
    (bench.root / "ui" / "package.json").write_text("{}")
    ceiling(bench, "1700")
    with (bench.root / "rebake.toml").open("a") as settings:
        settings.write('[backend]\nservices = ["api"]\n')
    shown = bench.run("upkeep", "--dry-run", "--json").document["commands"]
    assert [words[-1] for words in shown] == ["backend-deps", "id=m3", "id=l2"]
    assert bench.engine.changes == []


def test_upkeep_needs_an_engine_that_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "engine_if_running", lambda _session: None)
    assert bench.run("upkeep").code == 69


def test_the_images_of_a_worktree_that_is_gone_are_old(bench: Bench, tmp_path: Path) -> None:
    gone = tmp_path / "was-here"
    image = ImageRecord("api", "shop-99999999-api:prod", "sha256:old", 5, "id")
    with History(bench.state / "history.sqlite3") as history:
        history.record(
            BuildRecord(bench.id, str(gone), "prod", ("api",), 10.0, 1.0, "done", images=(image,))
        )
    bench.engine.image("sha256:old", "shop-99999999-api:prod", ("b", 70))
    (cache,) = bench.run("show", "--json").document["caches"]
    assert (cache["bytes"], cache["needed"]) == (70, False)
    gone.mkdir()
    assert bench.run("show", "--json").document["caches"] == []  # another's, who works there
