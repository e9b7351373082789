"""The rules for images, over their settings and their files. Pure.

No scanner covers all of these lines: a container should run as nobody in particular, have nothing
in it to run but its own program, and tell by that very program whether it is well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rebake.scan.archive import ImageContent, executables
from rebake.scan.findings import Finding, Severity
from rebake.scan.secret_patterns import by_content

_SETUID = 0o6000
_SHELLS = frozenset(
    {"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "busybox", "toybox",
     "nu", "pwsh"}
)  # fmt: skip
_MANAGERS = frozenset(
    {"apt", "apt-get", "dpkg", "aptitude", "apk", "rpm", "dnf", "microdnf", "yum", "zypper",
     "pacman", "opkg", "xbps-install", "nix-env", "pip", "pip3", "uv", "gem", "npm", "npx", "yarn",
     "pnpm", "cargo"}
)  # fmt: skip
_SECRET_NAME = re.compile(
    r"(?:^|[_.-])(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|"
    r"CREDENTIALS?)(?:[_.-]|$)",
    re.IGNORECASE,
)
_GIVEN = re.compile(r"(?:^|[\s|;&])([A-Za-z_][\w.-]*)=(\"[^\"]*\"|'[^']*'|[^\s;&|]+)")
_SHOWN = 3


def check(content: ImageContent) -> Iterator[Finding]:
    """Yield what is wrong with an image."""
    yield from _user(content)
    yield from _health(content)
    yield from _setuid(content)
    yield from _tools(content)
    yield from _settings(content)
    yield from _layers(content)


def _found(
    content: ImageContent,
    rule: str,
    message: str,
    fix: str,
    *,
    severity: Severity = "high",
    place: str = "",
    line: int | None = None,
) -> Finding:
    return Finding("image", rule, severity, content.ref, message, fix, place=place, line=line)


def _user(content: ImageContent) -> Iterator[Finding]:
    user = str(content.config.get("User") or "").partition(":")[0]
    if user in {"", "root"} or (user.isdecimal() and int(user) == 0):
        shown = f"user {user}" if user else "no user is set"
        yield _found(content, "image-root", f"it runs as root ({shown})", "USER 65532:65532")


def _health(content: ImageContent) -> Iterator[Finding]:
    check_ = content.config.get("Healthcheck") or {}
    test = [str(word) for word in check_.get("Test") or ()]
    fix = 'HEALTHCHECK CMD ["/bin/service", "--healthcheck"]'
    if not test or test == ["NONE"]:
        yield _found(content, "image-healthcheck", "it has no health check", fix)
        return
    if test[0] != "CMD":
        yield _found(content, "image-healthcheck", "its health check needs a shell", fix)
        return
    program = [*(content.config.get("Entrypoint") or ()), *(content.config.get("Cmd") or ())][:1]
    if test[1:2] != program or not test[2:]:
        words = " ".join(test[1:])
        yield _found(
            content, "image-healthcheck",
            f"its health check is not a subcommand of its own program: {words}", fix,
        )  # fmt: skip


def _setuid(content: ImageContent) -> Iterator[Finding]:
    found = sorted(
        path for path, entry in content.files.items() if not entry.link and entry.mode & _SETUID
    )
    if found:
        yield _found(
            content, "image-setuid", f"files with setuid or setgid: {_some(found)}",
            "leave them out, or RUN chmod a-s", place=found[0],
        )  # fmt: skip


def _tools(content: ImageContent) -> Iterator[Finding]:
    programs = list(executables(content))
    for rule, what, names in (
        ("image-shell", "a shell", _SHELLS),
        ("image-package-manager", "a package manager", _MANAGERS),
    ):
        found = sorted(f"/{folder}/{name}" for folder, name in programs if name in names)
        if found:
            yield _found(
                content, rule, f"there is {what} in it: {_some(found)}",
                "make the last stage FROM scratch, and COPY what it needs", place=found[0],
            )  # fmt: skip


def _settings(content: ImageContent) -> Iterator[Finding]:
    fix = "take it out and make it void: RUN --mount=type=secret, or a file at run time"
    variables = dict(_pair(entry) for entry in content.config.get("Env") or ())
    for where, values in (("ENV", variables), ("LABEL", content.config.get("Labels") or {})):
        for name in _secret_names(values):
            yield _found(
                content, "image-secret", f"{where} {name} holds a secret", fix,
                severity="critical", place=where,
            )  # fmt: skip
    for number, line in enumerate(content.history, 1):
        names = dict.fromkeys(_secret_names(dict(_assigned(line))))
        for name in names:
            yield _found(
                content, "image-secret", f"line {number} of its history holds a secret: {name}",
                fix, severity="critical", place="history", line=number,
            )  # fmt: skip
        if not names:
            for _, what in by_content("", line.encode()):
                yield _found(
                    content, "image-secret", f"line {number} of its history holds {what}", fix,
                    severity="critical", place="history", line=number,
                )  # fmt: skip


def _layers(content: ImageContent) -> Iterator[Finding]:
    for planted in content.planted:
        yield _found(
            content, "image-secret-file",
            f"layer {planted.layer} holds {planted.what}: /{planted.path}",
            "take it out of the layer that brings it: a later layer does not undo it, and make it "
            "void", severity="critical", place=planted.path, line=planted.line,
        )  # fmt: skip


def _secret_names(values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        text = str(value or "").strip("\"'")
        if not text or name.upper().endswith("_FILE") or text.startswith(("/", "$", "file:")):
            continue
        if _SECRET_NAME.search(name) or any(by_content("", text.encode())):
            yield name


def _assigned(line: str) -> Iterator[tuple[str, str]]:
    for match in _GIVEN.finditer(line):
        yield match[1], match[2]


def _pair(text: object) -> tuple[str, str]:
    name, _, value = str(text).partition("=")
    return name, value


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
