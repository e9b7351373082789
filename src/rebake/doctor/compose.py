"""Check `compose`: hygiene of the compose files, as Compose itself reads them.

No scanner covers these lines, so the rules are our own (`compose_rules`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rebake.doctor import cache_exports
from rebake.doctor.case import ASK_LIMIT_S, Case, read_json
from rebake.doctor.diagnosis import Diagnosis, error, ok, warning
from rebake.project.dockerfile import Dockerfile
from rebake.results import Mode
from rebake.scan.compose_rules import Breach, breaches
from rebake.stack.plan import StackPlan, compose_words, plan_stack

MODES: tuple[Mode, ...] = ("prod", "dev")


def check(case: Case) -> Iterator[Diagnosis]:
    """Judge both stacks, and the `.env` files that Compose reads."""
    if case.project.runs_itself:
        yield ok("this project runs its stack itself: its compose files are its own affair")
        return
    files = {mode: case.project.compose_file(mode) for mode in MODES}
    there = [mode for mode in MODES if files[mode].is_file()]
    if any(_reads_others(files[mode]) for mode in there):
        yield from _look(case, files, there)
    else:
        read = [*files.values(), *_env_files(case), *(one.path for one in case.dockerfiles)]
        extra = [_plan(case, mode).variables for mode in there]
        yield from case.remembered("compose", read, extra, lambda: list(_look(case, files, there)))
    for file in _env_files(case):
        yield from _env_file(case, file)


def _look(case: Case, files: Mapping[Mode, Path], there: Sequence[Mode]) -> Iterator[Diagnosis]:
    with ThreadPoolExecutor(max_workers=len(MODES)) as pool:
        answers = list(pool.map(lambda mode: resolved(case, mode), there))
    for mode, (document, fault) in zip(there, answers, strict=True):
        shown = case.shown(files[mode])
        if document is None:
            yield error(
                f"{shown} can't be read by Compose: {fault}",
                why="the stack can't be started",
                fix=f"docker compose --file {shown} config",
            )
            continue
        found = list(grouped(breaches(document, mode, health_checks(case, document)), shown))
        found += list(_exports(document, shown))
        yield from found or [ok(f"{shown}: {len(document.get('services') or {})} services")]


def _reads_others(file: Path) -> bool:
    """Whether a compose file names others that decide about it too."""
    text = file.read_text(encoding="utf-8", errors="replace")
    return re.search(r"\b(?:include|extends|env_file|label_file)\b[\"']?\s*:", text) is not None


def _env_files(case: Case) -> tuple[Path, ...]:
    """The files with variables that Compose reads by itself."""
    folders = dict.fromkeys([case.project.root, case.project.compose_file("prod").parent])
    return tuple(folder / ".env" for folder in folders)


def resolved(case: Case, mode: Mode) -> tuple[Mapping[str, Any] | None, str]:
    """Return a compose file as Compose reads it with our variables, or what Compose said.

    Raises:
        NotChecked: there is no docker client.
    """
    plan = _plan(case, mode)
    words = compose_words(
        plan.name, plan.compose_file, "--profile", "*", "config", "--format", "json"
    )
    text, fault = case.output(
        case.client.command(
            *words, cwd=case.project.root, env=dict(plan.variables), timeout_s=ASK_LIMIT_S
        )
    )
    document = read_json(text)
    return (document, "") if isinstance(document, dict) else (None, fault)


def _plan(case: Case, mode: Mode) -> StackPlan:
    """The stack with the ports and the address of rebake.toml."""
    project = case.project
    table = project.config.dev if mode == "dev" else project.config.prod
    return plan_stack(
        project,
        mode,
        {name: port for name, port in table.ports.items() if name in project.config.services},
        host_settings=project.bake_file.parent / "host-settings",
        owner=None,
        watch="events",
    )


def grouped(found: Iterator[Breach], shown: str) -> Iterator[Diagnosis]:
    """One finding for each rule, with all services that break it. Pure."""
    groups: dict[tuple[str, str], list[Breach]] = {}
    for breach in found:
        groups.setdefault((breach.level, breach.message), []).append(breach)
    for (_, message), group in groups.items():
        names = ", ".join(dict.fromkeys(breach.service for breach in group))
        make = error if group[0].level == "error" else warning
        yield make(f"{shown}: {names}: {message}", why=group[0].why, fix=group[0].fix)


class health_checks:  # noqa: N801 - used as the function that it is
    """Tells whether the image of a service has a health check, from its Dockerfile."""

    def __init__(self, case: Case, document: Mapping[str, Any]) -> None:
        self._case = case
        self._services = document.get("services") or {}

    def __call__(self, name: str) -> bool | None:
        """Whether it has one; None where that can't be told."""
        return self._of(name, frozenset())

    def _of(self, name: str, seen: frozenset[str]) -> bool | None:
        service = self._services.get(name) or {}
        build = service.get("build")
        if name in seen:
            return None
        if not isinstance(build, Mapping):
            return self._shared(name, service) if not service.get("build") else None
        folder = Path(str(build.get("context") or ""))
        dockerfile = self._case.dockerfile(folder, str(build.get("dockerfile") or "Dockerfile"))
        if dockerfile is None or build.get("dockerfile_inline"):
            return None
        others = build.get("additional_contexts") or {}
        return self._in(dockerfile, str(build.get("target") or ""), others, seen | {name})

    def _shared(self, name: str, service: Mapping[str, Any]) -> bool | None:
        """A service that runs the image which another one builds."""
        image = service.get("image")
        maker = next(
            (
                other
                for other, entry in self._services.items()
                if other != name and entry.get("build") and entry.get("image") == image
            ),
            None,
        )
        return False if maker is None else self._of(maker, frozenset({name}))

    def _in(
        self,
        dockerfile: Dockerfile,
        target: str,
        others: Mapping[str, str],
        seen: frozenset[str],
    ) -> bool | None:
        stage = dockerfile.stage(target)
        if stage is None:
            return None
        for part in dockerfile.chain(stage):
            steps = [step for step in part.instructions if step.word == "HEALTHCHECK"]
            if steps:
                return steps[-1].rest.upper() != "NONE"
            elsewhere = str(others.get(dockerfile.base(part), ""))
            if elsewhere.startswith("service:"):
                return self._of(elsewhere.removeprefix("service:"), seen)
            if elsewhere:
                return None
        return False


def _exports(document: Mapping[str, Any], shown: str) -> Iterator[Diagnosis]:
    targets = {
        name: {"cache-to": (service.get("build") or {}).get("cache_to")}
        for name, service in (document.get("services") or {}).items()
        if isinstance(service.get("build"), Mapping)
    }
    for place, names in cache_exports.collisions(targets).items():
        yield error(
            f"{shown}: {', '.join(names)} write their cache to {place}",
            why="each overwrites what the other wrote",
            fix="a place of its own for each service under build.cache_to",
        )


def _env_file(case: Case, file: Path) -> Iterator[Diagnosis]:
    """A `$` in a `.env` is taken for a variable: `a$b` becomes `a`, without a word."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line, name in changed_values(text):
        yield warning(
            f"{case.shown(file)}:{line}: the value of {name} has a $",
            why="Compose takes it for a variable and leaves it out, without a word",
            fix=f"{name}='…' in single quotes, or $$",
        )


def changed_values(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each value of a `.env` that Compose would change. Pure."""
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)$", line)
        if match is None or match[2].startswith("'"):
            continue
        if re.search(r"(?<!\$)(?:\$\$)*\$(?!\$|\{)", re.sub(r"\\\$", "", match[2])):
            yield number, match[1]
