"""Checks of the project's own files: each thing is broken for real."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from rebake.doctor import (
    bun_manifests,
    cargo_chef,
    context,
    disk,
    files,
    line_ends,
    owners,
    ports,
    release_profile,
    secret_files,
    settings,
    workspace,
)
from rebake.doctor.run import CHECKS, look
from rebake.scan.secret_patterns import by_content, by_name
from unit.doctor.conftest import MakeCase, bad, only

LOOK = {check.name: check for check in CHECKS}


def test_a_sound_project_has_nothing_to_mend(root: Path, make_case: MakeCase) -> None:
    case = make_case(root, REBAKE_PROD_PORTS_UI="1")
    for name in ("settings", "files", "workspace", "release-profile", "lock-files", "context",
                 "secrets", "owners", "line-ends", "cargo-chef", "bun-manifests"):  # fmt: skip
        found = look(LOOK[name], case)
        assert bad(found) == [], name
        assert found, name


# --- what travels ---


def test_what_tools_made_and_travels_is_named_and_mended(root: Path, make_case: MakeCase) -> None:
    made = root / "ui" / "node_modules" / "react"
    made.mkdir(parents=True)
    (made / "index.js").write_text("x")
    (root / "ui" / ".dockerignore").write_text("dist\n")
    one = only(list(context.check(make_case(root))))
    assert one.message == "ui: node_modules travel to the builder"
    for mend in one.mends:
        mend.apply()
    assert (root / "ui" / ".dockerignore").read_text() == "dist\nnode_modules\n"
    assert bad(list(context.check(make_case(root)))) == []


def test_the_largest_files_that_still_travel_are_named(root: Path, make_case: MakeCase) -> None:
    with (root / "ui" / "film.mp4").open("wb") as film:
        film.truncate(60_000_000)
    one = only(list(context.check(make_case(root))))
    assert "60.0 MB travel; the largest: film.mp4 (60.0 MB), bun.lock" in one.message


def test_a_folder_without_an_ignore_file(root: Path, make_case: MakeCase) -> None:
    (root / "ui" / ".dockerignore").unlink()
    assert only(list(context.check(make_case(root)))).message == "ui has no .dockerignore"


def test_an_ignore_file_that_the_builder_refuses(root: Path, make_case: MakeCase) -> None:
    (root / "ui" / ".dockerignore").write_text("dist\n[a\n")
    (one,) = look(LOOK["context"], make_case(root))
    assert (one.level, ".dockerignore:2" in one.message) == ("error", True)


# --- secrets ---

# In two parts each, so that no scanner takes this file for a leak.
KEYS = {
    "a private key": "-----BEGIN RSA PRIV" + "ATE KEY-----\nMIIEow",
    "an AWS access key": "AKIA" + "Q3EGRT7XAB2C4D5E",
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a GitLab token": "glpat-" + "x1Y2" * 5,
    "an npm token": "npm_" + "a1B2" * 9,
    "a PyPI token": "pypi-" + "AgEI" + "c" * 60,
    "a crates.io token": "cio" + "a1B2" * 8,
    "a Slack token": "xoxb-" + "123456789-abcdefghijk",
    "a Stripe key": "sk_live_" + "a1B2" * 6,
    "a Google API key": "AIza" + "a1B2c" * 7,
}


@pytest.mark.parametrize("what", KEYS)
def test_a_secret_that_travels_is_found_and_never_printed(
    root: Path, make_case: MakeCase, what: str
) -> None:
    file = root / "ui" / "src" / "settings.ts"
    file.write_text(f'// first line\nexport const KEY = "{KEYS[what]}";\n')
    one = only(list(secret_files.check(make_case(root))))
    assert one.message == f"ui/src/settings.ts:2 looks like {what}, and travels to the builder"
    assert KEYS[what][-8:] not in f"{one}"


def test_ordinary_text_is_no_secret() -> None:
    example = b"AKIA" + b"IOSFODNN7EXAMPLE"  # that of the vendor's documentation
    texts = (example, b"-----BEGIN CERTIFICATE-----\nMII", b"sk-learn and ghost_writer", b"cio" * 9)
    for text in texts:
        assert list(by_content("a.md", text)) == []


@pytest.mark.parametrize("name", [".env", ".env.local", "id_ed25519", "a.p12", ".netrc"])
def test_a_file_that_holds_secrets_by_its_name(root: Path, make_case: MakeCase, name: str) -> None:
    (root / "ui" / ".dockerignore").write_text("node_modules\n")
    (root / "ui" / name).write_text("A=1\n")
    one = only(list(secret_files.check(make_case(root))))
    assert (one.level, one.message.startswith(f"ui/{name} travels")) == ("error", True)
    for mend in one.mends:
        mend.apply()
    assert bad(list(secret_files.check(make_case(root)))) == []


def test_names_that_look_alike_and_are_harmless() -> None:
    for name in (".env.example", ".env.sample", "env.d.ts", "key.pem.ts", "id_rsa.pub", "a.envrc"):
        assert not by_name(name), name


def test_a_registry_s_settings_are_a_secret_only_with_a_token(
    root: Path, make_case: MakeCase
) -> None:
    file = root / "ui" / ".npmrc"
    file.write_text("registry=http://localhost/\n//localhost/:_authToken=${NPM_TOKEN}\n")
    assert bad(list(secret_files.check(make_case(root)))) == []
    file.write_text("//localhost/:_authToken=abcdef\n")
    assert "ui/.npmrc:1" in only(list(secret_files.check(make_case(root)))).message


def test_a_secret_as_a_build_argument(root: Path, make_case: MakeCase) -> None:
    file = root / "ui" / "Dockerfile"
    file.write_text(file.read_text() + "ARG NPM_TOKEN\nENV TOKEN_FILE=/run/x\n")
    one = only(list(secret_files.check(make_case(root))))
    assert (one.level, one.message.endswith(": ARG NPM_TOKEN")) == ("warning", True)


# --- line ends, owners, ports, disk ---


def test_a_script_with_crlf_is_found_and_mended(root: Path, make_case: MakeCase) -> None:
    script = root / "docker" / "tools" / "build-ui"
    before = script.read_bytes()
    mode = script.stat().st_mode
    script.write_bytes(before.replace(b"\n", b"\r\n"))
    one = only(list(line_ends.check(make_case(root))))
    assert (one.level, one.message) == ("error", "docker/tools/build-ui has CRLF line ends")
    one.mends[0].apply()
    assert script.read_bytes() == before
    assert script.stat().st_mode == mode
    assert bad(list(line_ends.check(make_case(root)))) == []


def test_crlf_elsewhere_is_nobody_s_business(root: Path, make_case: MakeCase) -> None:
    (root / "ui" / "src" / "a.ts").write_bytes(b"x\r\n")
    (root / "ui" / "run.ps1").write_bytes(b"#!x\r\n")
    assert bad(list(line_ends.check(make_case(root)))) == []
    (root / "ui" / "start.sh").write_bytes(b"echo\r\n")
    assert "ui/start.sh" in only(list(line_ends.check(make_case(root)))).message


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such owners on Windows")
def test_what_root_owns_in_a_user_s_tree_is_found() -> None:
    # Every machine has a tree of root's: seen as the content of another user's folder.
    owned = next(Path(p) for p in ("/usr", "/etc") if Path(p).stat().st_uid == 0)
    found = owners.owned_by_root(owned, 1000)
    assert found
    assert all(path.lstat().st_uid == 0 for path in found)
    assert owners.owned_by_root(owned, 0) == []


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can make another user's files"
)
def test_a_root_owned_file_is_given_back(root: Path, make_case: MakeCase) -> None:
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names, "."):
            os.chown(Path(folder, name), 1234, 1234, follow_symlinks=False)
    assert bad(list(owners.check(make_case(root)))) == []
    (root / "ui" / "node_modules" / "a").mkdir(parents=True)
    (root / "backend" / "made").write_text("x")
    one = only(list(owners.check(make_case(root))))
    assert (one.level, one.message) == ("error", "root owns backend/made, ui/node_modules")
    assert f"sudo chown -R 1234:1234 {root}/backend/made {root}/ui/node_modules" == one.fix
    for mend in one.mends:
        mend.apply()
    assert bad(list(owners.check(make_case(root)))) == []
    assert (root / "ui" / "node_modules" / "a").stat().st_uid == 1234


def test_a_port_in_use_is_told_with_its_owner(root: Path, make_case: MakeCase) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        others = {"api": port - 1, "worker": port - 2}  # free or not: it is ui's that counts
        lines = [f"{name} = {number}" for name, number in {"ui": port, **others}.items()]
        (root / "rebake.toml").write_text("\n".join(["[prod.ports]", *lines]))
        found = list(ports.check(make_case(root)))
    one = next(d for d in found if f"port {port} of ui" in d.message)
    assert one.level == "warning"
    assert f"(pid {os.getpid()})" in one.message
    assert "prod.ports.ui" in one.fix


def test_a_disk_without_room(tmp_path: Path) -> None:
    assert [d.level for d in disk.judge(tmp_path, 1)] == ["ok"]
    few = next(iter(disk.judge(tmp_path, 10**18)))
    assert (few.level, "1000000000.0 GB are needed" in few.message) == ("error", True)


# --- settings, files, workspace ---


def test_a_service_without_a_target(root: Path, make_case: MakeCase) -> None:
    bake = root / "docker" / "docker-bake.hcl"
    bake.write_text(bake.read_text().replace('"worker"', '"other"'))
    one = only(list(settings.check(make_case(root))))
    assert one.message == "service worker has no target in docker/docker-bake.hcl"


def test_settings_that_do_not_fit(root: Path, make_case: MakeCase) -> None:
    (root / "rebake.toml").write_text(
        '[prod]\naddress = "0.0.0.0"\n[prod.ports]\nui = 80\n[aliases]\napi = "worker"\n'
    )
    messages = [d.message for d in list(settings.check(make_case(root)))]
    assert messages == [
        "prod.ports: ui 80 below 1024",
        "prod.address is 0.0.0.0",
        "aliases.api stands for worker, and there is a service api",
    ]


def test_files_that_are_missing(root: Path, make_case: MakeCase) -> None:
    (root / "docker" / "docker-bake.hcl").unlink()
    one = only(list(files.check(make_case(root))))
    assert one.message == "docker/docker-bake.hcl is not there"
    assert one.fix == "git checkout -- docker/docker-bake.hcl, or set docker.bake in rebake.toml"


def test_a_manifest_that_does_not_parse(root: Path, make_case: MakeCase) -> None:
    (root / "backend" / "Cargo.toml").write_text("[workspace\n")
    (one,) = look(LOOK["workspace"], make_case(root))
    assert (one.level, "Cargo.toml:1: does not parse" in one.message) == ("error", True)
    assert list(files.check(make_case(root)))  # the others go on
    with pytest.raises(Exception, match="does not parse"):
        list(workspace.check(make_case(root)))


def test_a_workspace_that_the_base_image_is_too_old_for(root: Path, make_case: MakeCase) -> None:
    manifest = root / "backend" / "Cargo.toml"
    manifest.write_text(manifest.read_text() + '[workspace.package]\nrust-version = "1.95"\n')
    assert bad(list(workspace.check(make_case(root)))) == []
    (root / "rebake.toml").write_text('[base_images]\nrust = "rust:1.90-slim"\n')
    one = only(list(workspace.check(make_case(root))))
    assert one.message == "rust-version is 1.95, and base_images.rust is rust:1.90-slim"
    (root / "rebake.toml").write_text('[base_images]\nrust = "rust:1-slim"\n')
    assert bad(list(workspace.check(make_case(root)))) == []


# --- the release profile ---


def profile(root: Path, make_case: MakeCase, line: str, variable: str = "") -> list[str]:
    manifest, dockerfile = root / "backend/Cargo.toml", root / "backend/Dockerfile"
    manifest.write_text(f"{manifest.read_text()}\n[profile.release]\n{line}\n")
    before, text = "CARGO_PROFILE_RELEASE_INCREMENTAL=true", dockerfile.read_text()
    assert before in text
    dockerfile.write_text(text.replace(before, variable or before))
    return [d.message for d in bad(list(release_profile.check(make_case(root))))]


@pytest.mark.parametrize(
    ("line", "variable", "says"),
    [
        ("codegen-units = 1", "", "backend/Cargo.toml: the release profile has codegen-units = 1"),
        ("codegen-units = 256", "", ""),
        ('lto = "fat"', "", "backend/Cargo.toml: the release profile has lto = fat"),
        ("lto = true", "", "backend/Cargo.toml: the release profile has lto = true"),
        ("lto = false", "", ""),
        ('lto = "off"', "", ""),
        ("codegen-units = 1", "CARGO_PROFILE_RELEASE_INCREMENTAL=false", ""),
        ("codegen-units = 1", "CARGO_INCREMENTAL=0", ""),
        ("incremental = true\nlto = true", "FOO=1",
         "backend/Cargo.toml: the release profile has lto = true"),
        ("", "CARGO_PROFILE_RELEASE_INCREMENTAL=true CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16",
         "backend/Dockerfile: the release profile has codegen-units = 16"),
        ("lto = true", "CARGO_PROFILE_RELEASE_INCREMENTAL=true CARGO_PROFILE_RELEASE_LTO=off", ""),
    ],
)  # fmt: skip
def test_what_makes_each_edit_slow_is_told(
    root: Path, make_case: MakeCase, line: str, variable: str, says: str
) -> None:
    assert profile(root, make_case, line, variable) == ([says] if says else [])


def test_both_are_told(root: Path, make_case: MakeCase) -> None:
    assert len(profile(root, make_case, 'codegen-units = 4\nlto = "thin"')) == 2


# --- Dockerfiles ---

CHEF = """\
FROM rust:1.97 AS chef
WORKDIR /app
FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json
FROM chef AS builder
COPY --from=planner /app/recipe.json recipe.json
RUN sh /tools/x cargo chef cook --release --recipe-path recipe.json
COPY . .
RUN sh /tools/x cargo build --release
"""


def chef(root: Path, make_case: MakeCase, *changes: tuple[str, str]) -> list[str]:
    text = CHEF
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (root / "backend" / "chef.Dockerfile").write_text(text)
    return [d.message for d in bad(list(cargo_chef.check(make_case(root))))]


def test_the_recipe_of_cargo_chef_s_own_readme_is_sound(root: Path, make_case: MakeCase) -> None:
    assert chef(root, make_case) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("cook --release", "cook"), "profile dev and release"),
        (("build --release", "build --profile dist"), "profile release and dist"),
        (("build --release", "build --release --target x86_64-unknown-linux-musl"),
         "target none and x86_64-unknown-linux-musl"),
        (("build --release", "build --release --features=a,b"), "features none and a b"),
        (("cook --release", "cook --release -p api"), "packages api and all"),
        (("build --release", "build --release --no-default-features"),
         "features none and --no-default-features"),
        (("x cargo build", "x env RUSTFLAGS=-Ctarget-cpu=native cargo build"),
         "RUSTFLAGS unset and -Ctarget-cpu=native"),
        (("COPY . .\nRUN sh /tools/x cargo build", "ENV CARGO_TARGET_DIR=/t\nRUN cargo build"),
         "target folder target and /t"),
        (("COPY . .\nRUN sh /tools/x cargo build", "WORKDIR /src\nRUN cargo build"),
         "folder /app and /src"),
        (("COPY . .\nRUN sh /tools/x cargo build", "FROM rust:1.98 AS b\nRUN cargo build"),
         "base image rust:1.97 and rust:1.98"),
    ],
)  # fmt: skip
def test_cook_and_build_that_differ(
    root: Path, make_case: MakeCase, change: tuple[str, str], says: str
) -> None:
    (message,) = chef(root, make_case, change)
    assert "cargo build and cargo chef cook differ: " in message
    assert says in message


def test_sources_before_cook(root: Path, make_case: MakeCase) -> None:
    (message,) = chef(root, make_case, ("COPY --from=planner", "COPY . .\nCOPY --from=planner"))
    assert message.endswith("chef.Dockerfile:7: sources are copied before cargo chef cook")


def test_a_toolchain_file_that_cook_does_not_see(root: Path, make_case: MakeCase) -> None:
    (root / "backend" / "rust-toolchain.toml").write_text('[toolchain]\nchannel = "1.96"\n')
    (message,) = chef(root, make_case)
    assert message.endswith("cargo chef cook does not see rust-toolchain.toml")
    copied = ("COPY --from=planner", "COPY rust-toolchain.toml .\nCOPY --from=planner")
    assert chef(root, make_case, copied) == []


def test_a_recipe_that_is_kept_and_grew_old(root: Path, make_case: MakeCase) -> None:
    import json

    backend = root / "backend"
    made_in_the_build = ("RUN cargo chef prepare --recipe-path recipe.json", "RUN true")

    def recipe(lock: str) -> None:
        manifests = [
            {"relative_path": p.relative_to(backend).as_posix(), "contents": p.read_text()}
            for p in backend.rglob("Cargo.toml")
        ]
        skeleton = {"manifests": manifests, "config_file": None, "lock_file": lock}
        (backend / "recipe.json").write_text(json.dumps({"skeleton": skeleton}))

    recipe((backend / "Cargo.lock").read_text())
    assert chef(root, make_case, made_in_the_build) == []
    added = '\n[[package]]\nname = "itoa"\nversion = "1.0.9"\nsource = "registry+x"\n'
    (backend / "Cargo.lock").write_text((backend / "Cargo.lock").read_text() + added)
    (backend / "crates" / "new").mkdir()
    (backend / "crates" / "new" / "Cargo.toml").write_text('[package]\nname = "new"\n')
    (message,) = chef(root, make_case, made_in_the_build)
    assert message == (
        "backend/recipe.json is out of date: crates/new/Cargo.toml is new, itoa 1.0.9 is new"
    )


WORKSPACE = '{"name": "tiny", "private": true, "workspaces": ["packages/*"]}\n'


def ui_with_workspaces(root: Path) -> Path:
    ui = root / "ui"
    (ui / "package.json").write_text(WORKSPACE)
    for name in ("a", "b"):
        (ui / "packages" / name).mkdir(parents=True)
        (ui / "packages" / name / "package.json").write_text(f'{{"name": "{name}"}}\n')
    return ui


def install(root: Path, make_case: MakeCase, lines: str) -> list[str]:
    (root / "ui" / "Dockerfile").write_text(f"FROM bun AS deps\nWORKDIR /app\n{lines}\n")
    return [d.message for d in bad(list(bun_manifests.check(make_case(root))))]


def test_a_workspace_manifest_that_the_install_does_not_see(
    root: Path, make_case: MakeCase
) -> None:
    ui_with_workspaces(root)
    lines = "COPY package.json bun.lock ./\nRUN bun install --frozen-lockfile"
    assert install(root, make_case, lines) == [
        "ui/Dockerfile:4: the install does not see packages/a/package.json, packages/b/package.json"
    ]


@pytest.mark.parametrize(
    "lines",
    [
        "COPY . .\nRUN bun install --frozen-lockfile",
        "COPY --parents package.json bun.lock packages/*/package.json ./\nRUN bun install",
        "COPY package.json bun.lock ./\nCOPY packages packages\nRUN bun install",
        "COPY package.json bun.lock ./\nCOPY packages/a/package.json packages/a/\n"
        "COPY packages/b/package.json packages/b/package.json\nRUN bun install",
        "RUN --mount=type=bind,target=. bun install",
        "RUN --mount=type=bind,source=package.json,target=package.json"
        " --mount=type=bind,source=bun.lock,target=bun.lock"
        " --mount=type=bind,source=packages,target=packages bun install",
        "COPY package.json ./\nRUN bun install -g serve",
        "COPY --from=planner /app /app\nRUN bun install",
    ],
)
def test_manifests_that_the_install_sees(root: Path, make_case: MakeCase, lines: str) -> None:
    ui_with_workspaces(root)
    assert install(root, make_case, lines) == []


def test_a_copy_of_many_manifests_into_one_folder_loses_them(
    root: Path, make_case: MakeCase
) -> None:
    ui_with_workspaces(root)
    lines = "COPY package.json bun.lock ./\nCOPY packages/*/package.json packages/\nRUN bun install"
    assert "does not see packages/a/package.json" in install(root, make_case, lines)[0]


def test_an_ignore_file_that_keeps_the_lock_file_back(root: Path, make_case: MakeCase) -> None:
    (root / "ui" / ".dockerignore").write_text("*.lock\n")
    (message,) = install(root, make_case, "COPY package.json ./\nRUN bun install")
    assert message == "bun.lock of ui stay behind: .dockerignore names them"
