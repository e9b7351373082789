"""Where a service stands in the files of a project, and how it comes in and goes out. Pure.

Each function takes the text of a file as the template makes it, edited or not, and returns it with
one service more or less. Where a file no longer has the place, it says so instead of guessing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from rebake.errors import NoPlace

_LIST_WORD = re.compile(r'"([^"]*)"')


class Service(Struct, frozen=True):
    """A service that comes or goes.

    Attributes:
        name: its name.
        others: the backend's other services, in order.
        variable: its name in variables.
        dev_port: the port of its stack by hand, in development.
        prod_port: the same in production.
    """

    name: str
    others: tuple[str, ...]
    variable: str
    dev_port: int = 0
    prod_port: int = 0

    @property
    def all(self) -> tuple[str, ...]:
        """All services of the backend, this one among them."""
        return (*self.others, self.name)


def into_dockerfile(file: str, text: str, service: Service) -> str:
    """Add a service to the backend's Dockerfile."""

    def longer(match: re.Match[str]) -> str:
        words = match[2].split()
        if missing := [name for name in service.others if name not in words]:
            raise NoPlace(file, f"ARG BINARIES names no {missing[0]}")
        after = max(words.index(name) for name in service.others) + 1
        return match[1] + " ".join([*words[:after], service.name, *words[after:]]) + match[3]

    text = _every(file, text, r'^(ARG BINARIES=")([^"]*)(")$', longer, 'ARG BINARIES="…"')
    addresses = list(re.finditer(r"^(?:ENV +| +)[A-Z0-9_]+_ADDR=\S+ \\\n", text, re.MULTILINE))
    if not addresses:
        raise NoPlace(file, "no ENV of the stage prod sets an address, such as API_ADDR")
    end = addresses[min(len(service.others), len(addresses)) - 1].end()
    return f"{text[:end]}    {service.variable}_ADDR=0.0.0.0:8080 \\\n{text[end:]}"


def out_of_dockerfile(file: str, text: str, service: Service) -> str:
    """Take a service out of the backend's Dockerfile."""

    def shorter(match: re.Match[str]) -> str:
        words = [word for word in match[2].split() if word != service.name]
        return match[1] + " ".join(words) + match[3]

    text = _every(file, text, r'^(ARG BINARIES=")([^"]*)(")$', shorter, 'ARG BINARIES="…"')
    return re.sub(rf"(?m)^ +{re.escape(service.variable)}_ADDR=\S+ \\\n", "", text)


def into_compose(file: str, text: str, service: Service, *, dev: bool) -> str:
    """Add a service to a compose file."""
    anchors = ("backend", "environment", "patient") if dev else ("hardened", "backend-build")
    for anchor in anchors:
        if f"&{anchor}\n" not in text:
            raise NoPlace(file, f"there is no &{anchor} any more")
    if dev:
        text = _commands(file, text, service, service.all)
    block = _dev_block(service) if dev else _prod_block(file, text, service)
    if _blocks(text, service.name):
        raise NoPlace(file, f"there is a {service.name} already")
    last = _only(file, text, service.others[-1])
    end = last.end()
    head = text[:end].rstrip("\n")
    return f"{head}\n\n{block}\n{text[end:]}"


def out_of_compose(file: str, text: str, service: Service, *, dev: bool) -> str:
    """Take a service out of a compose file."""
    found = _only(file, text, service.name)
    text = text[: found.start()] + text[found.end() :]
    return _commands(file, text, service, service.others) if dev else text


def into_bake(file: str, text: str, service: Service) -> str:
    """Add a service to the bake file."""
    last = _target(file, text, service.others[-1])
    if f'target "{service.name}"' in text:
        raise NoPlace(file, f"there is a {service.name} already")
    # Where the bake file knows a service's own id: an edit of another one then leaves its image.
    own_id = f', SERVICE_BUILD_ID = build_id_of("{service.name}")' if "build_id_of(" in text else ""
    block = (
        f'target "{service.name}" {{\n'
        '  inherits = ["_backend"]\n'
        '  target   = "prod"\n'
        f'  args     = {{ SERVICE = "{service.name}"{own_id} }}\n'
        f'  tags     = ["${{PROJECT}}-{service.name}:${{TAG}}"]\n'
        "}\n"
    )
    text = f"{text[: last.end()].rstrip()}\n\n{block}\n{text[last.end() :]}"

    def longer(match: re.Match[str]) -> str:
        words = _LIST_WORD.findall(match[2])
        if missing := [name for name in service.others if name not in words]:
            raise NoPlace(file, f'the group "default" names no {missing[0]}')
        after = max(words.index(name) for name in service.others) + 1
        return match[1] + _quoted([*words[:after], service.name, *words[after:]]) + match[3]

    pattern = r'(^group "default" \{\n *targets *= *\[)([^\]]*)(\])'
    return _every(file, text, pattern, longer, 'group "default"')


def out_of_bake(file: str, text: str, service: Service) -> str:
    """Take a service out of the bake file."""
    found = _target(file, text, service.name)
    text = text[: found.start()] + text[found.end() :]

    def shorter(match: re.Match[str]) -> str:
        words = _LIST_WORD.findall(match[2])
        if service.name not in words:
            return match[0]
        return match[1] + _quoted(word for word in words if word != service.name) + match[3]

    pattern = r'(^group "[^"]*" \{\n *targets *= *\[)([^\]]*)(\])'
    return _every(file, text, pattern, shorter, "group")


def with_services(file: str, text: str, names: Sequence[str], default: Sequence[str]) -> str:
    """Set `backend.services` of a rebake.toml, and forget ports and short names of others.

    Args:
        file: its name in errors.
        text: the file.
        names: the backend's services.
        default: what they are where nothing is said.
    """
    before = tomllib.loads(text)
    line = f"services = [{_quoted(names)}]\n"
    table = re.search(r"(?ms)^\[backend\][^\n]*\n(.*?)(?=^\[|\Z)", text)
    if table is None:
        if "backend" in before:
            raise NoPlace(file, "there is no line [backend], but keys of it")
        text = f"{text.rstrip()}\n\n[backend]\n{line}"
    elif tuple(names) == tuple(default) and list(before["backend"]) == ["services"]:
        text = f"{text[: table.start()].rstrip()}\n\n{text[table.end() :]}".rstrip() + "\n"
    else:
        body, count = re.subn(r"(?m)^services\s*=\s*\[[^\]]*\]", line.rstrip(), table[1])
        if not count:
            body = line + table[1]
        text = text[: table.start(1)] + body + text[table.end(1) :]
    gone = set(before.get("backend", {}).get("services", default)) - set(names)
    for name in sorted(gone):
        text = re.sub(rf'(?m)^"?{re.escape(name)}"? *= *\d+ *(?:#.*)?\n', "", text)
        text = re.sub(rf'(?m)^[\w"-]+ *= *"{re.escape(name)}" *(?:#.*)?\n', "", text)
    try:
        told = tomllib.loads(text).get("backend", {}).get("services", list(default))
    except tomllib.TOMLDecodeError:
        told = None
    if told != list(names):
        raise NoPlace(file, "backend.services is not written as a list of its own")
    return text


def into_image_test(file: str, text: str, service: Service) -> str:
    """Add a service to those whose images tests/e2e/test_images.py looks for."""

    def longer(match: re.Match[str]) -> str:
        return match[1] + _quoted([*_LIST_WORD.findall(match[2]), service.name]) + match[3]

    return _every(file, text, r"(^SERVICES = \{)([^}]*)(\})$", longer, "SERVICES = {…}")


def out_of_image_test(file: str, text: str, service: Service) -> str:
    """The way back."""

    def shorter(match: re.Match[str]) -> str:
        words = [word for word in _LIST_WORD.findall(match[2]) if word != service.name]
        return match[1] + _quoted(words) + match[3]

    return _every(file, text, r"(^SERVICES = \{)([^}]*)(\})$", shorter, "SERVICES = {…}")


def highest_port(text: str) -> int:
    """Return the highest port that a compose file publishes by default; 0 for none."""
    return max((int(port) for port in re.findall(r"_PORT:-(\d+)\}", text)), default=0)


def _commands(file: str, text: str, service: Service, names: Sequence[str]) -> str:
    """Let each service of the development stack compile all: they share one compilation."""

    def all_of_them(match: re.Match[str]) -> str:
        who, *binaries = [word.strip() for word in match[2].split(",")]
        if set(binaries) - {service.name} != set(service.others):
            raise NoPlace(file, f"the command of {who} no longer names all services")
        return match[1] + ", ".join([who, *names]) + match[3]

    pattern = r"^(    command: \[)([\w-]+(?:, *[\w-]+)+)(\])$"
    return _every(file, text, pattern, all_of_them, "command: [SERVICE, SERVICE…]")


def _dev_block(service: Service) -> str:
    return (
        f"  {service.name}:\n"
        "    <<: *backend\n"
        f"    command: [{', '.join([service.name, *service.all])}]\n"
        "    environment:\n"
        "      <<: *environment\n"
        f"      {service.variable}_ADDR: 0.0.0.0:8080\n"
        "    healthcheck:\n"
        "      <<: *patient\n"
        f"      test: [CMD, /target/debug/{service.name}, --healthcheck]\n"
        f"{_ports(service.variable, service.dev_port)}"
    )


def _prod_block(file: str, text: str, service: Service) -> str:
    cache = re.search(r"\$\{CACHE_ID:-[^}]*\}", text)
    if cache is None:
        raise NoPlace(file, "no build has the argument CACHE_ID any more")
    return (
        f"  {service.name}:\n"
        "    <<: *hardened\n"
        f"    image: ${{COMPOSE_PROJECT_NAME}}-{service.name}:prod\n"
        "    build:\n"
        "      <<: *backend-build\n"
        f'      args: {{ SERVICE: {service.name}, CACHE_ID: "{cache[0]}" }}\n'
        "    environment:\n"
        "      LOG_LEVEL: ${LOG_LEVEL:-info}\n"
        f"{_ports(service.variable, service.prod_port)}"
    )


def _ports(variable: str, port: int) -> str:
    return f'    ports:\n      - "${{BIND_ADDRESS:-127.0.0.1}}:${{{variable}_PORT:-{port}}}:8080"\n'


def _blocks(text: str, name: str) -> list[re.Match[str]]:
    pattern = rf"^  {re.escape(name)}:[ \t]*\n(?:(?: {{3,}}.*|[ \t]*)\n)*"
    return list(re.finditer(pattern, text, re.MULTILINE))


def _only(file: str, text: str, name: str) -> re.Match[str]:
    found = _blocks(text, name)
    if len(found) != 1:
        raise NoPlace(
            file, f"there is no service {name}" if not found else f"two are called {name}"
        )
    return found[0]


def _target(file: str, text: str, name: str) -> re.Match[str]:
    pattern = rf'^target "{re.escape(name)}" \{{\n(?:(?: .*)?\n)*?\}}\n\n?'
    found = list(re.finditer(pattern, text, re.MULTILINE))
    if len(found) != 1:
        raise NoPlace(file, f'there is no target "{name}"')
    return found[0]


def _every(
    file: str, text: str, pattern: str, change: Callable[[re.Match[str]], str], what: str
) -> str:
    text, count = re.subn(pattern, change, text, flags=re.MULTILINE)
    if not count:
        raise NoPlace(file, f"there is no {what} any more")
    return text


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
