"""rebake.toml: every fault is named with its file, line, key, what was expected, what is near."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rebake.config.load import defaults_text, find_root, load
from rebake.errors import ConfigError, NotAProject, ProjectError

NOBODY = Path("no-user-settings.toml")


def write(folder: Path, text: str) -> Path:
    (folder / "rebake.toml").write_text(text, encoding="utf-8")
    return folder


def faults(folder: Path, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, environ=environ, user=NOBODY)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, ""), environ={}, user=NOBODY)
    assert loaded.config.services == ("api", "worker", "ui")
    assert set(loaded.sources.values()) == {"default"}


def test_one_project_leaves_the_defaults_of_the_next_alone(tmp_path: Path) -> None:
    text = '[aliases]\nweb = "ui"\n[dev.ports]\napi = 7001\n'
    assert load(write(tmp_path, text), environ={}, user=NOBODY).config.aliases == {"web": "ui"}
    loaded = load(write(tmp_path, ""), environ={}, user=NOBODY)
    assert loaded.config.aliases == {}
    assert loaded.config.dev.ports["api"] != 7001
    assert set(loaded.sources.values()) == {"default"}


def test_every_default_has_a_comment() -> None:
    previous = ""
    for line in defaults_text().splitlines():
        if "=" in line and not line.startswith(("#", "[")):
            assert previous.strip(), f"{line} follows an empty line"
        previous = line
    assert tomllib.loads(defaults_text())


def test_precedence_and_sources(tmp_path: Path) -> None:
    user = tmp_path / "user.toml"
    user.write_text('[engine]\nkind = "private"\nstart_timeout_s = 7\n[base_images]\nretries = 1\n')
    project = write(tmp_path, '[engine]\nkind = "system"\n[prod.ports]\nui = 81\n')
    loaded = load(
        project,
        environ={"REBAKE_ENGINE_KIND": "native", "REBAKE_BACKEND_SERVICES": "api, worker"},
        flags={"dev.watch": "polling"},
        user=user,
    )
    assert loaded.config.engine.kind == "native"
    assert loaded.config.engine.start_timeout_s == 7
    assert loaded.config.base_images.retries == 1
    assert loaded.config.prod.ports == {"ui": 81, "api": 8001, "worker": 8002}
    assert loaded.config.dev.watch == "polling"
    assert loaded.sources["engine.kind"] == "environment"
    assert loaded.sources["engine.start_timeout_s"] == str(user)
    assert loaded.sources["prod.ports.ui"] == str(project / "rebake.toml")
    assert loaded.sources["dev.watch"] == "flag"
    assert loaded.sources["prod.address"] == "default"


def test_unknown_keys_and_wrong_types_all_at_once(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        '[engine]\nkidn = "auto"\nstart_timeout_s = "x"\n\n[backend]\nservices = []\n'
        '[ui]\nmanager = "yarn"\n',
    )
    file = folder / "rebake.toml"
    assert faults(folder) == [
        f"{file}:2: engine.kidn: unknown key; did you mean engine.kind?",
        f"{file}:3: engine.start_timeout_s: 'x' can't be used; expected a whole number",
        f"{file}:6: backend.services: [] can't be used; expected at least one entry",
        f'{file}:8: ui.manager: \'yarn\' can\'t be used; expected "bun" or "npm"',
    ]


def test_a_word_that_is_nearly_one_of_those_that_may_stand_there(tmp_path: Path) -> None:
    folder = write(tmp_path, '[ui]\nmanager = "NMP"\n[engine]\nkind = "private-one"\n')
    file = folder / "rebake.toml"
    assert faults(folder) == [
        f'{file}:4: engine.kind: \'private-one\' can\'t be used; expected "auto", "system", '
        '"private" or "native"; did you mean "private"?',
        f'{file}:2: ui.manager: \'NMP\' can\'t be used; expected "bun" or "npm"; '
        'did you mean "npm"?',
    ]


def test_a_key_in_the_wrong_table_is_found(tmp_path: Path) -> None:
    folder = write(tmp_path, "retries = 4\n")
    assert faults(folder) == [
        f"{folder / 'rebake.toml'}:1: retries: unknown key; did you mean base_images.retries?"
    ]


@pytest.mark.parametrize(
    ("text", "near"),
    [("[bild]\nx = 1", "did you mean [build]?"), ("[zzz]\nx = 1", "see invoke config --defaults")],
)
def test_a_table_that_is_written_wrong_is_told_with_the_nearest_one(
    tmp_path: Path, text: str, near: str
) -> None:
    (fault,) = faults(write(tmp_path, text))
    assert fault.endswith(f".x: unknown key; {near}")


def test_a_table_given_as_a_value(tmp_path: Path) -> None:
    folder = write(tmp_path, "engine = 3\n")
    assert faults(folder) == [
        f"{folder / 'rebake.toml'}:1: engine: is a table, not a value; expected [engine]"
    ]


def test_an_unknown_variable_names_the_nearest(tmp_path: Path) -> None:
    assert faults(write(tmp_path, ""), REBAKE_ENGINE_KIMD="auto") == [
        "environment: REBAKE_ENGINE_KIMD: unknown variable; did you mean REBAKE_ENGINE_KIND?"
    ]


def test_a_wrong_number_in_the_environment(tmp_path: Path) -> None:
    assert faults(write(tmp_path, ""), REBAKE_BASE_IMAGES_RETRIES="many") == [
        "environment: REBAKE_BASE_IMAGES_RETRIES: 'many' can't be used; expected a whole number"
    ]


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "-rf"])
def test_paths_stay_inside_the_project(tmp_path: Path, path: str) -> None:
    folder = write(tmp_path, f'[backend]\npath = "{path}"\n')
    assert faults(folder) == [
        f"{folder / 'rebake.toml'}:2: backend.path: {path!r} leaves the project; "
        "expected a path inside the project's folder"
    ]


def test_ports_of_services_that_are_not_there(tmp_path: Path) -> None:
    folder = write(tmp_path, "[dev.ports]\napii = 5000\nui = 5174\n")
    file = folder / "rebake.toml"
    nearest, taken = faults(folder)
    assert nearest.startswith(f"{file}:2: dev.ports.apii: no such service; expected one of api")
    assert nearest.endswith("did you mean api?")
    assert taken == f"{file}:3: dev.ports.ui: port 5174 is api's already"


@pytest.mark.parametrize("name", ["-rf", "Über", "a b", "x" * 41, "$(id)"])
def test_hostile_names_are_refused(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, f'[project]\nname = "{name}"\n')
    (fault,) = faults(folder)
    assert fault.startswith(f"{folder / 'rebake.toml'}:2: project.name: {name!r} can't be used")


def test_not_toml(tmp_path: Path) -> None:
    folder = write(tmp_path, "[engine]\nkind = \n")
    with pytest.raises(ProjectError) as caught:
        load(folder, environ={}, user=NOBODY)
    assert str(caught.value).startswith(f"{folder / 'rebake.toml'}:2: is not valid TOML")
    assert caught.value.exit_code == 2


def test_find_root_looks_upwards(tmp_path: Path) -> None:
    write(tmp_path, "")
    deep = tmp_path / "backend" / "crates"
    deep.mkdir(parents=True)
    assert find_root(deep) == tmp_path


def test_a_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(NotAProject) as caught:
        find_root(tmp_path)
    assert caught.value.exit_code == 2
    assert str(tmp_path) in str(caught.value)


def test_default_ports_of_services_that_are_not_there_do_not_matter(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, '[backend]\nservices = ["main"]\n'), environ={}, user=NOBODY)
    assert loaded.config.services == ("main", "ui")


FORM = '{ env = "VARIABLE" } or { file = "path" }, and never the secret itself'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[secrets.build]\nnpm = "hunter2"', f"secrets.build.npm: can't be used; expected {FORM}"),
        ('[secrets.build]\nnpm = { evn = "hunter2" }', "'evn' is no key of a secret: did you"),
        ('[secrets.build.npm]\nvalue = "hunter2"', "'value' is no key of a secret: known: env"),
        ('[secrets.run]\nnpm = { env = "A", file = "hunter2" }', f"expected {FORM}"),
        ('[secrets.run]\nnpm = { env = "hunter2 x" }', "the name of a variable, such as NPM_TOKEN"),
        ('[secrets.run]\n"x y" = { env = "A" }', "secrets.run.x y: can't be used"),
        ('[secrets.build]\nca = { env = "A" }', "secrets.build.ca: is a secret of rebake's own"),
        (
            '[secrets.run]\nnpm = { env = "A", services = ["apy"] }',
            "2: secrets.run.npm: no such service: apy; expected some of api, worker, ui; did you",
        ),
        ('[secrets.rum]\nnpm = { env = "A" }', "secrets.rum.npm.env: unknown key"),
        ('[sign]\nmethod = "keyles"', 'did you mean "keyless"?'),
        ('[sign]\nmethod = "keyless"', "sign.method: whose signatures count?"),
        ('[sign]\nattestations = ["sbon"]', 'did you mean "sbom"?'),
    ],
)  # fmt: skip
def test_a_secret_that_is_declared_wrongly_is_told_and_never_repeated(
    tmp_path: Path, text: str, says: str
) -> None:
    (fault,) = faults(write(tmp_path, text))
    assert says in fault
    assert "hunter2" not in fault


def test_declared_secrets_are_names_of_places(tmp_path: Path) -> None:
    text = '[secrets.build.key]\nfile = "x"\n[secrets.run]\na = { env = "A", services = ["ui"] }\n'
    loaded = load(write(tmp_path, text), environ={}, user=NOBODY)
    assert loaded.config.secrets.build == {"key": {"file": "x"}}
    assert loaded.config.secrets.run == {"a": {"env": "A", "services": ["ui"]}}
    assert loaded.sources["secrets.run.a"] == str(tmp_path / "rebake.toml")


def test_both_compose_files_or_none(tmp_path: Path) -> None:
    assert load(write(tmp_path, '[docker]\ncompose_prod = ""\ncompose_dev = ""\n'))
    folder = write(tmp_path, '[docker]\ncompose_prod = ""\n')
    (fault,) = faults(folder)
    assert "docker.compose_prod: is empty, but docker.compose_dev is not" in fault


@pytest.mark.parametrize("name", ["../Dockerfile", "Containerfile", "Dockerfile.", "-f"])
def test_the_name_of_a_dockerfile(tmp_path: Path, name: str) -> None:
    (fault,) = faults(write(tmp_path, f'[backend]\ndockerfile = "{name}"\n'))
    assert "backend.dockerfile" in fault
