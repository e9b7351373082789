"""What may go, in which order, and what never does."""

from __future__ import annotations

import pytest

from rebake.cache.inventory import Inventory, Kind, NamedCache, Piece
from rebake.cache.plan import WORDS, Choice, clean, under, unneeded, unused
from rebake.cache.remove import commands, freed


def cache(name: str, kind: Kind, *pieces: Piece, cost: float | None = None) -> NamedCache:
    return NamedCache(name, kind, pieces, cost)


TARGET = cache("target release", "mount", Piece("target", 100, used_at=90), cost=115.0)
CARGO = cache("cargo registry", "mount", Piece("cargo", 30, used_at=90))
OLD = cache("target release (old)", "mount", Piece("old", 80, used_at=10, needed=False))
DEPS = cache("dependency layers", "layers", Piece("deps", 50, used_at=80, parents=("tools",)),
             cost=40.0)  # fmt: skip
LAYERS = cache(
    "build layers",
    "layers",
    Piece("tools", 20, used_at=50),
    Piece("one", 5, used_at=20, needed=False, parents=("tools",)),
    Piece("two", 5, used_at=30, needed=False, parents=("one",)),
    Piece("three", 5, used_at=85, parents=("tools",)),
    cost=9.0,
)
IMAGE = cache("api image (prod)", "image", Piece("shop-api:prod", 12, used_at=95), cost=1.0)
ORPHAN = cache("x of /old", "image", Piece("old-api:prod", 12, used_at=5, needed=False))
VOLUME = cache("dev target volume", "volume", Piece("v", 200, used_at=70))
ALL = Inventory((TARGET, CARGO, OLD, DEPS, LAYERS, IMAGE, ORPHAN, VOLUME))
NOTHING = Choice()


def ids(choice: Choice) -> set[str]:
    return {removal.piece.id for removal in choice.removals}


@pytest.mark.parametrize(
    ("word", "gone"),
    [
        ("build", {"target", "cargo", "old", "deps", "tools", "one", "two", "three"}),
        ("images", {"shop-api:prod", "old-api:prod"}),
        ("volumes", {"v"}),
    ],
)
def test_each_word_takes_its_kinds_and_no_other(word: str, gone: set[str]) -> None:
    choice = clean(ALL, WORDS[word])
    assert ids(choice) == gone
    assert choice.left_bytes == ALL.bytes - choice.bytes


def test_all_is_all() -> None:
    choice = clean(ALL, WORDS["all"])
    assert choice.bytes == ALL.bytes
    assert choice.left_bytes == 0
    assert choice.cost_s == 115.0 + 40.0 + 9.0 + 1.0
    assert "target release (old)" not in choice.needed


def test_what_is_in_use_stays_and_is_told() -> None:
    busy = cache("busy", "mount", Piece("busy", 7, in_use=True))
    choice = clean(Inventory((busy, CARGO)), WORDS["all"])
    assert (ids(choice), choice.kept) == ({"cargo"}, ("busy",))


def test_a_layer_stays_under_one_that_is_in_use() -> None:
    lower = Piece("lower", 5)
    upper = Piece("upper", 5, in_use=True, parents=("lower",))
    choice = clean(Inventory((cache("build layers", "layers", lower, upper),)), WORDS["all"])
    assert (ids(choice), choice.kept) == (set(), ("build layers",))


def test_what_no_build_needs() -> None:
    assert ids(unneeded(ALL)) == {"old", "one", "two", "old-api:prod"}
    assert ids(unneeded(ALL, before=15)) == {"old", "old-api:prod"}
    assert unneeded(ALL).needed == ()


def test_an_old_layer_stays_as_long_as_a_young_one_stands_on_it() -> None:
    assert "one" not in ids(unneeded(ALL, before=25))  # `two` was used at 30
    assert {"one", "two"} <= ids(unneeded(ALL, before=30))


def test_what_nobody_used_goes_though_the_next_build_needs_it() -> None:
    choice = unused(ALL, before=70)
    assert ids(choice) == {"old", "one", "two", "old-api:prod", "v"}
    assert choice.needed == ("dev target volume",)
    assert "tools" not in ids(choice)  # what stands on it was used later


def test_under_a_ceiling_that_is_kept_nothing_goes() -> None:
    assert under(ALL, ALL.bytes, NOTHING, needed=True).removals == ()


def test_old_layers_go_first_then_images_then_mounts() -> None:
    def gone(over: int) -> set[str]:
        return ids(under(ALL, ALL.bytes - over, NOTHING, needed=False))

    assert gone(1) == {"one", "two"}  # the older one, and what stands on it
    assert gone(10) == {"one", "two"}
    assert gone(11) == {"one", "two", "old-api:prod"}
    assert gone(23) == {"one", "two", "old-api:prod", "old"}
    # No further: what the next build needs stays, whatever the ceiling.
    assert gone(10_000) == gone(23)


def test_when_asked_what_the_next_build_needs_goes_last_the_cheapest_first() -> None:
    loose = 5 + 5 + 12 + 80

    def gone(over: int) -> list[str]:
        choice = under(ALL, ALL.bytes - loose - over, NOTHING, needed=True)
        assert choice.bytes >= loose + over
        return list(choice.needed)

    assert gone(1) == ["api image (prod)"]
    # The layers that others stand on take these along.
    assert gone(13) == ["dependency layers", "build layers", "api image (prod)"]
    assert gone(12 + 75 + 1) == [
        "target release", "dependency layers", "build layers", "api image (prod)",
    ]  # fmt: skip
    everything = under(ALL, 1, NOTHING, needed=True)
    assert everything.left_bytes == 0


def test_what_goes_anyhow_counts() -> None:
    already = unneeded(ALL)
    assert under(ALL, ALL.bytes - already.bytes, already, needed=True).removals == already.removals


def test_in_use_does_not_go_under_any_ceiling() -> None:
    busy = cache("busy", "mount", Piece("busy", 70, in_use=True, needed=False))
    choice = under(Inventory((busy, CARGO)), 1, NOTHING, needed=True)
    assert (ids(choice), choice.kept, choice.left_bytes) == ({"cargo"}, ("busy",), 70)


def test_the_commands_of_a_dry_run() -> None:
    choice = clean(Inventory((CARGO, DEPS, IMAGE, VOLUME)), WORDS["all"])
    assert commands(choice) == [
        ("docker", "buildx", "prune", "--force", "--all", "--filter", "id=cargo"),
        ("docker", "buildx", "prune", "--force", "--all", "--filter", "id=deps"),
        ("docker", "image", "rm", "shop-api:prod"),
        ("docker", "volume", "rm", "v"),
    ]


def test_only_what_is_gone_counts_as_freed() -> None:
    choice = clean(ALL, WORDS["build"])
    assert freed(choice, Inventory((IMAGE, ORPHAN, VOLUME))) == (choice.bytes, ())
    assert freed(choice, Inventory((TARGET, LAYERS))) == (
        choice.bytes - 100 - 35, ("target release", "build layers"),
    )  # fmt: skip
