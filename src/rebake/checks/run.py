"""Runs parts: lanes side by side, the parts of a lane one after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from rebake.checks import powershell, sqlx, ui_licences, workflows
from rebake.checks.dockerfiles import hadolint
from rebake.checks.plan import Need, Part
from rebake.checks.tools import Tool
from rebake.errors import Interrupted, RebakeError
from rebake.process import Outcome, run, stopping_children

State = Literal["ok", "failed", "missing", "skipped"]
Action = Callable[[Part, Tool, Path], Outcome]
ACTIONS: dict[str, Action] = {
    "sqlx": lambda part, tool, root: sqlx.check(tool, root / part.cwd, root / ".rebake", part.env),
    "hadolint": lambda part, tool, root: hadolint(tool, root, part.arguments, part.env),
    "powershell": lambda part, tool, root: powershell.check(tool, root, part.argv, part.timeout_s),
    "ui-licences": lambda part, _tool, root: ui_licences.check(root, *part.arguments),
    "workflows": lambda part, _tool, root: workflows.check(root, part.arguments),
}

_CLEAN_UP_S = 30.0  # for what parts do at their end, after Ctrl-C


class Finished(Struct, frozen=True):
    """What became of a part.

    Attributes:
        part: the part.
        state: `missing`: its tool is not there; `skipped`: what it builds upon failed.
        seconds: how long it took.
        findings: how much is wrong.
        output: all that it said, for a failed one.
        note: why it did not run, or how it was run.
    """

    part: Part
    state: State
    seconds: float = 0.0
    findings: int = 0
    output: str = ""
    note: str = ""


class Listener(Struct, frozen=True):
    """Who is told about starts, ends and (for a lone part) each line; called by any thread."""

    started: Callable[[Part], None]
    finished: Callable[[Finished], None]
    line: Callable[[str], None]


Resolve = Callable[[Need, Part], Tool | str]


def run_parts(
    parts: Sequence[Part],
    root: Path,
    resolve: Resolve,
    listener: Listener,
    actions: Mapping[str, Action] = ACTIONS,
) -> list[Finished]:
    """Run all parts, whatever becomes of the others, and return how they ended in their order.

    Args:
        parts: what to run.
        root: the repository.
        resolve: finds a part's tool, or says in words why there is none.
        listener: is told about progress.
        actions: the deeds by the name that a part's `action` gives.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came; everything that ran was stopped first.
    """
    work = _Work(root, resolve, listener, actions, alone=len(parts) == 1)
    # Not the threads themselves: a `join` that an interrupt breaks off counts them as ended
    # (CPython before 3.13).
    ends = {
        threading.Thread(target=work.lane, args=(lane, end), daemon=True): end
        for lane in lanes_of(parts)
        for end in [threading.Event()]
    }
    try:
        with stopping_children("the checks", before=work.cancel):
            for thread in ends:
                thread.start()
            for end in ends.values():
                while not end.wait(0.2):  # with a limit: signals get through on Windows too
                    pass
    except Interrupted:
        # A part may have containers to remove; a second Ctrl-C ends that too.
        deadline = time.monotonic() + _CLEAN_UP_S
        for thread, end in ends.items():
            if thread.ident is not None:
                end.wait(max(0.0, deadline - time.monotonic()))
        raise
    if work.failure is not None:
        raise work.failure
    return [work.done[part.name] for part in parts]


def lanes_of(parts: Iterable[Part]) -> list[list[Part]]:
    """Sort parts into lanes; a part without one gets its own, or that of what it waits for."""
    lanes: dict[str, list[Part]] = {}
    home: dict[str, str] = {}
    for part in parts:
        lane = part.lane or home.get(part.after) or f"{part.group}/{part.name}"
        home[part.name] = lane
        lanes.setdefault(lane, []).append(part)
    return list(lanes.values())


class _Work:
    """The state that the lanes share."""

    def __init__(
        self,
        root: Path,
        resolve: Resolve,
        listener: Listener,
        actions: Mapping[str, Action],
        *,
        alone: bool,
    ) -> None:
        self._root = root
        self._resolve = resolve
        self._listener = listener
        self._actions = actions
        self._alone = alone
        self._cancelled = threading.Event()
        self.done: dict[str, Finished] = {}
        self.failure: BaseException | None = None

    def cancel(self) -> None:
        """Start nothing more."""
        self._cancelled.set()

    def lane(self, parts: Sequence[Part], end: threading.Event) -> None:
        """Run the parts of one lane, and tell the end of it."""
        try:
            for part in parts:
                if self._cancelled.is_set():
                    return
                finished = self._one(part)
                if self._cancelled.is_set():
                    return
                self.done[part.name] = finished
                self._listener.finished(finished)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self.failure = error
            self.cancel()
        finally:
            end.set()

    def _one(self, part: Part) -> Finished:
        before = self.done.get(part.after)
        if before is not None and before.state != "ok":
            return Finished(part, "skipped", note=f"{part.after}: {before.state}")
        started = time.monotonic()
        try:
            tool = self._resolve(part.need, part)
            if isinstance(tool, str):
                return Finished(part, "missing", note=tool)
            self._listener.started(part)
            outcome = self._execute(part, tool)
        except RebakeError as error:
            return Finished(part, "failed", time.monotonic() - started, 1, str(error))
        seconds = time.monotonic() - started
        output = outcome.stdout + outcome.stderr
        if outcome.returncode in part.ok:
            return Finished(part, "ok", seconds, output=output)
        return Finished(part, "failed", seconds, part.findings(output), output)

    def _execute(self, part: Part, tool: Tool) -> Outcome:
        if part.action:
            return self._actions[part.action](part, tool, self._root)
        command = tool.command(part.arguments, self._root / part.cwd, part.env)
        command = replace(command, timeout_s=part.timeout_s, what=part.name)
        if not self._alone:
            return run(command)
        lines: list[str] = []

        def tell(line: str) -> None:
            lines.append(line)
            self._listener.line(line)

        outcome = run(command, on_stdout=tell, on_stderr=tell)
        text = "".join(f"{line}\n" for line in lines)
        return Outcome(outcome.argv, outcome.returncode, text, "", outcome.seconds)
