#!/usr/bin/env python3
"""Writes the pages of docs/reference that come from the code.

    nox -s docs               rewrite them
    nox -s docs -- --check    exit 1 when one of them is not what the code says

And the table of tasks that shell completion reads, src/rebake/completion/table.json.

Run it with the project's own Python (.venv). docs/reference/json.md is written by hand.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from invoke.parser.argument import Argument
from pydantic import BaseModel

from rebake import errors
from rebake.checks import plan, plan_tests
from rebake.checks.plan import Part, Tree
from rebake.completion.answer import TABLE
from rebake.completion.table import make_table
from rebake.config.load import defaults_text
from rebake.config.model import Config
from rebake.errors import RebakeError
from rebake.scan.findings import EXIT_BROKEN
from rebake.scan.findings import EXIT_CODES as SCAN_CODES
from rebake.tasks import namespace
from rebake.tasks.face import RebakeTask

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
COMMON = ("json", "dry-run", "progress")
HIGHEST_PORT = 65535  # larger numbers are easier to read in groups
LISTS_OF_FILES = ("py_compile", "hadolint", "shellcheck", "actionlint")
# What is more than one command, in words.
ACTIONS = {
    "sqlx": "compares `.sqlx` with the queries and the migrations",
    "config": "holds `rebake.toml` to what it may say and to what is in the repository",
    "base-images-lock": "holds `base-images.lock.json` to its form and to `[base_images]`",
    "powershell": "PSScriptAnalyzer, PowerShell's own parser, or a grammar",
    "workflows": "container images by digest, no cache in jobs that release",
    "smoke": "builds and runs the production images: build id, `/healthz`, create, read and "
    "delete, a stop with a request under way",
}

# What each exit code means to a script that calls rebake.
EXIT_CODES = {
    0: "done",
    errors.EXIT_FAILED: "failed",
    errors.EXIT_USAGE: "usage or configuration: nothing was done",
    errors.EXIT_NO_ENGINE: "no engine, or the engine went away",
    errors.EXIT_BUSY: "busy: another process holds what is needed",
    errors.EXIT_TIMEOUT: "timed out",
    errors.EXIT_INTERRUPTED: "interrupted, by Ctrl-C or a signal",
}

# Variables beside the keys of rebake.toml.
VARIABLES = {
    "REBAKE_ENGINE_HOME": "folder of the private engine, instead of the usual one",
    "REBAKE_STATE_HOME": "folder of what is kept for this user: history, ports, host settings",
    "REBAKE_HOST_SETTINGS": "folder with the host's CA bundle and package-manager settings; "
    "set for plain docker commands by `invoke engine env`",
    "REBAKE_PROGRESS": "the same as `--progress`: auto, plain or quiet",
}
# Set by the builds themselves, or not read yet: no business of a user.
INTERNAL_VARIABLES = frozenset({"REBAKE_BUILD_ID", "REBAKE_CHECKS_FILE", "REBAKE_DRY_RUN"})

# The parts of a scan, as `sessions_scan` names them.
SCAN_PARTS = (
    ("database", "the vulnerability database: there, whole, of the right schema, not too old",
     "Trivy"),
    ("advisories", "`backend/Cargo.lock`, by RustSec's advisories", "cargo, and cargo-deny"),
    ("cargo deny", "bans, licences and sources of `backend/deny.toml`", "cargo, and cargo-deny"),
    ("lock-files", "`backend/Cargo.lock` and the UI's lock-file", "the scanner and its database"),
    ("contexts", "no `.env`, key or `.git` among the files that travel to the builder", ""),
    ("dockerfile rules", "COPY and not ADD, no secret in ARG or ENV, bases pinned by digest", ""),
    ("dockerfiles", "misconfiguration and secrets in the Dockerfiles", "Trivy"),
    ("compose", "hardening of the production stack, as Compose reads it", "Compose"),
    ("image …", "vulnerabilities, secrets and misconfiguration in an image",
     "an engine, the scanner and its database"),
    ("rules …", "user, health check, setuid files, shells, package managers and secrets in an "
     "image", "an engine"),
)  # fmt: skip

# Values that make the errors' words read like the real ones, by the error's code.
SAMPLES: dict[str, dict[str, object]] = {
    "config": {
        "problems": (
            errors.Problem(
                Path("rebake.toml"),
                "engine.knd",
                "unknown key",
                line=5,
                suggestion="did you mean engine.kind?",
            ),
        )
    },
    "missing-secrets": {"faults": ("secrets.build.npm_token: the variable NPM_TOKEN is not set",)},
    "not-verified": {
        "refusals": ("shop-0a1b2c3d-api:prod is not signed: there is no api.sigstore.json",)
    },
    "not-attested": {
        "lacks": ("shop-0a1b2c3d-api:prod has no list of its parts (SBOM)",),
        "next_step": "invoke sbom writes it into sign.folder",
    },
    "usage": {"message": "--tail 'all' is not a whole number"},
    "unknown-name": {"kind": "service", "name": "wroker", "known": ("api", "worker", "ui")},
    "project": {
        "path": Path("/home/me/project/ui/package.json"),
        "message": "has no script 'dev'",
        "next_step": "add it; its scripts are: build, test",
    },
    "not-a-project": {"folder": Path("/home/me")},
    "no-engine": {
        "reason": "engine 20.10.24 answers, but engine 20.10.24 is too old: at least 23 is needed"
    },
    "engine-lost": {"message": "the engine went away in the middle of the build"},
    "command-failed": {
        "argv": ("docker", "compose", "up"),
        "returncode": 1,
        "tail": ("the last lines of what it printed",),
        "next_step": "invoke logs shows what the services printed",
    },
    "program-missing": {
        "program": "cargo 1.95 or newer",
        "next_step": "the command that installs it",
    },
    "build-failed": {
        "step": "build 2/2",
        "tail": ("the last lines of the step",),
        "message": "exit code: 101",
    },
    "not-warm": {
        "lines": (
            "build 42 of api: 1 of 7 steps ran, 3.4 s",
            "  build 1/1 RUN /tools/build-workspace release /out api worker web  2.9 s",
            "      backend/crates/core/src/item.rs (+3 -1)",
        ),
    },
    "wrong-image": {
        "service": "api",
        "expected": "3f9c2b7a1d0e4c55",
        "found": "api 0.1.0 (5d28cff341c2967d)",
    },
    "file-refused": {
        "path": "/home/me/shop/ui/node_modules",
        "reason": "Permission denied",
    },
    "disk-full": {
        "folder": Path("/home/me/.local/share/rebake/engine"),
        "free_bytes": 900_000_000,
        "needed_bytes": 2_000_000_000,
    },
    "port-in-use": {
        "service": "ui",
        "port": 8000,
        "owner": "python3 (pid 4711)",
        "setting": "prod.ports.ui",
    },
    "template": {
        "source": "/home/me/template",
        "reason": "'out' leads out of it, to '..'",
        "next_step": errors.TemplateRefused.next_step,
    },
    "no-place": {
        "file": "docker/docker-compose.yml",
        "reason": "there is no &hardened any more",
    },
    "update-conflicts": {"conflicts": ("README.md: changed here and in the template",)},
    "files-in-the-way": {"files": ("rebake.toml",)},
    "unhealthy": {
        "service": "api",
        "state": "its sources do not compile",
        "tail": ("the last lines of its log",),
    },
    "busy": {
        "resource": "the private engine in /home/me/.local/share/rebake/engine",
        "holder": "process 4711",
    },
    "timeout": {
        "action": "starting api, worker",
        "seconds": 120.0,
        "next_step": "invoke logs; the limit is prod.start_timeout_s in rebake.toml",
    },
    "interrupted": {"during": "the build"},
    "cannot-run": {
        "reason": "an engine needs root, and sudo is not there or asks for a password",
        "next_step": "run `sudo -v` and try again, or use: invoke dev --native",
    },
    "caches-hidden": {"docker_host": "ssh://builder.example.com"},
    "not-freed": {
        "said_bytes": 842_100_000,
        "freed_bytes": 100_000,
        "kept": ("target release",),
    },
    "limits-missed": {"missed": ("code-change: seconds",), "checked": 20},
    "scanner-failed": {
        "scanner": "trivy",
        "message": "exit code 1",
        "tail": ("the last lines of what it printed",),
        "next_step": "what helps, where that is known",
    },
    "database-unusable": {
        "path": Path("/home/me/.cache/rebake/scan/db/trivy.db"),
        "message": "is cut off: it has 12288 bytes, and says that it has 16384",
    },
    "tool-refused": {
        "tool": "trivy 0.69.4",
        "message": "that release was malicious",
        "next_step": "remove it from this machine, and renew what it could read; 0.74.0 is good",
    },
    "queries-changed": {
        "changes": (".sqlx/query-0deb9d68.json: no query needs it",),
    },
    "checks-failed": {"messages": ("backend/.env travels to the builder and looks like a secret",)},
}


def main(argv: Sequence[str]) -> int:
    """Write the pages, or compare them with `--check`."""
    stale = []
    pages = {REFERENCE / name: (f"docs/reference/{name}", make) for name, make in PAGES.items()}
    for file, (name, make) in {**pages, TABLE: (TABLE.name, completion_table)}.items():
        text = make()
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in argv:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    if "--check" in argv and stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}\n  next: nox -s docs\n")
        return 1
    sys.stdout.write(f"wrote {', '.join(stale)}\n" if stale else "docs/reference is up to date\n")
    return 0


def page(title: str, source: str, *parts: str) -> str:
    """Put a page together; the first line tells where it comes from."""
    head = (
        f"<!-- Made from {source} by scripts/make_reference.py: edit that, then `nox -s docs`. -->"
    )
    return "\n\n".join([head, f"# {title}", *(part.strip("\n") for part in parts)]) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell(text) for text in row)} |" for row in lines)


def cell(text: str) -> str:
    """Make a text fit for a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


# --- configuration --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of defaults.toml with the comment above it."""

    table: str
    name: str
    value: object
    comment: str

    @property
    def full(self) -> str:
        """Its whole name."""
        return f"{self.table}.{self.name}"


def all_keys() -> Iterator[Key]:
    """Yield all keys in their order; a key without a comment shares the one above."""
    values = tomllib.loads(defaults_text())
    current, comment, used = "", "", False
    meanings: dict[str, str] = {}
    for line in defaults_text().splitlines():
        if line.startswith("#"):
            comment, used = ("" if used else comment) + line.lstrip("#"), False
        elif line.startswith("[") or not line.strip():
            current, comment = line.strip("[]") or current, ""
        else:
            name = line.partition("=")[0].strip()
            place: Any = values
            for part in current.split("."):
                place = place[part]
            # [prod] says nothing about what [dev] has said already.
            meaning = comment.strip() or meanings.get(name, "").partition(";")[0].rstrip(".") + "."
            meanings[name], used = meaning, True
            yield Key(current, name, place[name], meaning)


def configuration() -> str:
    """The page about rebake.toml."""
    found = list(all_keys())
    parts = [
        "Every key of `rebake.toml`. All of them have a default, so the file may hold one line or "
        "none. `invoke config` prints what is in force here and where each value came from; "
        "`invoke config --defaults` prints the same list as this page.",
        "A value is taken from the first of these places that names it: a flag, the environment, "
        "`rebake.toml`, the user's own settings (`config.toml` in the user's configuration folder: "
        "`~/.config/rebake` on Linux), the defaults. Lists are written in a variable with commas.",
        "Anything that can't be used is told at once, with file, line and key, and nothing is done "
        "(exit code 2). Secrets are never values here.",
    ]
    for name in dict.fromkeys(key.table for key in found):
        rows = [
            (
                f"`{key.name}`",
                kind_of(key.full),
                f"`{toml(key.value)}`",
                key.comment,
                f"`{variable(key.full)}`",
            )
            for key in found
            if key.table == name
        ]
        parts += [
            f"## [{name}]",
            table(("key", "type", "default", "meaning", "variable"), rows),
        ]
    parts += [
        "## [aliases]",
        "Short names for services, for every task that takes services. Empty by default. Each "
        "value is the name of a service.",
        '```toml\n[aliases]\na = "api"\nw = "worker"\n```',
        "## Further variables",
        "These are no keys of `rebake.toml`.",
        table(("variable", "meaning"), [(f"`{k}`", v) for k, v in VARIABLES.items()]),
        "`NO_COLOR`, `FORCE_COLOR` and `CI` are obeyed. `DOCKER_HOST`, `DOCKER_CONTEXT` and "
        "`DOCKER_CONFIG` mean what they mean to docker.",
    ]
    return page("Configuration", "src/rebake/config/defaults.toml", *parts)


def variable(key: str) -> str:
    """Return the environment variable of a key."""
    return "REBAKE_" + re.sub(r"[^A-Z0-9]", "_", key.upper())


def toml(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, int) and value > HIGHEST_PORT:
        return f"{value:_}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def kind_of(key: str) -> str:
    """Say in words what a key takes, from the typed model."""
    model: Any = Config
    metadata: Sequence[object] = ()
    for part in key.split("."):
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields[part]
            model, metadata = field.annotation, field.metadata
        else:  # a table with names of the user's choice: what its values are
            model = get_args(model)[1]
            metadata = ()
            if hasattr(model, "__metadata__"):
                model, metadata = get_args(model)[0], model.__metadata__
    return words_for(model, metadata)


def words_for(kind: Any, metadata: Sequence[object]) -> str:  # noqa: ANN401 - any type of a model
    """Say in words what a type takes."""
    if (
        get_origin(kind) is tuple
        and isinstance(get_args(kind)[0], type)
        and issubclass(get_args(kind)[0], BaseModel)
    ):
        return "list of tables"
    if get_origin(kind) is tuple:
        least = any(isinstance(item, MinLen) for item in metadata)
        return "list of texts, at least one" if least else "list of texts"
    if options := get_args(kind):
        return "one of " + ", ".join(f"`{option}`" for option in options)
    if kind in {int, float}:
        return f"number{limits(metadata)}"
    return {str: "text", bool: "`true` or `false`"}.get(kind, str(kind))


def limits(metadata: Sequence[object]) -> str:
    """Say in words which numbers are allowed."""
    flat = [inner for item in metadata for inner in (getattr(item, "metadata", None) or [item])]
    low = next((m.ge for m in flat if isinstance(m, Ge)), None)
    if low is None and any(isinstance(m, Gt) for m in flat):
        low = 1  # whole numbers above 0
    high = next((m.le for m in flat if isinstance(m, Le)), None)
    if high is not None:
        return f", {low} to {high}"
    return "" if low is None else f", at least {low}"


# --- tasks ----------------------------------------------------------------------------------


def all_tasks() -> list[RebakeTask]:
    """Return the tasks of the collection, by name."""
    found = (task for task in namespace.tasks.values() if isinstance(task, RebakeTask))
    return sorted(found, key=lambda task: task.name)


def tasks() -> str:
    """The page about the Invoke tasks."""
    made = all_tasks()
    common = {name: text for name, text in arguments_of(made[0]).items() if name in COMMON}
    overview = [(f"[`{t.name}`](#{t.name})", first_line(t.__doc__)) for t in made]
    parts = [
        "Each task runs as `invoke <task>`, as `python3 scripts/bootstrap.py <task>` (which sets "
        "up what is missing first), or as `rebake <task>`. Services may be named by their name or "
        "by an alias of `rebake.toml`.",
        table(("task", "what it does"), overview),
        "## Flags that every task takes",
        table(("flag", "meaning"), [(f"`{flag(n)}`", a.help or "") for n, a in common.items()]),
        "Results go to stdout, everything else goes to stderr. What the documents of `--json` "
        "hold is in [json.md](json.md), the exit codes are in [exit-codes.md](exit-codes.md).",
    ]
    for task in made:
        parts += [f"## {task.name}", first_line(task.__doc__), f"```sh\n{usage(task)}\n```"]
        own = [
            (f"`{name}`" if argument.positional else f"`--{name}`", argument.help or "")
            for name, argument in arguments_of(task).items()
            if name not in COMMON
        ]
        if own:
            parts.append(table(("argument", "meaning"), own))
    return page("Tasks", "src/rebake/tasks", *parts)


def completion_table() -> str:
    """The table that shell completion reads."""
    return json.dumps(make_table(all_tasks()), indent=1, ensure_ascii=False) + "\n"


def arguments_of(task: RebakeTask) -> dict[str, Argument]:
    """Return a task's arguments by name."""
    return {argument.names[0]: argument for argument in task.get_arguments()}


def flag(name: str) -> str:
    """Write a flag as a person types it."""
    return f"--{name}=auto" if name == "progress" else f"--{name}"


def usage(task: RebakeTask) -> str:
    """Return a task's line of usage."""
    words = ["invoke", task.name]
    for name, argument in arguments_of(task).items():
        if name in COMMON:
            continue
        if argument.positional:
            words.append(f"[{name} ...]" if name.endswith("s") else f"[{name}]")
        elif argument.kind is bool:
            words.append(f"[--no-{name}]" if argument.default else f"[--{name}]")
        else:
            words.append(f"[--{name}=…]")
    return " ".join(words)


def first_line(text: str | None) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())


# --- sessions -------------------------------------------------------------------------------


def sessions() -> str:
    """The page about the Nox sessions."""
    tree = the_tree()
    lints = [(f"lint({group})", plan.parts_of_lint(tree, group)) for group in plan.LINT_GROUPS]
    chosen = [
        *((name, parts) for name, parts in lints if parts),
        ("test", plan_tests.parts_of_test(tree)),
        ("e2e", plan_tests.parts_of_e2e(tree)),
    ]
    rows = [
        (f"`{name}`" if number == 0 else "", part.name, command_of(part), needs(part))
        for name, parts in chosen
        for number, part in enumerate(parts)
    ]
    return page(
        "Sessions",
        "src/rebake/checks/plan.py",
        '`nox` runs `lint`, `test` and `e2e`; `nox -s lint` or `nox -s "lint(rust)"` runs a '
        "part. `python3 scripts/bootstrap.py test` sets everything up first and then runs all "
        "three. The sessions use the environment that the bootstrap made, so nothing is installed "
        "twice. A clone that has compiled nothing begins with what the checks of another one have "
        "compiled of the dependencies.",
        "The parts of a session run side by side, except those that would wait for one another "
        "(two cargo runs, say); `nox -s lint -j 2` runs the parts of `lint` side by side too. "
        "A part whose tool is not there is shown as `missing` and does not "
        "fail the session. With `-- --strict`, or where `CI` is set, it does.",
        "What follows `--` goes to pytest: `nox -s test -- -k ports` runs the toolkit's tests of "
        "that name and nothing else. `-- --json` writes [one document](json.md) to stdout. More in "
        "[Lint and test](../how-to/lint-and-test.md).",
        table(("session", "part", "command", "needs"), rows),
        "## scan",
        "`nox -s scan` looks at the production images and at what they are made from; "
        "`nox -s scan -- IMAGE...` looks at any images. It is no part of a plain `nox`, since it "
        "needs images that were built and databases. `-- --json` prints one document, and "
        "`-- --strict` makes a part that is missing a failure. Reports go to `.rebake/scan`. How "
        "to read them, and how to let a finding pass, is in "
        "[Scan images](../how-to/scan-images.md).",
        table(("part", "what it looks at", "needs"), SCAN_PARTS),
        "## template",
        "`nox -s template` makes projects of all kinds that the template's questions allow, and "
        "looks at their files; one of them is linted. `-- --whole` lints and tests each, and "
        "brings the stacks of three up. A project has no such session.",
        "## docs",
        "`nox -s docs` writes this folder's generated pages again; `nox -s docs -- --check` fails "
        "when one of them is out of date. `nox` alone leaves it out, since a unit test checks the "
        "same.",
        "Where this machine has no cargo of the wanted version, or no bun, and an engine runs, the "
        "parts use those of the base images.",
        "Where `ui.manager` is `npm`, the parts of the UI install with `npm ci --dry-run`, which "
        "holds `package-lock.json` to `package.json`, and `npm install --no-save`, and run the "
        "scripts with `npm run`; the tests are run by Bun with either manager.",
    )


def the_tree() -> Tree:
    """Return a repository's files as the plan needs them: one of each kind."""
    return Tree(  # noqa: S604 - its `shell` is a list of files
        files=(
            *("backend/Cargo.toml", "backend/Dockerfile", "backend/.sqlx/q.json"),
            "backend/deny.toml",
            *("backend/migrations/1.sql", "ui/package.json", "ui/Dockerfile"),
            *("scripts/bootstrap.py", "src/rebake/cli.py", "tests/unit/test_a.py"),
            *("tests/e2e/test_a.py", "tasks.py", "noxfile.py"),
            *("docker/build.ps1", ".github/workflows/ci.yml"),
        ),
        shell=("docker/tools/build-ui",),
        compose=("docker/docker-compose.dev.yml", "docker/docker-compose.yml"),
        actionlint=True,
    )


def command_of(part: Part) -> str:
    """Say what a part runs."""
    if part.action in ACTIONS:
        return ACTIONS[part.action]
    lead = {
        "toolkit": (),
        "bun": ("bun",),
        "npm": ("npm",),
        "compose": ("docker",),
        "engine": ("docker",),
        "actionlint": ("actionlint",),
    }
    words = [*lead.get(part.need, ("cargo",)), *part.argv]
    if part.name in LISTS_OF_FILES:
        words = [word for word in words if word not in the_tree().files + the_tree().shell]
        return f"`{shlex.join(words)} …`"
    return f"`{shlex.join(words)}`" + (f" in `{part.cwd}`" if part.cwd != "." else "")


def needs(part: Part) -> str:
    """Say what a part needs."""
    words = {
        "toolkit": "the toolkit",
        "cargo": "cargo",
        "cargo-fmt": "cargo with rustfmt",
        "cargo-clippy": "cargo with clippy",
        "cargo-deny": "cargo, and cargo-deny of the toolkit",
        "bun": "bun",
        "npm": "npm",
        "compose": "Compose",
        "engine": "an engine",
        "powershell": "PowerShell, or the toolkit",
        "actionlint": "actionlint; left out where it is not",
    }[part.need]
    return "an engine" if part.group == "e2e" else words


# --- errors ---------------------------------------------------------------------------------


def error_classes() -> list[type[RebakeError]]:
    """Return the catalogue, module by module."""
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, RebakeError) and kind is not RebakeError
    ]


def exit_codes() -> str:
    """The page about exit codes."""
    rows = [
        (
            str(code),
            meaning,
            ", ".join(
                f"[`{kind.code}`](errors.md#{kind.code})"
                for kind in error_classes()
                if kind.exit_code == code
            ),
        )
        for code, meaning in sorted(EXIT_CODES.items())
    ]
    return page(
        "Exit codes",
        "src/rebake/errors",
        "Every task ends with one of these. 69 and 75 are BSD's `EX_UNAVAILABLE` and "
        "`EX_TEMPFAIL`, 124 is what `timeout` gives, 130 is what a shell gives for Ctrl-C.",
        table(("code", "meaning", "errors"), rows),
        "A Nox session ends with 0 or 1; `nox -s scan` tells more.",
        "## Of a scan",
        "The worst finding that counts decides: those below `scan.severity`, those that "
        "`[[scan.ignore]]` lets through, and (with `scan.ignore_unfixed`) vulnerabilities that no "
        "version has mended do not. Where another session of the same run failed too, Nox ends "
        "with 1.",
        table(
            ("code", "meaning"),
            [
                ("0", "nothing that counts was found"),
                (
                    str(EXIT_BROKEN),
                    "the scan could not be done: a scanner or its database is broken, an image is "
                    "not there, an ignore has expired; with `--strict`, a part was skipped",
                ),
                *(
                    (str(code), f"the worst finding that counts is {severity}")
                    for severity, code in SCAN_CODES.items()
                    if severity != "unknown"
                ),
            ],
        ),
    )


def error_page() -> str:
    """The page about errors."""
    parts = [
        "An error says what happened, the evidence (the last lines of a step that failed, say), "
        "and what to do next. It goes to stderr. The words below are examples; `…` stands for what "
        "differs each time.",
        table(
            ("name", "exit code", "when"),
            [
                (f"[`{k.code}`](#{k.code})", str(k.exit_code), first_line(k.__doc__))
                for k in error_classes()
            ],
        ),
    ]
    for kind in error_classes():
        example = shown(kind)
        parts += [
            f"## {kind.code}",
            f"{first_line(kind.__doc__)} Exit code {kind.exit_code}.",
            f"```text\n{example}\n```",
        ]
    return page("Errors", "src/rebake/errors", *parts)


def shown(kind: type[RebakeError]) -> str:
    """Return an error of a class as a terminal shows it."""
    error = sample(kind)
    lines = [f"error: {error.what}"]
    lines += [f"   | {line}" for line in error.details]
    if error.hint:
        lines.append(f" next: {error.hint}")
    return "\n".join(lines)


def sample(kind: type[RebakeError]) -> RebakeError:
    """Make an error of a class with values that read well."""
    needed = [name for name in kind.field_names() if not hasattr(kind, name)]
    return kind(**{**dict.fromkeys(needed, "…"), **SAMPLES.get(kind.code, {})})


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "tasks.md": tasks,
    "sessions.md": sessions,
    "exit-codes.md": exit_codes,
    "errors.md": error_page,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
