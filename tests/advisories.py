"""A workspace with one crate from a registry, and a git repository with an advisory about it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

ADVISORY = "RUSTSEC-2099-0001"
_TEXT = f"""\
```toml
[advisory]
id = "{ADVISORY}"
package = "ammonia"
date = "2099-01-01"

[versions]
patched = [">= 2.1.0"]
```

# A hole in ammonia

It is there for a test.
"""
_ZEROS = "0" * 64
_RULES = '[advisories]\ndb-path = "../advisories"\n[licenses]\nallow = ["Apache-2.0"]\n'


def write_workspace(root: Path, version: str = "1.9.0", rules: str = _RULES) -> None:
    """Write a workspace whose one dependency lies beside it; it needs no network.

    Args:
        root: the project.
        version: of the crate `ammonia`, which has a hole up to 2.1.0.
        rules: the text of deny.toml; empty: there is none.
    """
    files = {
        "backend/Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n'
        f'license = "MIT"\n[dependencies]\nammonia = "{version}"\n',
        "backend/src/main.rs": "fn main() {}\n",
        "backend/.cargo/config.toml": '[source.crates-io]\nreplace-with = "beside"\n'
        '[source.beside]\ndirectory = "../vendor"\n',
        "backend/Cargo.lock": f'version = 3\n\n[[package]]\nname = "ammonia"\nversion = "{version}"'
        '\nsource = "registry+https://github.com/rust-lang/crates.io-index"\n'
        f'checksum = "{_ZEROS}"\n\n[[package]]\nname = "app"\nversion = "0.1.0"\n'
        'dependencies = [\n "ammonia",\n]\n',
        **({"backend/deny.toml": rules} if rules else {}),
        "vendor/ammonia/Cargo.toml": f'[package]\nname = "ammonia"\nversion = "{version}"\n'
        'license = "MIT"\n',
        "vendor/ammonia/src/lib.rs": "",
        "vendor/ammonia/.cargo-checksum.json": json.dumps({"files": {}, "package": _ZEROS}),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def write_advisories(folder: Path, text: str = _TEXT, day: str = "") -> Path:
    """Write a repository of advisories with one in it, and return its folder.

    Args:
        folder: where.
        text: of the advisory.
        day: when it was committed; empty: now.
    """
    file = folder / "crates" / "ammonia" / f"{ADVISORY}.md"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    dates = {f"GIT_{who}_DATE": f"{day}T00:00:00Z" for who in ("AUTHOR", "COMMITTER") if day}
    for words in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", "advisories"),
    ):
        subprocess.run(
            ["git", *identity, *words], cwd=folder, env={**os.environ, **dates},
            check=True, capture_output=True,
        )  # fmt: skip
    return folder
