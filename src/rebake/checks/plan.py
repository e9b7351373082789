"""What is checked: each part as data. Nothing runs here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal

from rebake.results import Manager

Need = Literal[
    "toolkit", "cargo", "cargo-fmt", "cargo-clippy", "cargo-deny", "bun", "npm", "compose", "engine"
]
LINT_GROUPS = ("python", "rust", "typescript", "dockerfiles", "shell", "compose", "workflows")
TEST_GROUPS = ("toolkit", "backend", "ui")
NOTHING_COLLECTED = 5  # pytest's exit code
_NOTHING = re.compile(r"(?!)")


@dataclass(frozen=True)
class Part:
    """One check of a session.

    Attributes:
        name: what the table calls it.
        group: the id of the session it belongs to (`rust` of `lint`).
        argv: the program's arguments; for `toolkit` and `cargo-*` the program comes first.
        need: the tool that runs it. `toolkit`: a program of the toolkit's own environment.
        cwd: the folder, from the repository's root.
        env: variables added to the environment.
        lane: parts of one lane run one after another, the lanes side by side.
        after: a part that has to pass first.
        count: its matches in a failed run's output are the findings, or the number in group 1 is.
        keep: lines to show although the part passed.
        action: a deed that is more than one command: its name in `run.ACTIONS`.
        ok: exit codes that mean success.
        timeout_s: a part that takes longer hangs.
    """

    name: str
    group: str
    argv: tuple[str, ...]
    need: Need = "toolkit"
    cwd: str = "."
    env: Mapping[str, str] = field(default_factory=dict)
    lane: str = ""
    after: str = ""
    count: re.Pattern[str] = _NOTHING
    keep: re.Pattern[str] = _NOTHING
    action: str = ""
    ok: tuple[int, ...] = (0,)
    timeout_s: float = 1500.0

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the tool is called with."""
        return self.argv[1:] if self.need == "toolkit" else self.argv

    def findings(self, output: str) -> int:
        """Count what a failed run found; at least one."""
        matches = list(self.count.finditer(output))
        if self.count.groups:
            return max(sum(int(match[1]) for match in matches), 1)
        return max(len(matches), 1)

    def kept(self, output: str) -> list[str]:
        """Return the lines of a passed run that are worth showing."""
        return [line for line in output.splitlines() if self.keep.search(line)]


@dataclass(frozen=True)
class Tree:
    """What the plan has to know about the repository.

    Attributes:
        files: all files that are not ignored, as posix paths from the root.
        shell: those of them that a shell runs.
        backend: the cargo workspace's folder.
        ui: the UI's folder.
        manager: what installs its packages.
        install: what the manager is called with to do so.
        compose: the compose files.
    """

    files: tuple[str, ...]
    shell: tuple[str, ...] = ()
    backend: str = "backend"
    ui: str = "ui"
    manager: Manager = "bun"
    install: tuple[str, ...] = ("install", "--frozen-lockfile")
    compose: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Tell whether a file, or anything in a folder, is there."""
        return any(name == path or name.startswith(f"{path}/") for name in self.files)

    def present(self, *paths: str) -> tuple[str, ...]:
        """Return those of `paths` that are there."""
        return tuple(path for path in paths if self.has(path))

    @property
    def dockerfiles(self) -> tuple[str, ...]:
        """All Dockerfiles."""
        return tuple(name for name in self.files if is_dockerfile(name))


def is_dockerfile(path: str) -> bool:
    """Tell whether a file is a Dockerfile by its name."""
    name = PurePosixPath(path).name
    if name.endswith((".dockerignore", ".jinja")):
        return False
    return name == "Dockerfile" or name.startswith("Dockerfile.") or name.endswith(".Dockerfile")


def parts_of_lint(tree: Tree, group: str) -> list[Part]:
    """Return the parts of `lint(group)`."""
    plans = {
        "python": _python,
        "rust": _rust,
        "typescript": _typescript,
        "dockerfiles": _dockerfiles,
        "shell": _shell,
        "compose": _compose,
        "workflows": _workflows,
    }
    return plans[group](tree)


_FOUND = re.compile(r"^Found (\d+) error", re.MULTILINE)
_WOULD = re.compile(r"^Would reformat: |^unformatted: ", re.MULTILINE)
_RUSTC = re.compile(
    r"^(?:error|warning)(?:\[\w+\])?: (?!could not compile|aborting|`|build failed)", re.MULTILINE
)
_AT_A_LINE = re.compile(r"^\S+:\d+[: ]", re.MULTILINE)


def _python(tree: Tree) -> list[Part]:
    code = tree.present("src", "tests", "scripts", "docs", "tasks.py", "noxfile.py")
    scripts = [name for name in tree.files if name.endswith(".py") and "scripts/" in name]
    compile_ = ("python", "-X", "pycache_prefix=.rebake/pycache", "-m", "py_compile")
    return [
        Part("mypy", "python", ("mypy",), count=_FOUND),
        *_if(code, Part("ruff check", "python", ("ruff", "check", *code), count=_FOUND)),
        *_if(
            code, Part("ruff format", "python", ("ruff", "format", "--check", *code), count=_WOULD)
        ),
        *_if(scripts, Part("py_compile", "python", (*compile_, *scripts))),
    ]


_DENY = ("deny", "--locked", "check", "--hide-inclusion-graph")


def _rust(tree: Tree) -> list[Part]:
    if not tree.has(f"{tree.backend}/Cargo.toml"):
        return []
    # Quiet: without it, all crates that it compiled would stand above what it found.
    clippy = ("--quiet", "--workspace", "--all-targets", "--all-features", "--locked")
    return [
        Part(
            *(
                "clippy",
                "rust",
                ("clippy", *clippy, "--", "-D", "warnings"),
                "cargo-clippy",
                tree.backend,
            ),
            lane="cargo",
            count=_RUSTC,
        ),
        *_if(
            tree.has(f"{tree.backend}/.sqlx") and tree.has(f"{tree.backend}/migrations"),
            Part("sqlx data", "rust", (), "cargo", tree.backend, lane="cargo", action="sqlx"),
        ),
        Part(
            *("rustfmt", "rust", ("fmt", "--all", "--check"), "cargo-fmt", tree.backend),
            count=re.compile(r"^Diff in ", re.MULTILINE),
        ),
        # Advisories would need their database from the network: that is for scans.
        *_if(
            tree.has(f"{tree.backend}/deny.toml"),
            Part(
                *("cargo deny", "rust", (*_DENY, "bans", "licenses", "sources")),
                *("cargo-deny", tree.backend),
                lane="cargo",
                count=re.compile(r"^error\[", re.MULTILINE),
            ),
        ),
    ]


def _typescript(tree: Tree) -> list[Part]:
    if not tree.has(f"{tree.ui}/package.json"):
        return []
    install = parts_of_install(tree, "typescript")
    ready = install[-1].name
    return [
        *install,
        Part(
            *("tsc", "typescript", ("run", "typecheck"), tree.manager, tree.ui),
            after=ready,
            count=re.compile(r"error TS\d+"),
        ),
        Part(
            *("biome", "typescript", ("run", "lint"), tree.manager, tree.ui),
            after=ready,
            count=re.compile(r"^Found (\d+) error", re.MULTILINE),
        ),
    ]


def _dockerfiles(tree: Tree) -> list[Part]:
    files = tree.dockerfiles
    # The named context of the bake file.
    context = ("--build-context", "tools=docker/tools") if tree.has("docker/tools") else ()
    checks = [
        Part(
            f"check {name}",
            "dockerfiles",
            (
                *("buildx", "build", "--call=check", *context),
                *("-f", name, str(PurePosixPath(name).parent)),
            ),
            "engine",
            lane="docker",
            count=re.compile(r"^WARNING: ", re.MULTILINE),
        )
        for name in files
    ]
    hadolint = Part(
        "hadolint", "dockerfiles", ("hadolint", *files), count=_AT_A_LINE, action="hadolint"
    )
    return [*_if(files, hadolint), *checks]


def _shell(tree: Tree) -> list[Part]:
    argv = ("shellcheck", "--format=gcc", *tree.shell)
    return _if(tree.shell, Part("shellcheck", "shell", argv, count=_AT_A_LINE))


def _compose(tree: Tree) -> list[Part]:
    return [
        Part(
            PurePosixPath(name).name,
            "compose",
            ("compose", "-f", name, "config", "--quiet"),
            "compose",
        )
        for name in tree.compose
    ]


def _workflows(tree: Tree) -> list[Part]:
    argv = ("zizmor", "--offline", "--no-progress", ".github/workflows")
    return _if(tree.has(".github/workflows"), Part("zizmor", "workflows", argv))


# --- tests ----------------------------------------------------------------------------------

_PYTEST_SUMMARY = re.compile(r"\d+ (?:passed|skipped|deselected).* in [\d.]+s|no tests ran")
_PYTEST_FAILED = re.compile(r"^(?:FAILED|ERROR) ", re.MULTILINE)
_CARGO_SUMMARY = re.compile(r"^test result: ok\. [1-9]")
_CARGO_FAILED = re.compile(r"^---- \S+ stdout ----$", re.MULTILINE)
_BUN_SUMMARY = re.compile(r"^\s*\d+ (?:pass|fail|skip)$|^Ran \d+ tests")
_BUN_FAILED = re.compile(r"^\(fail\)", re.MULTILINE)


def parts_of_test(tree: Tree, pytest_args: Sequence[str] = ()) -> list[Part]:
    """Return the parts of `test`; arguments for pytest mean: only the toolkit's tests, these."""
    toolkit = _if(
        tree.has("tests/unit"),
        # Many of them wait for programs: four at once keep two cores busy.
        _pytest("toolkit tests", "toolkit", pytest_args or ("-n", "4")),
    )
    if pytest_args:
        return toolkit
    cargo = ("test", "--quiet", "--locked", "--all-features", "--all-targets")
    backend = Part(
        *("backend tests", "backend", cargo, "cargo", tree.backend),
        lane="cargo",
        count=_CARGO_FAILED,
        keep=_CARGO_SUMMARY,
    )
    install = parts_of_install(tree, "ui")
    ui = Part(
        # Bun's runner, with either manager.
        *("ui tests", "ui", ("test",), "bun", tree.ui),
        after=install[-1].name,
        count=_BUN_FAILED,
        keep=_BUN_SUMMARY,
    )
    return [
        *_if(tree.has(f"{tree.backend}/Cargo.toml"), backend),
        *_if(tree.has(f"{tree.ui}/package.json"), *install, ui),
        *toolkit,
    ]


def parts_of_e2e(tree: Tree, pytest_args: Sequence[str] = ()) -> list[Part]:
    """Return the parts of `e2e`. Arguments that select nothing here are no failure."""
    ok = (0, NOTHING_COLLECTED) if pytest_args else (0,)
    # Two lanes; tests/e2e/conftest.py says which test belongs to which.
    args = pytest_args or ("-n", "2")
    part = _pytest("end to end", "e2e", ("tests/e2e", *args), ok)
    # On a bare machine everything is fetched, made and compiled for the first time.
    part = replace(part, timeout_s=3600.0)
    return _if(any(_is_test(name) for name in tree.files), part)


def parts_of_install(tree: Tree, group: str) -> list[Part]:
    """Return the parts that bring the UI's packages; the last one makes them ready."""
    manager = tree.manager
    install = Part(*(f"{manager} install", group, tree.install, manager, tree.ui), lane=manager)
    if manager == "bun":  # it holds its lock-file to package.json by itself
        return [install]
    flags = [word for word in tree.install if word.startswith("-") and word != "--no-save"]
    ci = ("ci", "--dry-run", *flags)
    lock = Part(
        *("npm lock-file", group, ci, manager, tree.ui),
        lane=manager,
        count=re.compile(r"^npm error (?:Missing|Invalid): ", re.MULTILINE),
    )
    return [lock, replace(install, after=lock.name)]


def _pytest(name: str, group: str, args: Sequence[str], ok: tuple[int, ...] = (0,)) -> Part:
    return Part(
        *(name, group, ("python", "-P", "-m", "pytest", "-q", *args)),
        # Containers often forbid Python to keep what it has compiled. Without it, each of the
        # processes that tests start compiles the toolkit anew, which takes longer than its work.
        env={"PYTHONDONTWRITEBYTECODE": ""},
        count=_PYTEST_FAILED,
        keep=_PYTEST_SUMMARY,
        ok=ok,
    )


def _is_test(path: str) -> bool:
    return path.startswith("tests/e2e/") and PurePosixPath(path).name.startswith("test_")


def _if(condition: object, *parts: Part) -> list[Part]:
    return list(parts) if condition else []
