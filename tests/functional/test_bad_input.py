"""Bad input, as a user makes it: one clear error, the right exit code, and nothing changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from command_line import REPOSITORY, Bench
from e2e.old_project import write_old_project
from rebake.project.project import open_project
from rebake.stack.memory import Remembered, remember


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys)


def refused(bench: Bench, *words: str, code: int, says: tuple[str, ...], **environ: str) -> None:
    before = bench.digest()
    done = bench.run(*words, **environ)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 1, done.stderr
    assert "Traceback" not in done.stderr
    for text in says:
        assert text in done.stderr
    assert bench.digest() == before


@pytest.mark.parametrize("task", ["dev", "prod", "build", "config", "up", "down", "doctor"])
def test_an_unknown_key(bench: Bench, task: str) -> None:
    file = bench.root / "rebake.toml"
    file.write_text('[project]\nname = "shop"\n\n[engine]\nkidn = "auto"\n')
    refused(
        bench, task, code=2, says=(f"{file}:5: engine.kidn: unknown key", "mean engine.kind?")
    )  # fmt: skip


def test_the_program_itself_ends_with_that_code_and_those_words(bench: Bench) -> None:
    words = ("build", "wroker")
    apart, here = bench.run_apart(*words), bench.run(*words)
    assert apart.returncode == here.returncode == 2
    assert apart.stderr == here.stderr
    assert apart.stdout == here.stdout == ""


def test_a_wrong_type(bench: Bench) -> None:
    file = bench.root / "rebake.toml"
    file.write_text('[prod.ports]\napi = "high"\n')
    refused(bench, "prod", code=2, says=(f"{file}:2: prod.ports.api", "expected a whole number"))


def test_an_unknown_service(bench: Bench) -> None:
    refused(
        bench, "build", "wroker", code=2, says=("no service named 'wroker'", "did you mean worker?")
    )


def test_an_unknown_variable(bench: Bench) -> None:
    refused(
        bench, "dev", code=2, says=("REBAKE_ENGINE_KIMD", "did you mean REBAKE_ENGINE_KIND?"),
        REBAKE_ENGINE_KIMD="x",
    )  # fmt: skip


@pytest.mark.parametrize("task", ["dev", "prod", "build"])
def test_a_manifest_that_does_not_parse(bench: Bench, task: str) -> None:
    manifest = bench.root / "backend" / "Cargo.toml"
    manifest.write_text("[workspace\n")
    refused(bench, task, code=2, says=(f"{manifest}:1: does not parse",))


@pytest.mark.parametrize("task", ["dev", "prod", "build", "dev --native"])
def test_a_lock_file_of_another_manager(bench: Bench, task: str) -> None:
    lock = bench.root / "ui" / "package-lock.json"
    lock.write_text('{"packages": {}}')
    (bench.root / "ui" / "package.json").write_text('{"scripts": {"dev": "x"}}')
    said = f"{lock.parent / 'bun.lock'}: is not there, but package-lock.json is, and ui.manager is"
    refused(bench, *task.split(), code=2, says=(f"{said} bun", 'set ui.manager = "npm"'))


def test_a_manager_that_is_none(bench: Bench) -> None:
    file = bench.root / "rebake.toml"
    file.write_text('[ui]\nmanager = "npn"\n')
    said = f"{file}:2: ui.manager: 'npn' can't be used"
    refused(bench, "build", code=2, says=(said, '"bun" or "npm"', 'did you mean "npm"?'))
    file.write_text("")
    refused(bench, "build", code=2, says=("REBAKE_UI_MANAGER",), REBAKE_UI_MANAGER="yarn")


def test_a_runtime_that_is_none(bench: Bench) -> None:
    file = bench.root / "rebake.toml"
    file.write_text('[ui]\nruntime = "ngnix"\n')
    said = f"{file}:2: ui.runtime: 'ngnix' can't be used"
    refused(bench, "prod", code=2, says=(said, '"web", "nginx" or "own"', 'did you mean "nginx"?'))


def test_the_doctor_looks_at_the_lock_files(bench: Bench) -> None:
    ui = bench.root / "ui"
    (ui / ".npmrc").write_text("save-exact=true\n")
    (ui / "package.json").write_text('{"dependencies": {"a": "1.0.0"}}')
    (ui / "bun.lock").write_text('    "a": ["a@2.0.0", "",\n')
    packages = {"": {"dependencies": {"a": "1.0.0"}}, "node_modules/a": {"version": "1.0.0"}}
    lock = {"lockfileVersion": 3, "packages": packages}
    (ui / "package-lock.json").write_text(json.dumps(lock))
    told = bench.run("doctor").stdout
    assert "name other versions of a" in told
    assert "delete package-lock.json, or make it again with npm" in told
    assert ".npmrc" not in told
    (ui / ".npmrc").write_text("//registry.invalid/:_authToken=x\n")
    (ui / "package.json").write_text('{"dependencies": {"b": "1.0.0"}}')
    told = bench.run("doctor", REBAKE_UI_MANAGER="npm").stdout
    assert "ui/package-lock.json is out of date: package.json" in told
    assert "ui/.npmrc:1 looks like a registry's password or token" in told


def test_a_service_without_a_binary(bench: Bench) -> None:
    (bench.root / "rebake.toml").write_text('[backend]\nservices = ["api", "mailer"]\n')
    refused(bench, "dev", code=2, says=("'mailer' is no binary", "its binaries are api, worker"))


def test_a_benchmark_with_nothing_to_go_on_with(bench: Bench) -> None:
    told = "no benchmark of this project was stopped"
    refused(bench, "benchmark", "--resume", code=2, says=(told, "without that flag"))
    flags = "--resume is for what was asked for then"
    refused(bench, "benchmark", "--resume", "--runs", "3", code=2, says=(flags,))
    refused(bench, "benchmark", "--finish", code=2, says=(told,))
    flags = "--finish is for what was asked for then"
    refused(bench, "benchmark", "--finish", "--services", "5", code=2, says=(flags,))
    both = "--resume goes on, and --finish does not"
    refused(bench, "benchmark", "--finish", "--resume", code=2, says=(both,))


def test_a_key_that_is_not_there(bench: Bench) -> None:
    refused(bench, "sign", code=2, says=("there is no key at", "invoke sign --make-key"))
    refused(bench, "verify", code=2, says=("there is no public key at", "sign.public_key"))
    refused(bench, "prod", "--require-signed", code=2, says=("there is no public key at",))


def test_a_secret_of_a_service_that_is_not_there(bench: Bench) -> None:
    bench.root.joinpath("rebake.toml").write_text('[secrets.run]\nkey = { env = "MY_KEY" }\n')
    refused(bench, "prod", code=2, says=("secrets.run.key", "MY_KEY is not set"), MY_KEY="")


@pytest.mark.parametrize("task", ["prod", "build", "warm-cache"])
def test_secrets_that_are_not_there_are_told_before_an_engine_is_looked_for(
    bench: Bench, task: str
) -> None:
    text = '[secrets.build]\na = { env = "A" }\nb = { file = "b" }\nc = { env = "C" }\n'
    bench.root.joinpath("rebake.toml").write_text(text)
    refused(
        bench, task, code=2,
        says=("2 secrets are not there", "secrets.build.a: the variable A", "secrets.build.b: "),
        C="a-value-that-is-there",
    )  # fmt: skip


def test_a_format_that_is_none(bench: Bench) -> None:
    refused(bench, "sbom", "--format", "spxd", code=2, says=("no format named 'spxd'", "mean spdx"))


@pytest.mark.parametrize("task", ["dev", "prod", "build", "base-images"])
def test_no_engine(bench: Bench, task: str) -> None:
    refused(
        bench, task, code=69, says=("DOCKER_HOST", "does not answer", "next: start it, or unset")
    )


def test_a_bad_flag_value(bench: Bench) -> None:
    refused(bench, "build", "--progress", "loud", code=2, says=("--progress 'loud'", "auto, plain"))
    refused(bench, "logs", "--tail", "many", code=2, says=("--tail 'many' is not a whole number",))


def test_an_unknown_engine_action(bench: Bench) -> None:
    refused(bench, "engine", "strat", code=2, says=("no action named 'strat'", "start"))


def test_a_shell_that_is_none(bench: Bench) -> None:
    refused(bench, "completion", code=2, says=("for one shell at a time", "bash, zsh, fish"))
    refused(bench, "completion", "bash", "zsh", code=2, says=("at a time, not bash zsh",))
    refused(bench, "completion", "fihs", code=2, says=("no shell named 'fihs'", "mean fish?"))


def test_completion_needs_no_project(bench: Bench) -> None:
    done = bench.run("completion", "fish", "--json", cwd=bench.home)
    document = json.loads(done.stdout)
    assert (done.returncode, document["shell"]) == (0, "fish")
    assert document["script"].startswith("# Completion of rebake's tasks")


def test_the_tab_key_is_answered_by_the_program(bench: Bench) -> None:
    done = bench.run("__complete", "invoke", "cur=w", "build")
    assert (done.returncode, done.stdout, done.stderr) == (0, "worker\t\n", "")
    outside = bench.run("__complete", "invoke", "cur=w", "build", cwd=bench.home)
    assert (outside.returncode, outside.stdout, outside.stderr) == (3, "", "")


def test_a_wrong_folder(bench: Bench, tmp_path: Path) -> None:
    done = bench.run("dev", cwd=bench.home)
    assert done.returncode == 2
    assert f"no rebake.toml in {bench.home}" in done.stderr


def test_hostile_words_stay_words(bench: Bench) -> None:
    for name in ("x;touch y", "$(touch y)", "a b"):
        refused(bench, "build", name, code=2, says=(f"no service named {name!r}",))


def test_nothing_was_started_yet(bench: Bench) -> None:
    refused(bench, "up", code=2, says=("nothing was started here yet", "invoke dev"))


def test_a_dry_run_shows_the_commands_and_needs_no_engine(bench: Bench) -> None:
    before = bench.digest()
    done = bench.run("prod", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "buildx bake" in done.stdout
    assert "up --detach --no-build" in done.stdout
    assert bench.digest() == before


DRY = {
    "dev": ("REBAKE_HOST_SETTINGS=", "UI_PORT=5173", " up --detach --no-build"),
    "dev --native": ("cargo build --locked --bin api --bin worker", "bun install", "API_ADDR="),
    "prod": ("buildx bake", "REBAKE_HOST_SETTINGS=", "BIND_ADDRESS=", " up --detach --no-build"),
    "build api": ("buildx bake",),
    "rebuild": ("buildx bake",),
    "down --volumes": ("REBAKE_HOST_SETTINGS=", " down --remove-orphans --volumes"),
    "logs api --tail 5 --export logs.txt": (" logs --no-color --tail 5 api",),
    "base-images --pin": ("docker pull rust:1.97-slim-trixie", "docker pull oven/bun:"),
    "sqlx-prepare": ("SQLX_OFFLINE=false", " rustc --quiet --locked -p api --lib"),
    "sqlx-prepare --check": ("DATABASE_URL=sqlite:",),
    "engine stop": (),
    "engine remove": (),
    "ps": (),
    "config": ("project.name",),
    "doctor": ("context",),
    "doctor --fix": ("context",),
    "history": (),
    "report": (),
    "why": (),
    "why --next": (),
    "build --assert-warm": ("buildx bake",),
    "benchmark": (),
    "refresh-cache": (),
    "warm-cache": ("docker pull rust:1.97-slim-trixie", "buildx bake", "cargo build --locked"),
    "warm-cache --for ci": ("backend-deps",),
    "workflow-test": (),
    "prod --require-signed": ("verify-blob-attestation", " up --detach --no-build"),
    "sign --make-key": ("cosign generate-key-pair", "signing-config create", "cosign attest-blob"),
    "verify api": ("cosign verify-blob-attestation", "--insecure-ignore-tlog=true"),
    "sbom": ("docker image save",),
    "completion bash": ("complete -o default -F _rebake_complete rebake invoke inv",),
    "add-service mailer": ("+++ b/backend/crates/mailer/src/lib.rs", '+target "mailer" {'),
    "new ../other --defaults": ("README.md", "rebake.toml", "vendor/README.md"),
    "adopt old": ("the program worker, worker.Dockerfile →", "+++ rebake.toml", "+++ tasks.py"),
}


@pytest.mark.parametrize("line", DRY)
def test_a_dry_run_shows_the_commands_and_writes_nothing_anywhere(bench: Bench, line: str) -> None:
    def everything() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for place in (bench.root, bench.home)
            for path in place.rglob("*")
        }

    if line.startswith("add-service"):
        for name in ("Cargo.lock", "Dockerfile"):
            shutil.copy(REPOSITORY / "backend" / name, bench.root / "backend")
    if line.startswith("adopt"):
        write_old_project(bench.root / "old")
    before = everything()
    done = bench.run(*line.split(" "), "--dry-run")
    assert done.returncode == (1 if line.startswith("doctor") else 0), (
        done.stderr
    )  # files are missing here
    for text in DRY[line]:
        assert text in done.stdout
    assert everything() == before


def test_a_dry_run_with_npm(bench: Bench) -> None:
    bench.root.joinpath("rebake.toml").write_text('[ui]\nmanager = "npm"\n')
    dry = {
        "dev": ("UI_MANAGER=npm",),
        "prod": ("UI_MANAGER=npm", "NODE_IMAGE=node:"),
        "dev --native": ("npm install --no-save", "bun run dev"),
        "base-images": ("docker pull rust:", "docker pull oven/bun:", "docker pull node:"),
    }
    for line, texts in dry.items():
        done = bench.run(*line.split(" "), "--dry-run")
        assert done.returncode == 0, done.stderr
        for text in texts:
            assert text in done.stdout, line


def test_a_dry_run_with_nginx(bench: Bench) -> None:
    bench.root.joinpath("rebake.toml").write_text('[ui]\nruntime = "nginx"\n')
    for line, texts in {
        "prod": ("UI_RUNTIME=nginx", "NGINX_IMAGE=debian:"),
        "base-images": ("docker pull rust:", "docker pull oven/bun:", "docker pull debian:"),
    }.items():
        done = bench.run(*line.split(" "), "--dry-run")
        assert done.returncode == 0, done.stderr
        for text in texts:
            assert text in done.stdout, line


def test_every_task_has_a_dry_run_that_is_tried() -> None:
    from rebake.tasks import namespace

    tried = {line.split(" ")[0] for line in DRY}
    tried |= {"up", "update"}  # below, and tests/functional/scaffold
    assert set(namespace.task_names) <= tried


@pytest.mark.parametrize(
    ("kind", "text"), [("containers", " up --detach --no-build"), ("native", "cargo build")]
)
def test_a_dry_run_of_up_starts_nothing(bench: Bench, kind: str, text: str) -> None:
    project = open_project(bench.root)
    environ = {"REBAKE_STATE_HOME": str(bench.home / "state")}
    folder = bench.home / "state" / "projects" / project.name
    remember(folder, Remembered("dev", kind))
    before = sorted(bench.home.rglob("*"))
    done = bench.run("up", "--dry-run", **environ)
    assert (done.returncode, text in done.stdout) == (0, True), done.stderr
    assert sorted(bench.home.rglob("*")) == before


def test_ps_and_down_with_nothing_there(bench: Bench) -> None:
    assert bench.run("ps").returncode == 0
    down = bench.run("down")
    assert (down.returncode, "nothing runs here" in down.stderr) == (0, True)


def test_an_update_where_there_is_nothing_to_update(bench: Bench) -> None:
    says = ("was not made from the template", "a project that rebake new made")
    refused(bench, "update", code=2, says=says)
    refused(bench, "new", code=2, says=("new takes one folder, not 0", "rebake new FOLDER"))
