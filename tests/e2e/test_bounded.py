"""Caches under a ceiling: however many edits are built, they stay below it, and edits stay quick.

A few builds with a small ceiling by default. All of it, some ten minutes on two cores:

    REBAKE_E2E_BUILDS=50 pytest -s tests/e2e/test_bounded.py

builds fifty random edits under 3 GB, with binaries so large that they would take more than that,
and shows the caches and the time after each. Machines change their speed within minutes, by half
and more where others share them: so beside each edit a piece of fixed work is timed, and an edit's
time is counted in such pieces.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest

from e2e import small_project
from e2e.small_project import Bench

pytestmark = pytest.mark.engine

BUILDS = int(os.environ.get("REBAKE_E2E_BUILDS") or 4)
WHOLE = 50  # from here on, times are compared and the ceiling is 3 GB
CEILING = 3_000_000_000
BLOB = 25_000_000 if BUILDS >= WHOLE else 4_000_000  # bytes in each of the three binaries
SLOWER = 1.2  # times what an edit took at the beginning
FEW = 7
CORES = 2
WORK = "import hashlib\nfor n in range(400_000): hashlib.sha256(b'%d' % n).digest()"
FOLDER = Path(os.environ.get("REBAKE_E2E_FOLDER") or platformdirs.user_cache_path("rebake"))
READ = 'fn blob() -> u64 {\n    static BLOB: &[u8] = include_bytes!("blob.bin");\n'
READ += "    BLOB.iter().map(|&byte| u64::from(byte)).sum()\n}\n"


@dataclass(frozen=True)
class Built:
    """One edit that was built.

    Attributes:
        seconds: what it took.
        bytes: those of all caches afterwards.
        trimmed: whether something was removed to stay below the ceiling.
        piece: seconds of the fixed work, around the same time.
    """

    seconds: float
    bytes: int
    trimmed: bool
    piece: float


@pytest.fixture(scope="module")
def bench() -> Bench:
    made = small_project.make(FOLDER / "e2e-bounded")
    library = made.one.backend / "crates/core/src/lib.rs"
    text = library.read_text().replace("number.format(7)", "number.format(blob())")
    made.one.write("crates/core/src/lib.rs", f"{text}\n{READ}")
    (library.parent / "blob.bin").write_bytes(random.Random(1).randbytes(BLOB))
    return made


def edit(bench: Bench, chance: random.Random) -> None:
    """What people do: a line of the library, and at times a file of a service more."""
    bench.one.write_text(f"edit {chance.random()}")
    for service in ("api", "worker", "web"):
        if chance.random() < 0.3:
            bench.one.write(f"crates/{service}/src/note.rs", f"// {chance.random()}\n")


def fixed_work() -> float:
    """Seconds of the same work on each core: how fast the machine is just now."""
    if BUILDS < WHOLE:
        return 1.0  # nothing is compared

    def one(_: int) -> None:
        subprocess.run([sys.executable, "-c", WORK], check=True)

    started = time.monotonic()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(one, range(CORES)))
    return time.monotonic() - started


def build(bench: Bench, ceiling: int) -> Built:
    before = fixed_work()
    env = {"REBAKE_CACHE_MAX_SIZE": str(ceiling)}
    done = bench.one.invoke("build", "api", "--json", **env).ok()
    assert done.document["caches"]["crates"]["reused"] >= 1  # itoa: the mount was there
    piece = (before + fixed_work()) / 2
    shown = bench.one.invoke("refresh-cache", "--json", **env).ok().document
    trimmed = "removed" in done.stderr
    return Built(done.document["seconds"], shown["total_bytes"], trimmed, piece)


def test_caches_stay_under_their_ceiling_and_edits_stay_quick(bench: Bench) -> None:
    chance = random.Random(2)
    sizes = []
    for _ in range(2):  # the first compiles all, the second tells what an edit adds
        edit(bench, chance)
        bench.one.invoke("build", "api").ok()
        sizes.append(bench.one.invoke("refresh-cache", "--json").ok().document["total_bytes"])
    grows = max(sizes[1] - sizes[0], BLOB)
    ceiling = CEILING if BUILDS >= WHOLE else sizes[1] + 2 * grows
    print(f"at first {sizes[1] / 1e6:.0f} MB, an edit adds {grows / 1e6:.0f} MB")
    assert sizes[1] + BUILDS * grows > ceiling, "the ceiling would not be reached"
    built = []
    for number in range(1, BUILDS + 1):
        edit(bench, chance)
        built.append(one := build(bench, ceiling))
        trimmed = ", trimmed" if one.trimmed else ""
        pace = f"{one.seconds:6.2f} s ({one.piece:.2f} s of fixed work)"
        print(f"{number:3} {pace} {one.bytes / 1e6:7.0f} MB{trimmed}", flush=True)
        assert one.bytes <= ceiling
    if BUILDS >= WHOLE:
        by_the_clock, counted = (
            statistics.median(map(how_long, built[-FEW:]))
            / statistics.median(map(how_long, built[:FEW]))
            for how_long in (lambda one: one.seconds, lambda one: one.seconds / one.piece)
        )
        print(f"the last {FEW} took {by_the_clock:.2f} times as long as the first {FEW}")
        print(f"counted in pieces of fixed work: {counted:.2f} times")
        assert counted <= SLOWER
