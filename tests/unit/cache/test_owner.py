"""What a project calls its own, and what only looks like it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rebake.cache.owner import Gone, Owner, mounts_of

REPOSITORY = Path(__file__).parents[3]
RUST = "rust:1.97-slim-trixie"
OWNER = Owner(
    cache_id="shop-0d24ab12",
    worktree="/w",
    stacks={"prod": "shop-11111111", "dev": "shop-11111111-dev"},
    gone=(Gone("/old", "shop-22222222"),),
    rust=RUST,
    manager="npm",
    packages="0123456789ab",
    mounts=mounts_of(
        [(REPOSITORY / half / "Dockerfile").read_text() for half in ("backend", "ui")]
        + ["RUN --mount=type=cache,id=${CACHE_ID}-own-${TARGETARCH},target=/x x"]
    ),
)


@pytest.mark.parametrize(
    ("mount", "name"),
    [
        ("shop-0d24ab12-cargo", "cargo registry"),
        ("shop-0d24ab12-cargo-tools", "cargo tools"),
        ("shop-0d24ab12-sccache", "compiler cache"),
        ("shop-0d24ab12-bun", "bun store"),
        ("shop-0d24ab12-npm", "npm store"),
        (f"shop-0d24ab12-target-release-amd64-{RUST}", "target release"),
        ("shop-0d24ab12-target-release-amd64-rust:1.96", "target release (rust:1.96)"),
        (f"shop-0d24ab12-target-release-arm64-{RUST}@sha256:{'a' * 64}",
         f"target release ({RUST}@sha256:{'a' * 64})"),
        ("shop-0d24ab12-own-arm64", "own-arm64"),
    ],
)  # fmt: skip
def test_our_mounts_have_names(mount: str, name: str) -> None:
    assert OWNER.mount_name(OWNER.suffix(mount)) == name


@pytest.mark.parametrize(
    "mount",
    [
        "shop-cargo",
        "shop-0d24ab12",
        "shop-0d24ab12-",
        "shop-0d24ab12x-cargo",
        "shop-0d24ab13-cargo",
        "other-shop-0d24ab12-cargo",
        # Of a project that is called as our mounts begin.
        "shop-0d24ab12-ffffffff-cargo",
        "shop-0d24ab12-target-release-ffffffff-cargo",
        f"shop-0d24ab12-target-ffffffff-target-release-amd64-{RUST}",
        "shop-0d24ab12-own-ffffffff-cargo",
        "shop-0d24ab12-other-run-cargo",
        "shop-0d24ab12-cargo-mirror",
        "rebake-app-cargo",
        "",
    ],
)
def test_what_only_begins_like_ours_is_not(mount: str) -> None:
    assert OWNER.suffix(mount) == ""


def test_a_mount_of_another_toolchain_or_manager_is_not_needed() -> None:
    assert OWNER.needs_mount(f"target-release-amd64-{RUST}")
    assert OWNER.needs_mount("cargo")
    assert OWNER.needs_mount("npm")
    assert not OWNER.needs_mount("bun")
    assert not OWNER.needs_mount("target-release-amd64-rust:1.96")


@pytest.mark.parametrize(
    ("key", "own", "name", "needed"),
    [
        ("target", "target", "target debug volume", True),
        ("bun", "npm", "npm store volume", True),
        ("bun", "bun", "bun store volume", False),
        ("node_modules", "node_modules_0123456789ab", "packages volume", True),
        ("node_modules", "node_modules_ff", "packages volume of another lock-file (ff)", False),
    ],
)
def test_volumes_have_names(key: str, own: str, name: str, needed: bool) -> None:
    assert OWNER.volume_name("shop-11111111-dev", key, f"shop-11111111-dev_{own}") == (name, needed)


@pytest.mark.parametrize(
    ("project", "found"),
    [
        ("shop-11111111", ("prod", "")),
        ("shop-11111111-dev", ("dev", "")),
        ("shop-22222222-dev", ("dev", "of /old, which is gone")),
        ("shop-11111111-dev-2", None),
        ("shop-33333333", None),
        ("shop", None),
        ("", None),
    ],
)
def test_stacks(project: str, found: tuple[str, str] | None) -> None:
    assert OWNER.stack(project) == found


def test_every_mount_of_our_dockerfiles_is_known() -> None:
    """Where a Dockerfile gets a new mount, it is shown and cleaned too."""
    values = {"CACHE_ID": "shop-0d24ab12", "TARGETARCH": "amd64", "RUST_IMAGE": RUST}
    found = set()
    for half in ("backend", "ui"):
        text = (REPOSITORY / half / "Dockerfile").read_text()
        for name in re.findall(r"--mount=type=cache,id=([^,\s]+)", text):
            for manager in ("bun", "npm"):
                known = values | {"UI_MANAGER": manager}
                found.add(re.sub(r"\$\{(\w+)\}", lambda m, known=known: known[m[1]], name))
    assert len(found) >= 5
    assert [name for name in found if not OWNER.suffix(name)] == []


def test_a_mount_that_is_only_a_variable_claims_nothing() -> None:
    assert mounts_of(["RUN --mount=type=cache,id=${CACHE_ID}-${X},target=/x x"]) == ()
