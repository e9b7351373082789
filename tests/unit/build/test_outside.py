"""Which images a build takes in that rebake.toml does not name, and whether they are the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from rebake.build.outside import SETTING, Images, Outside, Recipe, guess, of_target, read
from rebake.build.plan import BuildPlan, PlannedImage
from rebake.engine.client import ImageInfo
from rebake.history.evidence import BakeTarget
from rebake.history.records import BuildRecord, FileDigest, StoredBuild
from rebake.project.dockerfile import parse

ROOT = Path(__file__).parents[3]
RUST = "rust:1"


def taken(text: str, **target: object) -> Outside:
    """What the target `api` of one Dockerfile takes in."""
    return several({"api": BakeTarget("backend", "Dockerfile", **target)}, text)  # type: ignore[arg-type]


def several(targets: Mapping[str, BakeTarget], text: str, name: str = "api") -> Outside:
    files = {"backend/Dockerfile": parse(text)}
    return of_target(Recipe(targets, files, {"backend", "ui", "docker/tools"}, {RUST}), name)


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM rust:1", set()),
        ("FROM scratch", set()),
        ("FROM other:tag", {"other:tag"}),
        ("FROM other@sha256:1", set()),
        ("FROM rust:1 AS a\nFROM a", set()),
        ("FROM unused:1 AS a\nFROM rust:1", set()),
        ("FROM alpine AS alpine\nRUN x", {"alpine"}),
        ("FROM a AS b\nFROM b AS a", {"a"}),
        ("FROM rust:1\nCOPY --from=other:tag /a /a", {"other:tag"}),
        ("FROM one:1 AS one\nFROM rust:1\nCOPY --from=one /a /a", {"one:1"}),
        ("FROM one:1\nFROM rust:1\nCOPY --from=0 /a /a", {"one:1"}),
        ("FROM rust:1\nRUN --mount=from=other:tag,target=/o x", {"other:tag"}),
        ("FROM rust:1\nRUN --mount=type=cache,from=other:tag,target=/o x", {"other:tag"}),
        ("FROM rust:1\nRUN --mount=type=cache,target=/o x", set()),
        ("FROM rust:1\nRUN --mount=target=/src --mount=from=tools,target=/t x", set()),
        ("ARG BASE=other:tag\nFROM ${BASE}", {"other:tag"}),
        ("ARG V=1\nARG BASE=other:$V\nFROM ${BASE}", {"other:1"}),
        ("ARG RUST_IMAGE\nFROM $RUST_IMAGE", set()),
        ("ARG GIVEN=other:tag\nFROM ${GIVEN}", {"given:1"}),
        ("FROM lib:latest", {"named:1"}),
        ("FROM docker.io/library/lib", {"named:1"}),
        ("FROM other:tag AS lib\nFROM rust:1\nCOPY --from=lib / /", {"named:1"}),
    ],
)
def test_the_images_of_a_target(text: str, images: set[str]) -> None:
    arguments = {"RUST_IMAGE": RUST, "GIVEN": "given:1"}
    contexts = {"tools": "docker/tools", "lib": "docker-image://named:1"}
    assert taken(text, arguments=arguments, contexts=contexts) == Outside(frozenset(images))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FROM base-${TARGETARCH}", "FROM base-${TARGETARCH}: nobody gives TARGETARCH a value"),
        ("FROM rust:1\nCOPY --from=$X /a /a", "a COPY takes from $X"),
        ("FROM rust:1\nRUN --mount=from=${X},target=/x y", "a RUN takes from ${X}"),
        ("FROM rust:1\nONBUILD COPY --from=x:1 /a /a", "an ONBUILD takes from somewhere"),
        ("# syntax=docker/dockerfile:1\nFROM rust:1", "is read by docker/dockerfile:1"),
        ("FROM rust:1 AS other", "the stage 'prod' is not in its Dockerfile"),
    ],
)
def test_what_can_not_be_told(text: str, reason: str) -> None:
    stage = "prod" if "other" in text else ""
    assert reason in taken(text, stage=stage).doubt


def test_a_syntax_with_a_digest_is_no_doubt() -> None:
    assert taken("# syntax=docker/dockerfile@sha256:1\nFROM rust:1") == Outside()


def test_a_dockerfile_or_a_folder_that_nobody_digests() -> None:
    own = {"api": BakeTarget("backend", "../other.Dockerfile")}
    assert "other.Dockerfile is none of the files" in several(own, "FROM rust:1").doubt
    files = {"elsewhere/Dockerfile": parse("FROM rust:1")}
    target = {"api": BakeTarget("elsewhere", "Dockerfile")}
    assert (
        "takes elsewhere as a context" in of_target(Recipe(target, files, {"ui"}, ()), "api").doubt
    )
    assert of_target(Recipe({}, files, {"ui"}, ()), "api").doubt


def test_another_target_as_a_context() -> None:
    targets = {
        "api": BakeTarget("backend", "Dockerfile", "end", {}, {"web": "target:web"}),
        "web": BakeTarget("backend", "Dockerfile", "web"),
    }
    text = "FROM web:1 AS web\nFROM rust:1 AS end\nCOPY --from=web / /\n"
    assert several(targets, text).images == {"web:1"}
    del targets["web"]
    assert several(targets, text).doubt == "bake does not tell what web is made of"


def test_what_a_build_chooses_by_itself_may_be_either() -> None:
    text = "ARG SEED\nARG NETWORK\nFROM a AS none\nFROM b AS deps\nFROM c AS online\n"
    text += "FROM d AS offline\nFROM ${NETWORK} AS net\nFROM ${SEED}\nCOPY --from=net / /\n"
    given = {"SEED": "$SEED", "NETWORK": "online"}
    assert taken(text, arguments=given).images == {"a", "b", "c", "d"}


def test_this_project_takes_in_what_it_names() -> None:
    bases = {"rust": "rust:1.97-slim-trixie", "bun": "oven/bun:1.4.5-slim"}
    files = {
        f"{half}/Dockerfile": parse((ROOT / half / "Dockerfile").read_text(encoding="utf-8"))
        for half in ("backend", "ui")
    }
    tools = {"tools": "docker/tools"}
    arguments = {"COMPILER_CACHE": "none", "SEED": "$SEED", "NETWORK": "online"}
    arguments |= {"RUST_IMAGE": bases["rust"]}
    of_ui = {"UI_MANAGER": "bun", "NETWORK": "online", "BUN_IMAGE": bases["bun"]}
    targets = {
        "api": BakeTarget("backend", "Dockerfile", "prod", arguments, tools),
        "ui": BakeTarget("ui", "Dockerfile", "prod", of_ui, tools | {"server": "target:web"}),
        "web": BakeTarget("backend", "Dockerfile", "prod", arguments, tools),
    }
    recipe = Recipe(targets, files, {"backend", "ui"}, bases.values())
    assert [of_target(recipe, name) for name in targets] == [Outside()] * 3


def test_a_guess_takes_in_too_much() -> None:
    text = "ARG B=b:1\nFROM ${B} AS b\nFROM unused:1 AS c\nFROM scratch\nCOPY --from=x:1 / /\n"
    assert guess([parse(text)], {}) == {"b:1", "unused:1", "x:1"}


# the engine's part


@pytest.fixture
def plan(tmp_path: Path) -> BuildPlan:
    folder = tmp_path / "backend"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM other:tag\n")
    image = PlannedImage("api", "api", "shop-api:prod", "backend", ("backend",))
    return BuildPlan("prod", tmp_path, tmp_path / "bake", (image,), {"backend": folder}, {})


TARGETS = {"api": BakeTarget("backend", "Dockerfile")}


def images(plan: BuildPlan, there: Mapping[str, str]) -> Images:
    def ask(ref: str) -> ImageInfo | None:
        return ImageInfo(id=there[ref], digest=there[ref], bytes=1) if ref in there else None

    return Images(plan, {"recipe": (FileDigest("backend/Dockerfile", "d", 1),)}, {}, ask)


def built(plan: BuildPlan, there: Mapping[str, str]) -> StoredBuild:
    """A build of now, as the history gives it back."""
    now = images(plan, there)
    now.begin(TARGETS)
    settings = now.settings(TARGETS)
    record = BuildRecord(
        project="shop", worktree="/w", mode="prod", targets=("api",), started_at=0.0, seconds=1.0,
        outcome="done", settings=settings, base_images=now.base_images(settings),
    )  # fmt: skip
    return StoredBuild(1, record, "")


def test_the_digest_is_recorded_and_compared(plan: BuildPlan) -> None:
    last = built(plan, {"other:tag": "sha256:1"})
    assert last.record.base_images == {"other:tag": "sha256:1"}
    same, other = images(plan, {"other:tag": "sha256:1"}), images(plan, {"other:tag": "sha256:2"})
    assert same.unlike({"api": last}) == (False, "")
    assert other.unlike({"api": last}) == (True, "")


def test_an_image_that_the_engine_does_not_have_is_a_doubt(plan: BuildPlan) -> None:
    last = built(plan, {"other:tag": "sha256:1"})
    changed, doubt = images(plan, {}).unlike({"api": last})
    assert not changed
    assert doubt.startswith("the engine has no image other:tag")
    changed, doubt = images(plan, {"other:tag": "sha256:1"}).unlike({"api": built(plan, {})})
    assert doubt == "the digest of other:tag in the last build is not known"


def test_a_record_that_does_not_tell_is_a_doubt(plan: BuildPlan) -> None:
    last = built(plan, {"other:tag": "sha256:1"})
    for settings in ({}, {SETTING + "api": "no json"}):
        older = replace(last, record=replace(last.record, settings=settings))
        assert images(plan, {}).unlike({"api": older})[1]
    doubt = {SETTING + "api": Outside(doubt="who knows").text()}
    older = replace(last, record=replace(last.record, settings=doubt))
    assert images(plan, {}).unlike({"api": older}) == (False, "who knows")


def test_before_bake_has_told_what_may_be_is_asked_for(plan: BuildPlan) -> None:
    now = images(plan, {"other:tag": "sha256:1"})
    now.begin(None)
    now.wait()
    assert now.base_images(now.settings(TARGETS)) == {"other:tag": "sha256:1"}


def test_a_setting_is_read_as_it_was_written() -> None:
    for one in (Outside(), Outside(frozenset({"a:1"}), "b")):
        assert read(one.text()) == one
