"""Every word of `refresh-cache`, on a real engine, with somebody else's things beside ours."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from e2e import small_project
from e2e.small_project import Bench
from rebake.engine import api, build_cache
from rebake.engine.build_cache import CacheRecord
from rebake.engine.endpoint import Endpoint
from rebake.project.project import open_project

pytestmark = pytest.mark.engine

FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake"))
WORDS = (
    ("show",),
    ("clean", "images"),
    ("clean", "volumes"),
    ("prune", "--older-than", "0s"),
    ("clean", "build"),
    ("prune", "--max-size", "1kB"),
    ("clean", "all"),
)
BUILT_BEFORE = (("show",), ("clean", "build"), ("clean", "all"))


@dataclass(frozen=True)
class Foreign:
    """Things that are not this project's, with names as much like ours as can be."""

    bench: Bench
    run: str
    prefix: str
    dev: str
    rust: str

    @property
    def mounts(self) -> tuple[str, ...]:
        """A mount that begins with our prefix, and one that does not."""
        return f"{self.bench.one.cache_id}-other-{self.run}-cargo", f"foreign-{self.run}-cargo"

    @property
    def image(self) -> str:
        return f"{self.prefix}-api-{self.run}:prod"

    @property
    def volume(self) -> str:
        return f"{self.dev}-{self.run}_target"

    @property
    def data(self) -> str:
        """Our own, but no cache: the development stack's database."""
        return f"{self.dev}_data"

    @property
    def place(self) -> Path:
        return self.bench.one.root.parent / "foreign"

    def make(self) -> None:
        docker = self.bench.docker
        self.dockerfile(f"echo {self.run} | tee /m0/sentinel /m1/sentinel >/layer")
        docker("buildx", "build", "--provenance=false", "--tag", self.image, str(self.place))
        docker("network", "create", f"foreign-{self.run}")
        for name, project, key in (
            (self.volume, f"{self.dev}-{self.run}", "target"),
            (self.data, self.dev, "data"),
        ):
            docker(
                "volume", "create", "--label", f"com.docker.compose.project={project}",
                "--label", f"com.docker.compose.volume={key}", name,
            )  # fmt: skip
        docker(
            "run", "--detach", "--name", f"foreign-{self.run}", "--network", f"foreign-{self.run}",
            "--volume", f"{self.volume}:/v", "--volume", f"{self.data}:/d", self.rust,
            "sh", "-c", f"echo {self.run} | tee /v/sentinel >/d/sentinel; sleep 600",
        )  # fmt: skip

    def dockerfile(self, script: str) -> None:
        self.place.mkdir(exist_ok=True)
        mounts = " ".join(
            f"--mount=type=cache,id={name},target=/m{n}" for n, name in enumerate(self.mounts)
        )
        (self.place / "Dockerfile").write_text(
            f"FROM {self.rust}\nRUN {mounts} --network=none {script}\n"
            "FROM scratch\nCOPY --from=0 /layer /layer\n"
        )

    def sentinels(self) -> str:
        """What the foreign mounts hold now."""
        self.dockerfile(f": {time.time_ns()} && cat /m0/sentinel /m1/sentinel >/layer")
        self.bench.docker(
            "buildx", "build", "--provenance=false", "--output", "type=local,dest=told-foreign",
            self.place.name, cwd=self.place.parent,
        )  # fmt: skip
        return (self.place.parent / "told-foreign" / "layer").read_text()

    def state(self) -> dict[str, Any]:
        """All that must not change, content included."""
        records = everything(self.bench)
        mounts = [r for r in records if r.mount_id in self.mounts]
        layers = [r for r in records if r.kind == "layer" and self.run in r.description]
        container = told(self.bench, f"/containers/foreign-{self.run}/json")
        return {
            "mounts": sorted((r.id, r.bytes) for r in mounts),
            "layers": sorted(r.bytes for r in layers),
            "image": told(self.bench, f"/images/{self.image}/json")["Id"],
            "network": told(self.bench, f"/networks/foreign-{self.run}")["Id"],
            "container": (container["Id"], container["State"]["StartedAt"]),
            "running": container["State"]["Running"],
            "base": told(self.bench, f"/images/{self.rust}/json")["Id"],
            "files": self.bench.docker(
                "exec", f"foreign-{self.run}", "sh", "-c", "sha256sum /v/* /d/*; ls -lan /v /d"
            ),
        }

    def settled(self) -> dict[str, Any]:
        """The same, once the engine tells all: it leaves out what a build has not let go of yet."""
        limit = time.monotonic() + 10
        found = self.state()
        while len(found["mounts"]) < len(self.mounts) and time.monotonic() < limit:
            time.sleep(0.5)
            found = self.state()
        assert len(found["mounts"]) == len(self.mounts)
        assert found["layers"]
        return found

    def remove(self) -> None:
        docker = self.bench.docker
        docker("rm", "--force", f"foreign-{self.run}", check=False)
        docker("network", "rm", f"foreign-{self.run}", check=False)
        docker("volume", "rm", self.volume, self.data, check=False)
        docker("image", "rm", self.image, check=False)
        mounts = [r.id for r in everything(self.bench) if r.mount_id in self.mounts]
        build_cache.remove(endpoint(self.bench), mounts)


def endpoint(bench: Bench) -> Endpoint:
    return Endpoint("private", bench.docker.env["DOCKER_HOST"], Path(bench.docker.program))


def told(bench: Bench, path: str) -> Any:
    """What the engine itself answers; its client would take ten times as long."""
    answer = api.ask(bench.docker.env["DOCKER_HOST"], path)
    assert answer is not None
    assert answer.ok, answer
    return answer.document


def everything(bench: Bench) -> tuple[CacheRecord, ...]:
    """All records of the builder's cache, of everybody; an engine that works hard may be slow."""
    found = build_cache.records(endpoint(bench))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    one = small_project.make(FOLDER / "e2e-refresh" / "a b")
    yield one
    stack = open_project(one.one.root).compose_name("dev")
    one.docker("rm", "--force", f"{stack}-api-1", check=False)
    one.one.invoke("refresh-cache", "clean", "all", "--yes")


@pytest.fixture
def foreign(bench: Bench) -> Iterator[Foreign]:
    project = open_project(bench.one.root)
    one = Foreign(
        bench,
        f"f{time.time_ns():x}",
        project.compose_name("prod"),
        project.compose_name("dev"),
        project.config.base_images.rust,
    )
    try:
        one.make()
        yield one
    finally:
        one.remove()


def caches(bench: Bench) -> dict[str, Any]:
    document: dict[str, Any] = bench.one.invoke("refresh-cache", "show", "--json").ok().document
    return document


def make_volume(bench: Bench) -> str:
    """A volume as the development stack makes it, held by a container that was stopped."""
    project = open_project(bench.one.root)
    stack, rust = project.compose_name("dev"), project.config.base_images.rust
    name = f"{stack}_target"
    label = f"com.docker.compose.project={stack}"
    bench.docker("rm", "--force", f"{stack}-api-1", check=False)
    bench.docker(
        "volume", "create", "--label", label, "--label", "com.docker.compose.volume=target", name
    )
    bench.docker(
        "run", "--name", f"{stack}-api-1", "--label", label, "--volume", f"{name}:/target", rust,
        "dd", "if=/dev/zero", "of=/target/compiled", "bs=1M", "count=3", "status=none",
    )  # fmt: skip
    return name


def test_every_word_leaves_what_is_not_ours_as_it_is(bench: Bench, foreign: Foreign) -> None:
    before = foreign.settled()
    for words in WORDS:
        if words in BUILT_BEFORE:
            bench.one.write_text(f"{words} {time.time_ns()}")
            bench.built()
        if words[-1] in {"volumes", "all"}:
            make_volume(bench)
        if words == WORDS[-1]:
            shown = caches(bench)
        done = bench.one.invoke("refresh-cache", *words, *([] if words == ("show",) else ["--yes"]))
        done.ok()
        assert foreign.state() == before, words
    assert foreign.sentinels() == f"{foreign.run}\n" * 2

    # What the last word, `clean all`, has left of ours.
    assert {cache["kind"] for cache in shown["caches"]} == {"mount", "layers", "image", "volume"}
    names = {cache["name"] for cache in shown["caches"]}
    assert {"target release", "cargo registry", "dependency layers", "api image (prod)"} <= names
    left = caches(bench)
    assert left["total_bytes"] <= 0.05 * shown["total_bytes"]
    assert {cache["kind"] for cache in left["caches"]} <= {"layers"}
    prefix = f"{bench.one.cache_id}-"
    mounts = [r.mount_id for r in everything(bench) if r.mount_id.startswith(prefix)]
    assert not [mount for mount in mounts if "-other-" not in mount]


def test_what_is_in_use_stays(bench: Bench) -> None:
    rust = open_project(bench.one.root).config.base_images.rust
    volume = make_volume(bench)
    holder = bench.docker(
        "run", "--detach", "--rm", "--volume", f"{volume}:/v", rust, "sleep", "600"
    ).strip()
    try:
        cleaned = bench.one.invoke("refresh-cache", "clean", "volumes", "--yes", "--json").ok()
        assert cleaned.document["removed"] == []
        assert cleaned.document["kept"] == ["dev target debug volume"]
        assert volume in bench.docker("volume", "ls", "--quiet").split()
    finally:
        bench.docker("rm", "--force", holder)
    bench.one.invoke("refresh-cache", "clean", "volumes", "--yes").ok()
    assert volume not in bench.docker("volume", "ls", "--quiet").split()


def test_nothing_goes_unasked(bench: Bench) -> None:
    bench.built()
    before = pytest.approx(caches(bench)["total_bytes"], rel=0.05)
    for words in (("clean", "all"), ("prune", "--max-size", "1kB"), ("clean", "build", "--json")):
        refused = bench.one.invoke("refresh-cache", *words)
        assert refused.returncode == 2
        assert "--yes" in refused.stderr
    planned = bench.one.invoke("refresh-cache", "clean", "all", "--dry-run", "--json").ok().document
    assert planned["said_bytes"] == before
    assert caches(bench)["total_bytes"] == before


def test_under_a_ceiling_only_old_layers_go(bench: Bench) -> None:
    """And the next build still finds its mount."""
    bench.built()
    before = caches(bench)["total_bytes"]
    bench.one.write_text(f"one more {time.time_ns()}")
    bench.built()
    grown = caches(bench)["total_bytes"]
    ceiling = grown + (grown - before) // 2  # what two builds make, but not three
    env = {"REBAKE_CACHE_MAX_SIZE": str(ceiling)}
    for number in range(3):
        bench.one.write_text(f"ceiling {number} {time.time_ns()}")
        document = bench.one.invoke("build", "api", "--json", **env).ok().document
        assert document["caches"]["crates"]["reused"] >= 1  # itoa, from the mount
        shown = json.loads(bench.one.invoke("refresh-cache", "--json", **env).ok().stdout)
        assert shown["total_bytes"] <= ceiling


def test_a_mount_that_somebody_else_removed_is_not_shown(bench: Bench) -> None:
    bench.built()
    start = f"{bench.one.cache_id}-target-"
    mounts = [record.id for record in everything(bench) if record.mount_id.startswith(start)]
    assert mounts
    build_cache.remove(endpoint(bench), mounts)
    assert "target release" not in {cache["name"] for cache in caches(bench)["caches"]}
