"""A service's places in the files of this very repository: there and back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rebake.errors import NoPlace
from rebake.scaffold import places
from rebake.scaffold.places import Service

ROOT = Path(__file__).parents[3]
MAIL = Service("mail-out", ("api", "worker"), "MAIL_OUT", 5176, 8003)
Change = Callable[[str, str, Service], str]
IMAGE_TEST = 'SERVICES = {"api", "worker", "ui"}\n'


def dev_in(file: str, text: str, service: Service) -> str:
    return places.into_compose(file, text, service, dev=True)


def dev_out(file: str, text: str, service: Service) -> str:
    return places.out_of_compose(file, text, service, dev=True)


def prod_in(file: str, text: str, service: Service) -> str:
    return places.into_compose(file, text, service, dev=False)


def prod_out(file: str, text: str, service: Service) -> str:
    return places.out_of_compose(file, text, service, dev=False)


def text_of(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8") if file != "test" else IMAGE_TEST


ALL: dict[str, tuple[Change, Change]] = {
    "backend/Dockerfile": (places.into_dockerfile, places.out_of_dockerfile),
    "docker/docker-compose.yml": (prod_in, prod_out),
    "docker/docker-compose.dev.yml": (dev_in, dev_out),
    "docker/docker-bake.hcl": (places.into_bake, places.out_of_bake),
    "test": (places.into_image_test, places.out_of_image_test),
}


@pytest.mark.parametrize("file", ALL)
def test_there_and_back_leaves_no_trace(file: str) -> None:
    there, back = ALL[file]
    text = text_of(file)
    more = there(file, text, MAIL)
    assert more != text
    assert back(file, more, MAIL) == text
    second = Service("beta", MAIL.all, "BETA", 5177, 8004)
    assert back(file, there(file, more, second), second) == more


AGAIN = "\n  {}:\n    image: x\nvolumes:"
TARGET = '\ntarget "web"'


@pytest.mark.parametrize(
    ("file", "before", "after", "says"),
    [
        ("backend/Dockerfile", 'BINARIES="api worker', 'BINARIES="api', "names no worker"),
        ("backend/Dockerfile", "ARG BINARIES=", "ARG PROGRAMS=", 'no ARG BINARIES="…"'),
        ("backend/Dockerfile", "_ADDR=0", "_ADRESS=0", "no ENV of the stage prod"),
        ("docker/docker-compose.yml", "&hardened", "&hard", "no &hardened any more"),
        ("docker/docker-compose.yml", "CACHE_ID:-", "CACHE:-", "no build has the argument"),
        ("docker/docker-compose.yml", "  worker:", "  sweeper:", "there is no service worker"),
        ("docker/docker-compose.yml", "\nvolumes:", AGAIN.format("mail-out"), "already"),
        ("docker/docker-compose.yml", "\nvolumes:", AGAIN.format("worker"), "two are"),
        ("docker/docker-compose.dev.yml", "[api, api, worker]", "[api, api]", "command of api"),
        ("docker/docker-compose.dev.yml", "    command:", "    entrypoint:", "there is no command"),
        ("docker/docker-bake.hcl", 'target "worker"', 'target "sweeper"', 'no target "worker"'),
        ("docker/docker-bake.hcl", '"api", "worker"', '"api"', '"default" names no worker'),
        ("docker/docker-bake.hcl", 'group "default"', 'group "all"', 'no group "default"'),
        ("docker/docker-bake.hcl", TARGET, f'\ntarget "mail-out" {{\n}}{TARGET}', "already"),
        ("test", "SERVICES", "IMAGES", "no SERVICES"),
    ],
)  # fmt: skip
def test_a_file_that_lost_the_place_is_refused_by_name(
    file: str, before: str, after: str, says: str
) -> None:
    text = text_of(file)
    assert before in text
    with pytest.raises(NoPlace, match="nothing was changed") as refusal:
        ALL[file][0](file, text.replace(before, after), MAIL)
    assert says in refusal.value.what
    assert refusal.value.what.startswith(file)


def test_its_image_is_labelled_with_its_own_id_where_the_bake_file_knows_one() -> None:
    text = text_of("docker/docker-bake.hcl")
    more = places.into_bake("f", text, MAIL)
    assert '{ SERVICE = "mail-out", SERVICE_BUILD_ID = build_id_of("mail-out") }' in more
    older = text.replace(', SERVICE_BUILD_ID = build_id_of("api")', "").replace("build_id_of", "x")
    assert '{ SERVICE = "mail-out" }' in places.into_bake("f", older, MAIL)


def test_a_comment_before_the_next_service_stays_with_it() -> None:
    text = text_of("docker/docker-compose.yml").replace("  ui:\n", "  # The pages.\n  ui:\n")
    more = prod_in("f", text, MAIL)
    assert "\n\n  # The pages.\n  ui:\n" in more
    assert prod_out("f", more, MAIL) == text


CONFIG = '[project]\nname = "shop"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONFIG, CONFIG + '\n[backend]\nservices = ["api", "worker", "mail-out"]\n'),
        (
            '[backend]\npath = "server"\n\n[ui]\nmanager = "npm"\n',
            '[backend]\nservices = ["api", "worker", "mail-out"]\npath = "server"\n\n'
            '[ui]\nmanager = "npm"\n',
        ),
        (
            '[backend]\nservices = [\n  "api",\n  "worker",\n] # all\n# more\n',
            '[backend]\nservices = ["api", "worker", "mail-out"] # all\n# more\n',
        ),
    ],
)
def test_the_configuration_names_it(text: str, expected: str) -> None:
    assert places.with_services("f", text, MAIL.all, MAIL.others) == expected


def test_the_configuration_forgets_it_with_its_ports_and_short_names() -> None:
    more = places.with_services("f", CONFIG, MAIL.all, MAIL.others)
    assert places.with_services("f", more, MAIL.others, MAIL.others) == CONFIG
    ports = '\n[dev.ports]\nmail-out = 7000\n\n[aliases]\nm = "mail-out"\na = "api"\n'
    less = places.with_services("f", more + ports, MAIL.others, MAIL.others)
    assert "mail" not in less
    assert 'a = "api"' in less


def test_a_configuration_in_another_form_is_refused() -> None:
    with pytest.raises(NoPlace, match="no line"):
        places.with_services("f", 'backend.services = ["api", "worker"]\n', MAIL.all, MAIL.others)
    spread = '[backend]\n"services" = ["api", "worker"]\n'
    with pytest.raises(NoPlace, match="list of its own"):
        places.with_services("f", spread, MAIL.all, MAIL.others)


def test_the_highest_port_of_a_file() -> None:
    assert places.highest_port(text_of("docker/docker-compose.yml")) == 8002
    assert places.highest_port("") == 0
