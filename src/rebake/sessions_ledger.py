"""What the sessions were asked for, what they found, and how it is shown: lines, table, document.

Under `nox --parallel`, each session is a process of its own: the first process names a file in the
environment, the others write there what they found, and the first one shows all of it at the end.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

from msgspec import Struct, field
from msgspec.structs import asdict

from rebake.checks.run import Finished
from rebake.redact import Redactor
from rebake.results import SCHEMA_VERSION

STRICT, JSON = "--strict", "--json"
NOTES_FILE = "REBAKE_CHECKS_FILE"
_WORKER = "--parallel-worker"  # how Nox starts the session processes of a parallel run
_OFF = {"", "0", "false", "no"}
_RAN = frozenset({"ok", "failed"})


class Options(Struct, frozen=True):
    """What a session was asked for.

    Attributes:
        strict: a tool that is missing is a failure.
        pytest: arguments for pytest.
        json: one document on stdout, everything else on stderr.
    """

    strict: bool
    pytest: tuple[str, ...] = ()
    json: bool = False

    @classmethod
    def of(cls, posargs: Sequence[str], environ: Mapping[str, str]) -> Options:
        """Read them from what follows `--` and from the environment."""
        in_ci = environ.get("CI", "").lower() not in _OFF
        rest = tuple(word for word in posargs if word not in {STRICT, JSON})
        return cls(strict=in_ci or STRICT in posargs, pytest=rest, json=JSON in posargs)


class Row(Struct, frozen=True):
    """How a part ended, as the table and the document tell it."""

    session: str
    part: str
    group: str
    state: str
    findings: int
    seconds: float
    note: str
    output: str = ""

    @classmethod
    def of(cls, session: str, done: Finished) -> Row:
        """Of a part that has ended."""
        part = done.part
        output = masked(done.output) if done.state == "failed" else ""
        seconds = round(done.seconds, 3)
        return cls(
            *(session, part.name, part.group, done.state),
            *(done.findings, seconds, masked(done.note), output),
        )


class Ledger(Struct):
    """What all sessions of this run found.

    Attributes:
        notes: the file that the processes of a parallel run share; None: there is only this one.
        stdout: where the document goes; None: no document was asked for.
        scan: the document of a scan.
        scan_code: what a scan that found something wants this run to end with.
    """

    rows: list[Row] = field(default_factory=list)
    notes: Path | None = None
    stdout: IO[str] | None = None
    scan: dict[str, object] | None = None
    scan_code: int = 0
    _owner: bool = True

    @classmethod
    def of_this_run(cls, argv: Sequence[str]) -> Ledger:
        """Make that of this process: the first of the run, or one that Nox started for a session.

        With `--json` the first one keeps stdout for the document: what anybody else writes there,
        Nox too, goes to stderr from now on.
        """
        shared = os.environ.get(NOTES_FILE, "")
        if _WORKER in argv and shared:
            return cls(notes=Path(shared), _owner=False)
        handle, name = tempfile.mkstemp(prefix="rebake-checks-", suffix=".jsonl")
        os.close(handle)
        os.environ[NOTES_FILE] = name
        posargs = argv[argv.index("--") + 1 :] if "--" in argv else ()
        stdout = keep_stdout() if JSON in posargs and _WORKER not in argv else None
        return cls(notes=Path(name), stdout=stdout)

    def add(self, session: str, finished: Sequence[Finished]) -> None:
        """Note a session's parts."""
        rows = [Row.of(session, part) for part in finished]
        self.rows += rows
        if not self._owner and self.notes is not None:
            text = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
            with self.notes.open("a", encoding="utf-8") as file:
                file.write(text)  # one write: lines of several processes do not mix

    def close(self) -> None:
        """Show all, if this is the first process of the run.

        Ends with a scan's own exit code where nothing else failed: Nox knows 0 and 1 only, and this
        is the last thing that runs.
        """
        if not self._owner:
            return
        self._show()
        if self.scan_code and not any(row.state == "failed" for row in self.rows):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.scan_code)

    def _show(self) -> None:
        if self.notes is not None:
            with suppress(OSError, ValueError, TypeError):
                lines = self.notes.read_text(encoding="utf-8").splitlines()
                self.rows += [Row(**json.loads(line)) for line in lines]
            self.notes.unlink(missing_ok=True)
        if self.stdout is not None:
            from rebake.report.json import write_document

            write_document(self.document(), self.stdout)
            self.stdout.close()
        else:
            write(self.table())

    def table(self) -> str:
        """Return the closing table: part, result, findings, seconds, and their sums."""
        if not self.rows:
            return ""
        names = [f"{row.session}: {row.part}" for row in self.rows]
        width = max(34, *(len(name) for name in names))
        lines = [f"{'part':<{width}} {'result':<8} {'findings':>8} {'seconds':>8}"]
        for name, row in zip(names, self.rows, strict=True):
            findings = str(row.findings) if row.state in _RAN else "-"
            note = f"  {row.note}" if row.note else ""
            lines.append(f"{name:<{width}} {row.state:<8} {findings:>8} {row.seconds:>8.1f}{note}")
        total, seconds = sum(r.findings for r in self.rows), sum(r.seconds for r in self.rows)
        count = f"{len(self.rows)} part{'' if len(self.rows) == 1 else 's'}"
        result = "failed" if any(row.state == "failed" for row in self.rows) else "ok"
        if result == "ok" and any(row.state not in _RAN for row in self.rows):
            result = "not all"
        lines.append(f"{count:<{width}} {result:<8} {total:>8} {seconds:>8.1f}")
        return "\n".join(lines) + "\n"

    def document(self) -> dict[str, object]:
        """Return the document of `--json`: a scan's own, where nothing else ran."""
        if self.scan is not None and not self.rows:
            return self.scan
        return {
            "schema_version": SCHEMA_VERSION,
            "parts": [asdict(row) for row in self.rows],
            "findings": sum(row.findings for row in self.rows),
            "seconds": round(sum(row.seconds for row in self.rows), 3),
            "ok": bool(self.rows) and all(row.state != "failed" for row in self.rows),
            **({"scan": self.scan} if self.scan is not None else {}),
        }


def keep_stdout() -> IO[str]:
    """Return today's stdout, and send what is written to stdout from now on to stderr."""
    sys.stdout.flush()
    kept = os.fdopen(os.dup(sys.__stdout__.fileno()), "w", encoding="utf-8")  # type: ignore[union-attr]
    os.dup2(sys.__stderr__.fileno(), sys.__stdout__.fileno())  # type: ignore[union-attr]
    return kept


def report(done: Finished, *, streamed: bool = False) -> str:
    """Return what is shown when a part has ended: little when it passed, all when it failed."""
    part = done.part
    if done.state in {"missing", "skipped"}:
        return f"  {part.name}: skipped: {done.state}: {done.note}\n"
    head = f"  {part.name}: {'ok' if done.state == 'ok' else 'FAILED'} ({done.seconds:.1f} s)\n"
    if streamed and not part.action and done.output:  # it stands above already
        return head
    if done.state == "ok":
        return head + "".join(f"{line}\n" for line in part.kept(done.output))
    rule = f"  {'-' * 20} {part.name} {'-' * 20}\n"
    return f"{head}{rule}{done.output.rstrip()}\n{rule}"


def masked(text: str) -> str:
    """Mask secrets: what a checker prints ends in the logs of CI."""
    return _redactor().text(text)


@cache
def _redactor() -> Redactor:
    return Redactor.from_environment()


def write(text: str) -> None:
    """Write to stdout at once, whatever the terminal's encoding, with secrets masked."""
    if not text:
        return
    text = masked(text)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
