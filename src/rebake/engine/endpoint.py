"""Where an engine is and how to call its client: what every other room is handed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from rebake.errors import UsageError, did_you_mean
from rebake.process import Command

Kind = Literal[
    "host-env", "context", "default", "docker-desktop", "colima", "orbstack", "podman", "private"
]
SHELLS = ("posix", "fish", "powershell", "cmd")


class Endpoint(Struct, frozen=True):
    """An engine that can be called.

    Attributes:
        kind: how it was found.
        docker_host: its address, such as `unix:///var/run/docker.sock`.
        docker: the client program.
        env: the variables that the client needs besides DOCKER_HOST (its plugins' folder, PATH).
        buildx: the program of the client's buildx plugin, as the client names it; None when it is
            not known.
    """

    kind: Kind
    docker_host: str
    docker: Path
    env: Mapping[str, str] = field(default_factory=dict)
    buildx: Path | None = None

    def command(self, *words: str | Path, **options: object) -> Command:
        """Return a command of the client: `endpoint.command("ps", "-q", timeout_s=5)`.

        `options` are those of `process.Command`; an `env` there is laid over the endpoint's own.
        """
        extra = options.pop("env", None)
        env: dict[str, str | None] = {**self.environment()}
        # A context would win over DOCKER_HOST.
        env["DOCKER_CONTEXT"] = None
        if isinstance(extra, Mapping):
            env.update(extra)
        return Command.of(self.docker, *words, env=env, **options)

    def buildx_command(self, *words: str | Path, **options: object) -> Command:
        """Return a command of buildx: `endpoint.buildx_command("bake", "api")`.

        The plugin is a whole program (https://github.com/docker/buildx, "Manual download"), which
        reads the same variables and files. Called by itself, it saves what the client does first:
        start every plugin that there is, to ask for its name.
        """
        command = self.command("buildx", *words, **options)
        if self.buildx is None:
            return command
        return replace(command, argv=(str(self.buildx), *command.argv[2:]))

    def environment(self) -> dict[str, str]:
        """The variables that make plain `docker` commands use this engine."""
        return {"DOCKER_HOST": self.docker_host, **self.env}

    def document(self) -> dict[str, object]:
        """The part of `--json` for this engine."""
        return {
            "kind": self.kind,
            "docker_host": self.docker_host,
            "docker": str(self.docker),
            "env": self.environment(),
        }


def shell_exports(endpoint: Endpoint, shell: str) -> str:
    """Return lines that set the endpoint's variables in a shell.

    Args:
        endpoint: the engine.
        shell: `posix`, `fish`, `powershell` or `cmd`.

    Raises:
        UsageError: the shell is unknown, or a value can't be written in it (cmd knows no escape
            for a double quote).
    """
    lines = [
        f"{_assignment(shell, name, value)}\n" for name, value in endpoint.environment().items()
    ]
    return "".join(lines)


def default_shell(environ: Mapping[str, str] | None = None) -> str:
    """Return the kind of shell that most likely started us."""
    env = os.environ if environ is None else environ
    program = re.split(r"[\\/]", env.get("SHELL", ""))[-1]
    if program == "fish":
        return "fish"
    if program:
        return "posix"
    return "powershell" if os.name == "nt" else "posix"


def _assignment(shell: str, name: str, value: str) -> str:
    match shell:
        case "posix":
            quoted = value.replace("'", "'\\''")
            return f"export {name}='{quoted}'"
        case "fish":
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
            words = f"'{quoted}'"
            if name == "PATH":  # a list in fish
                parts = (
                    part.replace("\\", "\\\\").replace("'", "\\'") for part in value.split(":")
                )
                words = " ".join(f"'{part}'" for part in parts)
            return f"set -gx {name} {words};"
        case "powershell":
            # PowerShell takes typographic single quotes for quotes as well.
            quoted = re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", value)
            return f"$env:{name} = '{quoted}'"
        case "cmd":
            if '"' in value or "\n" in value:
                raise UsageError(
                    f"{name} holds a character that cmd can't take",
                    "use PowerShell: --shell powershell",
                )
            # `%` is doubled for batch files, where a line of ours is meant to stand.
            return f'set "{name}={value.replace("%", "%%")}"'
        case _:
            raise UsageError(f"unknown shell {shell!r}", did_you_mean(shell, SHELLS))
