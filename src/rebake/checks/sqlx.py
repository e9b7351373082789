"""Is `.sqlx`, the data that queries are checked against without a database, what it should be?

The same answer as `cargo sqlx prepare --check`, without sqlx-cli: the migrations make a database,
the crates with queries are compiled against it, and what sqlx's macros then write is compared.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
import time
import tomllib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Literal

from msgspec import Struct

from rebake.checks.tools import Tool
from rebake.errors import ProjectError
from rebake.process import Outcome, run

_QUERY = re.compile(r"\bquery(?:_\w+)?!\s*[\(\[{]")
_PREPARE = "invoke sqlx-prepare brings it up to date: commit what it writes"
FOLDER = ".sqlx"
# What became of a file, and in words what is wrong with the one that is committed.
_WORDS = {
    "added": "missing",
    "removed": "no query needs it",
    "changed": "differs from what the query and the migrations say",
}


class Change(Struct, frozen=True):
    """A file of `.sqlx` that is not as it has to be.

    Attributes:
        name: its name.
        kind: what makes it right: it is added, removed or changed.
    """

    name: str
    kind: Literal["added", "removed", "changed"]

    def __str__(self) -> str:
        return f"{FOLDER}/{self.name}: {_WORDS[self.kind]}"


def check(cargo: Tool, backend: Path, scratch: Path, env: Mapping[str, str]) -> Outcome:
    """Compare `backend/.sqlx` with what the sources and the migrations ask for.

    Args:
        cargo: the compiler.
        backend: the cargo workspace.
        scratch: a folder that cargo sees under the same path, for temporary files.
        env: variables for cargo.

    Returns:
        The failing command's outcome, or one that names each file that differs.
    """
    started = time.monotonic()
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="sqlx-") as folder:
        fresh = Path(folder) / "data"
        fresh.mkdir()
        failed = generate(cargo, backend, Path(folder), fresh, env)
        if failed is not None:
            return failed
        faults = differences(fresh, backend / FOLDER)
    text = "".join(f"{fault}\n" for fault in faults)
    if faults:
        text += f"{_PREPARE}\n"
    return Outcome(("sqlx data",), int(bool(faults)), text, "", time.monotonic() - started)


def prepare(
    cargo: Tool, backend: Path, scratch: Path, env: Mapping[str, str], *, write: bool
) -> list[Change]:
    """Bring `backend/.sqlx` up to date, or only say what that would change.

    Args:
        cargo: the compiler.
        backend: the cargo workspace.
        scratch: a folder that cargo sees under the same path, for temporary files.
        env: variables for cargo.
        write: whether to change files; each is complete before it takes its name.

    Raises:
        CommandFailed: the sources do not compile against the migrated database.
        ProjectError: a migration is no valid SQL for SQLite.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="sqlx-") as folder:
        fresh = Path(folder) / "data"
        fresh.mkdir()
        failed = generate(cargo, backend, Path(folder), fresh, env)
        if failed is not None:
            failed.check("mend the query or the migration: cargo's words above name it")
        changes = differences(fresh, backend / FOLDER)
        if write and changes:
            (backend / FOLDER).mkdir(exist_ok=True)
            for change in changes:
                _carry_out(change, fresh, backend / FOLDER)
    return changes


def _carry_out(change: Change, fresh: Path, folder: Path) -> None:
    file = folder / change.name
    if change.kind == "removed":
        file.unlink()
        return
    # Written anew, not moved: what a container's cargo wrote is another user's.
    new = folder / f".{change.name}.new"
    new.write_bytes((fresh / change.name).read_bytes())
    new.replace(file)


def generate(
    cargo: Tool, backend: Path, scratch: Path, into: Path, env: Mapping[str, str]
) -> Outcome | None:
    """Write the query data of all crates into a folder; return the outcome of what failed."""
    database = scratch / "check.db"
    migrate(database, backend / "migrations")
    live = {**env, **variables(database, into)}
    for package in packages_with_queries(backend):
        outcome = run(cargo.command(words(package), backend, live))
        if not outcome.ok:
            return outcome
    return None


def variables(database: Path, into: Path) -> dict[str, str]:
    """What makes sqlx's macros ask a database, and write down what they learn."""
    return {
        "DATABASE_URL": f"sqlite:{database}",
        "SQLX_OFFLINE": "false",
        "SQLX_OFFLINE_DIR": str(into),
        "CARGO_INCREMENTAL": "0",
    }


def words(package: str) -> tuple[str, ...]:
    """What cargo is called with to run the macros of a package."""
    # Cargo does not know that the macros have to run again: a flag that is new each time, for this
    # one crate, makes it compile the crate and nothing else.
    nonce = f'rebake_sqlx="{time.time_ns()}"'
    compile_ = ("rustc", "--quiet", "--locked", "-p", package, "--lib", "--profile", "check")
    return (*compile_, "--", "--cfg", nonce)


def migrate(database: Path, migrations: Path) -> None:
    """Make a database by applying all migrations in their order.

    Raises:
        ProjectError: one of them is no valid SQL for SQLite.
    """
    with closing(sqlite3.connect(database)) as connection:
        for file in up_migrations(migrations):
            try:
                connection.executescript(file.read_text(encoding="utf-8"))
            except sqlite3.Error as error:
                raise ProjectError(file, str(error), "mend the migration") from None


def up_migrations(folder: Path) -> list[Path]:
    """Return the migrations that build the schema up, by number."""
    files = [f for f in folder.glob("[0-9]*_*.sql") if not f.name.endswith(".down.sql")]
    return sorted(files, key=lambda file: (int(file.name.partition("_")[0]), file.name))


def packages_with_queries(backend: Path) -> list[str]:
    """Return the workspace's packages whose sources hold checked queries."""
    found = []
    for manifest in sorted(backend.glob("crates/*/Cargo.toml")):
        sources = (manifest.parent / "src").rglob("*.rs")
        if any(_QUERY.search(source.read_text(encoding="utf-8")) for source in sources):
            document = tomllib.loads(manifest.read_text(encoding="utf-8"))
            found.append(str(document["package"]["name"]))
    return found


def differences(expected: Path, actual: Path) -> list[Change]:
    """Return how the committed data differs from the expected."""
    want = {file.name: file.read_text(encoding="utf-8") for file in expected.glob("*.json")}
    have = {file.name: file.read_text(encoding="utf-8") for file in actual.glob("*.json")}
    return [
        *(Change(name, "added") for name in sorted(want.keys() - have.keys())),
        *(Change(name, "removed") for name in sorted(have.keys() - want.keys())),
        *(
            Change(name, "changed")
            for name in sorted(want.keys() & have.keys())
            if want[name].split() != have[name].split()
        ),
    ]
