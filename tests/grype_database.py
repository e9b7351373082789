"""Writes a tiny vulnerability database of Grype's, schema 6: what `grype db import` takes.

By the tables that Grype's own sources name (`grype/db/v6/models.go`): SQLite, with each record's
body as JSON in one table. Grype makes the indexes and the tables that are not here at the import.
"""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bbolt import CRATE, DEBIAN, PACKAGE

_TABLES = """
CREATE TABLE blobs (id integer PRIMARY KEY AUTOINCREMENT, value text NOT NULL);
CREATE TABLE db_metadata (build_timestamp datetime NOT NULL, model integer NOT NULL,
  revision integer NOT NULL, addition integer NOT NULL);
CREATE TABLE providers (id text PRIMARY KEY, version text, processor text, date_captured datetime,
  input_digest text);
CREATE TABLE vulnerability_handles (id integer PRIMARY KEY AUTOINCREMENT, name text NOT NULL,
  status text NOT NULL, published_date datetime, modified_date datetime, withdrawn_date datetime,
  provider_id text NOT NULL, blob_id integer);
CREATE TABLE packages (id integer PRIMARY KEY AUTOINCREMENT, ecosystem text, name text);
CREATE TABLE operating_systems (id integer PRIMARY KEY AUTOINCREMENT, name text, release_id text,
  major_version text, minor_version text, label_version text, codename text, channel text,
  eol_date datetime, eoas_date datetime);
CREATE TABLE affected_package_handles (id integer PRIMARY KEY AUTOINCREMENT,
  vulnerability_id integer NOT NULL, operating_system_id integer, package_id integer,
  blob_id integer);
"""
# By the vulnerability: provider, ecosystem, package, form of versions, first sound one, severity.
_HOLES = {
    CRATE: ("github", "rust-crate", "ammonia", "semver", "2.1.0", "high"),
    PACKAGE: ("github", "npm", "lodash", "semver", "4.17.12", "critical"),
    DEBIAN: ("debian", "deb", "bash", "dpkg", "99.0", "high"),
}


def write_archive(file: Path, *, model: int = 6, age: timedelta = timedelta()) -> Path:
    """Write a database with one hole in a crate, an npm package and a package of Debian 12.

    Args:
        file: the archive, for `grype db import`.
        model: of the schema.
        age: of the database.
    """
    path = file.with_suffix(".db")
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        _fill(database, model, datetime.now(UTC) - age)
    with tarfile.open(file, "w:gz") as tar:
        content = path.read_bytes()
        entry = tarfile.TarInfo("vulnerability.db")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    path.unlink()
    return file


def _fill(database: sqlite3.Connection, model: int, built: datetime) -> None:
    database.executescript(_TABLES)

    def insert(table: str, **row: Any) -> int:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        text = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        return int(database.execute(text, list(row.values())).lastrowid or 0)

    def blob(value: Any) -> int:
        return insert("blobs", value=json.dumps(value))

    moment = f"{built:%Y-%m-%d %H:%M:%S}+00:00"
    insert("db_metadata", build_timestamp=moment, model=model, revision=1, addition=10)
    for name in ("debian", "github"):
        insert(
            "providers", id=name, version="1", processor="test", date_captured=moment,
            input_digest="xxh64:0",
        )  # fmt: skip
    debian = insert(
        "operating_systems", name="debian", release_id="debian", major_version="12",
        minor_version="", label_version="", codename="bookworm", channel="",
    )  # fmt: skip
    for hole, (provider, ecosystem, package, form, sound, severity) in _HOLES.items():
        about = {
            "id": hole, "description": f"a hole in {package}",
            "refs": [{"url": f"https://example.org/{hole}"}],
            "severities": [{"scheme": "CHML", "value": severity, "rank": 1}],
        }  # fmt: skip
        affected = {
            "cves": [hole],
            "ranges": [{"version": {"type": form, "constraint": f"< {sound}"},
                        "fix": {"version": sound, "state": "fixed"}}],
        }  # fmt: skip
        vulnerability = insert(
            "vulnerability_handles", name=hole, status="active", provider_id=provider,
            published_date=moment, modified_date=moment, blob_id=blob(about),
        )  # fmt: skip
        insert(
            "affected_package_handles", vulnerability_id=vulnerability,
            operating_system_id=debian if ecosystem == "deb" else None,
            package_id=insert("packages", ecosystem=ecosystem, name=package),
            blob_id=blob(affected),
        )  # fmt: skip
