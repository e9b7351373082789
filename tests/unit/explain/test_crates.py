"""Why cargo compiled a package: by its files, its entry, what it needs, or the lost mount."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rebake.explain.crates import explain_crates, would_compile
from rebake.explain.model import Cause
from rebake.explain.side import Side
from unit.explain.sides import FILES, VARIABLES, side, swapped, with_text

LIB = "backend/crates/core/src/lib.rs"
VERSIONS = {"itoa": "1.0.18", "ryu": "1.0.0"}
OTHER_ID = {**VARIABLES, "BACKEND_BUILD_ID": "two"}


def reasons(after: Side, *names: str, everything: Cause | None = None) -> dict[str, str]:
    compiled = [f"{name}@{VERSIONS.get(name, '0.1.0')}" for name in names]
    found = explain_crates(side(), after, "backend", compiled, everything)
    return {crate.name: crate.reason for crate in found}


def test_a_file_of_its_own_and_what_follows_from_it() -> None:
    after = side(swapped(LIB, "two()", "three()"))
    assert reasons(after, "core", "api") == {"core": f"{LIB} (+1 -1)", "api": "core changed"}


def test_what_a_reason_comes_down_to() -> None:
    after = side(swapped("backend/Cargo.lock", "1.0.18", "1.0.19"))
    compiled = ["itoa@1.0.19", "core@0.1.0", "api@0.1.0"]
    found = explain_crates(side(), after, "backend", compiled, None)
    assert [(c.name, c.reason, c.root) for c in found] == [
        ("itoa", "1.0.18 → 1.0.19", "itoa"),
        ("core", "itoa changed", "itoa"),
        ("api", "core changed", "itoa"),
    ]


def test_the_build_id_reaches_services_and_files_of_no_crate_reach_libraries() -> None:
    after = side(with_text("backend/migrations/1.sql", "select 2;\n"), variables=OTHER_ID)
    assert reasons(after, "core", "web") == {
        "core": "backend/migrations/1.sql (+1 -1)",
        "web": "the build id, which is compiled in, is another one",
    }


@pytest.mark.parametrize(
    "path", ["backend/Cargo.toml", "backend/.cargo/config.toml", "backend/rust-toolchain.toml"]
)
def test_what_holds_for_all_crates(path: str) -> None:
    after = side(with_text(path, FILES.get(path, "") + "# more\n"))
    for reason in reasons(after, "itoa", "core").values():
        assert path in reason or reason == "itoa changed"


def test_a_lost_mount_is_the_reason_of_all() -> None:
    gone = Cause("cache-gone", "the cache mount x")
    after = side(swapped(LIB, "two()", "three()"))
    assert set(reasons(after, "core", "itoa", everything=gone).values()) == {
        "the cache mount x is gone"
    }


def test_the_first_build() -> None:
    found = explain_crates(None, side(), "backend", ["ryu@1.0.0"], None)
    assert found[0].reason == "first build"


def test_a_package_that_is_new_in_the_lock_file() -> None:
    lock = FILES["backend/Cargo.lock"] + '[[package]]\nname = "new"\nversion = "3.0.0"\n'
    after = side(with_text("backend/Cargo.lock", lock))
    (crate,) = explain_crates(side(), after, "backend", ["new@3.0.0"], None)
    assert crate.reason == "new: 3.0.0"


def test_nothing_that_is_known_changed() -> None:
    assert reasons(side(), "ryu") == {"ryu": "cargo had no result of it that still holds"}


def test_what_would_be_compiled() -> None:
    def names(after: Side, *, everything: bool = False) -> set[str]:
        found = would_compile(side(), after, "backend", everything=everything)
        return {one.split("@")[0] for one in found}

    assert names(side()) == set()
    assert names(side(swapped(LIB, "two()", "three()"))) == {"core", "api", "web"}
    main = "backend/crates/api/src/main.rs"
    assert names(side(with_text(main, "// none\n"))) == {"api", "web"}
    lock = swapped("backend/Cargo.lock", "1.0.18", "1.0.19")
    assert names(side(lock)) == {"itoa", "core", "api", "web"}
    assert names(side(), everything=True) == {"api", "core", "itoa", "ryu", "web"}


def test_a_workspace_that_is_not_known_gives_no_wrong_reason() -> None:
    bare = replace(side(), facts={})
    (crate,) = explain_crates(bare, bare, "backend", ["api@0.1.0"], None)
    assert crate.reason == "cargo had no result of it that still holds"
