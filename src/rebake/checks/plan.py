"""What is checked: each part as data. Nothing runs here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.results import Manager

Need = Literal[
    "toolkit",
    "cargo",
    "cargo-fmt",
    "cargo-clippy",
    "cargo-deny",
    "bun",
    "npm",
    "compose",
    "engine",
    "powershell",
    "actionlint",
]
LINT_GROUPS = (
    *("config", "python", "rust", "typescript", "dockerfiles", "shell", "powershell", "compose"),
    "workflows",
)
_NOTHING = re.compile(r"(?!)")


class Part(Struct, frozen=True):
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
        module: a Python package that it needs besides its tool.
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
    module: str = ""
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


class Tree(Struct, frozen=True):
    """What the plan has to know about the repository.

    Attributes:
        files: all files that are not ignored, as posix paths from the root.
        shell: those of them that a shell runs.
        backend: the cargo workspace's folder.
        ui: the UI's folder.
        manager: what installs its packages.
        install: what the manager is called with to do so.
        licences: what the UI's packages may have besides, and packages that may have any.
        compose: the compose files.
        actionlint: whether this machine has that program.
    """

    files: tuple[str, ...]
    shell: tuple[str, ...] = ()
    backend: str = "backend"
    ui: str = "ui"
    manager: Manager = "bun"
    install: tuple[str, ...] = ("install", "--frozen-lockfile")
    licences: tuple[str, ...] = ()
    compose: tuple[str, ...] = ()
    actionlint: bool = False

    def has(self, path: str) -> bool:
        """Tell whether a file, or anything in a folder, is there."""
        return any(name == path or name.startswith(f"{path}/") for name in self.files)

    def present(self, *paths: str) -> tuple[str, ...]:
        """Return those of `paths` that are there."""
        return tuple(path for path in paths if self.has(path))

    def ending(self, suffix: str) -> tuple[str, ...]:
        """All files whose names end so."""
        return tuple(name for name in self.files if name.endswith(suffix))

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
        "config": _config,
        "python": _python,
        "rust": _rust,
        "typescript": _typescript,
        "dockerfiles": _dockerfiles,
        "shell": _shell,
        "powershell": _powershell,
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
_A_LINE = re.compile(r"^\S", re.MULTILINE)
_PYTHON = ("python",)  # for what this very process does


def _config(_tree: Tree) -> list[Part]:
    warning = re.compile(r"^warning: ")
    return [
        Part("rebake.toml", "config", _PYTHON, count=_A_LINE, keep=warning, action="config"),
        Part("base images' lock", "config", _PYTHON, count=_A_LINE, action="base-images-lock"),
    ]


def _python(tree: Tree) -> list[Part]:
    code = tree.present("src", "tests", "scripts", "docs", "tasks.py", "noxfile.py")
    scripts = [name for name in tree.files if name.endswith(".py") and "scripts/" in name]
    compile_ = ("python", "-X", "pycache_prefix=.rebake/pycache", "-m", "py_compile")
    return [
        Part("mypy", "python", ("mypy",), count=_FOUND),
        *when(code, Part("ruff check", "python", ("ruff", "check", *code), count=_FOUND)),
        *when(
            code, Part("ruff format", "python", ("ruff", "format", "--check", *code), count=_WOULD)
        ),
        *when(scripts, Part("py_compile", "python", (*compile_, *scripts))),
    ]


_STEPS = ("docker/tools/step", "docker/rebake/tools/step")  # the second: an adopted project's
_DENY = ("deny", "--locked", "check", "--hide-inclusion-graph")


def _rust(tree: Tree) -> list[Part]:
    if not tree.has(f"{tree.backend}/Cargo.toml"):
        return []
    # Quiet: without it, all crates that it compiled would stand above what it found.
    clippy = ("--quiet", "--workspace", "--all-targets", "--all-features", "--locked")
    different = re.compile(r"^Diff in ", re.MULTILINE)
    return [
        *_build_step(tree, clippy, different),
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
        *when(
            tree.has(f"{tree.backend}/.sqlx") and tree.has(f"{tree.backend}/migrations"),
            Part("sqlx data", "rust", (), "cargo", tree.backend, lane="cargo", action="sqlx"),
        ),
        Part(
            *("rustfmt", "rust", ("fmt", "--all", "--check"), "cargo-fmt", tree.backend),
            count=different,
        ),
        # Advisories would need their database from the network: that is for scans.
        *when(
            tree.has(f"{tree.backend}/deny.toml"),
            Part(
                *("cargo deny", "rust", (*_DENY, "bans", "licenses", "sources")),
                *("cargo-deny", tree.backend),
                lane="cargo",
                count=re.compile(r"^error\[", re.MULTILINE),
            ),
        ),
    ]


def _build_step(tree: Tree, clippy: Sequence[str], different: re.Pattern[str]) -> list[Part]:
    """The program that runs beside cargo in a build: a crate of its own, without dependencies."""
    step = next((one for one in _STEPS if tree.has(f"{one}/Cargo.toml")), "")
    if not step:
        return []
    # Below the backend's: what lies beside the tools would be sent to each build.
    back = "../" * len(PurePosixPath(step).parts)
    words = (*clippy, "--target-dir", f"{back}{tree.backend}/target/step", "--", "-D", "warnings")
    return [
        Part(
            *("clippy (build step)", "rust", ("clippy", *words), "cargo-clippy", step),
            lane="cargo",
            count=_RUSTC,
        ),
        Part(
            *("rustfmt (build step)", "rust", ("fmt", "--check"), "cargo-fmt", step),
            count=different,
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
        *when(
            tree.has(f"{tree.backend}/deny.toml"),
            Part(
                *(
                    "ui licences",
                    "typescript",
                    (*_PYTHON, tree.ui, f"{tree.backend}/deny.toml", *tree.licences),
                ),
                after=ready,
                count=_A_LINE,
                action="ui-licences",
            ),
        ),
    ]


def _dockerfiles(tree: Tree) -> list[Part]:
    files = tree.dockerfiles
    # The named context of the bake file; the second one is that of an adopted project.
    tools = next((one for one in ("docker/tools", "docker/rebake/tools") if tree.has(one)), "")
    context = ("--build-context", f"tools={tools}") if tools else ()
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
    return [*when(files, hadolint), *checks]


def _shell(tree: Tree) -> list[Part]:
    argv = ("shellcheck", "--format=gcc", *tree.shell)
    return when(tree.shell, Part("shellcheck", "shell", argv, count=_AT_A_LINE))


def _powershell(tree: Tree) -> list[Part]:
    files = tree.ending(".ps1")
    part = Part("powershell", "powershell", files, "powershell", action="powershell")
    return when(files, replace(part, count=_AT_A_LINE, timeout_s=300.0))


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
    yaml = (*tree.ending(".yml"), *tree.ending(".yaml"))
    files = [name for name in yaml if name.startswith(".github/workflows/")]
    zizmor = ("zizmor", "--offline", "--no-progress", "--strict-collection", "--format=plain")
    headings = re.compile(r"^(?:error|warning|info|help)\[", re.MULTILINE)
    rules = Part(
        *("workflow rules", "workflows", (*_PYTHON, *files)),
        module="yaml",
        count=_AT_A_LINE,
        action="workflows",
    )
    actionlint = Part("actionlint", "workflows", ("-no-color", "-oneline", *files), "actionlint")
    return [
        *when(files, Part("zizmor", "workflows", (*zizmor, ".github"), count=headings), rules),
        *when(files and tree.actionlint, replace(actionlint, count=_AT_A_LINE)),
    ]


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


def when(condition: object, *parts: Part) -> list[Part]:
    """Return the parts where a condition holds."""
    return list(parts) if condition else []
