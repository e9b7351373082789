"""Which cache records can be a benchmark's own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.benchmark import made
from rebake.benchmark.made import could_be_of, steps_of
from rebake.engine import build_cache
from rebake.engine.build_cache import CacheRecord
from rebake.engine.endpoint import Endpoint, Kind
from rebake.errors import Interrupted

KNOWN = steps_of(
    "FROM rust AS build\nWORKDIR /app\nCOPY . .\n"
    "RUN --mount=type=bind,from=tools,target=/tools \\\n    sh /tools/x cargo build --release\n"
    "FROM scratch\nCOPY --from=build /app/target/release/${SERVICE} /usr/local/bin/service\n"
    'ENTRYPOINT ["/usr/local/bin/service"]\n'
)


def test_the_steps_of_a_dockerfile() -> None:
    assert {
        ("WORKDIR", "/app"),
        ("COPY", "."),
        ("RUN", "--release"),
        ("COPY", "/usr/local/bin/service"),
    } == KNOWN


@pytest.mark.parametrize(
    "description",
    [
        "[build 2/4] WORKDIR /app",
        "[build 3/4] COPY . .",
        "[stage-1 1/1] COPY --from=build /app/target/release/api /usr/local/bin/service",
        "mount / from exec /bin/sh -c sh /tools/x cargo build --release",
        'cached mount /t from exec /bin/sh -c sh /tools/x cargo build --release with id "/bench-1"',
        "local source for context",
    ],
)
def test_records_of_its_steps_are_its_own(description: str) -> None:
    assert could_be_of(description, KNOWN)


@pytest.mark.parametrize(
    "description",
    [
        "",
        "[stage-1 1/1] COPY --from=0 /told /told",
        "mount / from exec /bin/sh -c apt-get update",
        "[build 1/2] WORKDIR /src",
        "pulled from docker.io/library/postgres:17",
    ],
)
def test_records_of_other_builds_are_not(description: str) -> None:
    assert not could_be_of(description, KNOWN)


@pytest.mark.parametrize(("kind", "before"), [("host-env", 1), ("private", 0)])
def test_a_build_that_was_broken_off_comes_to_rest_first(
    kind: Kind, before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own engine has our clock: it need not be asked what was there before."""
    old = CacheRecord("old", "layer", 1, "", in_use=False, description="[build 3/4] COPY . .")
    late = replace(old, id="late", in_use=True, created_at=time.time() + 60)
    looks = [*[[old]] * before, [old, late], [old, late], [old, replace(late, in_use=False)]]
    monkeypatch.setattr(
        build_cache, "records", lambda _: looks.pop(0) if len(looks) > 1 else looks[0]
    )
    monkeypatch.setattr(made, "_LOOK_S", 0.0)
    endpoint = Endpoint(kind, "unix:///none", Path("docker"))
    one = made.Made("bench-1", tmp_path, endpoint, steps=KNOWN)
    with pytest.raises(Interrupted), one.building():
        raise Interrupted("docker")
    assert one.records == {"late"}
    assert len(looks) == 1


def one_of(folder: Path) -> made.Made:
    return made.Made("bench-1", folder, Endpoint("private", "unix:///nowhere", Path("docker")))


def test_files_that_are_still_written_are_removed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bench-1"
    folder.mkdir()
    monkeypatch.setattr(made, "_LOOK_S", 0.0)
    real, failures = made.shutil.rmtree, [OSError("not empty"), OSError("not empty")]

    def remove(path: Path) -> None:
        if failures:
            raise failures.pop()
        real(path)

    monkeypatch.setattr(made.shutil, "rmtree", remove)
    said: list[str] = []
    one_of(folder)._remove_folder(said.append)
    assert (folder.exists(), said) == (False, [])
    one_of(folder)._remove_folder(said.append)  # nothing is there
    assert said == []


def test_files_that_cannot_be_removed_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(_path: Path) -> None:
        raise OSError("not empty")

    monkeypatch.setattr(made, "_LOOK_S", 0.0)
    monkeypatch.setattr(made, "_STILL_WRITES_S", 0.01)
    monkeypatch.setattr(made.shutil, "rmtree", remove)
    said: list[str] = []
    one_of(tmp_path)._remove_folder(said.append)
    assert said == [f"{tmp_path} could not be removed, the next benchmark will: not empty"]
