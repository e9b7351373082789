"""The tiny project with keys, and with a canary wherever a user could put a secret."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from e2e.support import PROD_PORTS, Docker, Ran, clean_environment
from e2e.tiny_project import write_tiny_project

PASSWORD = "canary-password-5d1f77"
MARK = "5d1f77"  # in every canary, and nowhere else
# Declared secrets stand in variables whose names say nothing.
VARIABLES = {
    "COSIGN_PASSWORD": PASSWORD,
    "BUILD_SETTING": f"canary-build-variable-{MARK}",
    "RUN_SETTING": f"canary-run-variable-{MARK}",
    "MY_API_TOKEN": f"canary-environment-{MARK}",
    "DEPLOY_TOKEN": f"canary-argument-{MARK}",
    # The logins of registries: of pip's and of cargo's, which go to builds as secrets.
    "PIP_EXTRA_INDEX_URL": f"https://user:canary-pip-{MARK}@pypi.invalid/simple",
    "CARGO_REGISTRIES_THEIRS_TOKEN": f"canary-cargo-variable-{MARK}",
}
# A registry of images: its login is written packed.
LOGIN = base64.b64encode(f"user:canary-login-{MARK}".encode()).decode()
PROXY = f"http://user:canary-proxy-{MARK}@proxy.invalid:3128"
_KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\ncanary-key-{MARK}\n"
_FILES = {
    ".env": f"PASSWORD=canary-root-env-{MARK}\n",
    "backend/.env": f"PASSWORD=canary-env-{MARK}\n",
    "backend/crates/api/.env": f"PASSWORD=canary-inner-env-{MARK}\n",
    "backend/id_ed25519": _KEY,
    "backend/crates/api/id_ed25519": _KEY,
    "ui/.npmrc": f"//registry.invalid/:_authToken=canary-npmrc-{MARK}\n",
    "ui/.env.local": f"VITE_PASSWORD=canary-ui-env-{MARK}\n",
    # Compose reads it for what its files name.
    "docker/.env": f"DB_PASSWORD=canary-compose-env-{MARK}\n",
    "backend/.cargo/credentials.toml": f'[registry]\ntoken = "canary-travelling-{MARK}"\n',
}
_HOME_FILES = {
    "build, secret": f"canary-build-file-{MARK}\n",
    "run-secret": f"canary-run-file-{MARK}\n",
    "cargo/config.toml": '[registries.mine]\nindex = "sparse+https://registry.invalid/"\n'
    f'token = "canary-cargo-{MARK}"\n',
    "cargo/credentials.toml": f'[registry]\ntoken = "canary-credentials-{MARK}"\n',
    "docker/config.json": json.dumps(
        {
            "auths": {
                "registry.invalid": {"auth": LOGIN},
                "other.invalid": {"identitytoken": f"canary-identity-{MARK}"},
            },
            "proxies": {"other": {"httpProxy": f"http://me:canary-client-{MARK}@proxy.invalid"}},
        }
    ),
}
# Builders describe the commit in what they attest, with the address that it came from.
_REMOTE = f"https://me:canary-remote-{MARK}@git.invalid/tiny.git"
_SETTINGS = """
[build]
provenance = true

[secrets.build]
from_variable = { env = "BUILD_SETTING" }
from_file = { file = "../home/build, secret" }

[secrets.run]
from_variable = { env = "RUN_SETTING" }
from_file = { file = "../home/run-secret", services = ["api"] }
"""


@dataclass(frozen=True)
class Signing:
    """A checkout of the tiny project, the folder with its keys and state, and the engine.

    Attributes:
        told: all that commands have printed.
        images: what the first build made, by service.
    """

    root: Path
    home: Path
    docker: Docker
    told: list[str] = field(default_factory=list)
    images: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def signatures(self) -> Path:
        return self.home / "signatures"

    def invoke(self, *words: str, **env: str) -> Ran:
        return self.run("-m", "invoke", *words, **env)

    def run(self, *words: str, **env: str) -> Ran:
        """Run Python with these words, and keep what it prints."""
        done = run(self.root, self.home, *words, **env)
        self.told.append(f"{words}\n{done.stdout}\n{done.stderr}")
        return done


def run(root: Path, home: Path, *words: str, **env: str) -> Ran:
    started = time.monotonic()
    own = {
        "CARGO_HOME": str(home / "cargo"),
        "DOCKER_CONFIG": str(home / "docker"),
        "REBAKE_STATE_HOME": str(home / "state"),
        "REBAKE_SIGN_KEY": str(home / "one.key"),
        "REBAKE_SIGN_FOLDER": str(home / "signatures"),
        **VARIABLES,
        **{f"REBAKE_PROD_PORTS_{name}": port for name, port in PROD_PORTS.items()},
    }
    done = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env=clean_environment() | own | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def make(folder: Path) -> Signing:
    """Write the project; the state stays, so that images which are there are not built again."""
    root, home = folder / "tiny", folder / "home"
    for left in (root, home / "signatures", home / "other-signatures"):
        shutil.rmtree(left, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    clean = home / "clean"
    if not clean.exists():  # broken off, or a canary was found, which would be found again
        shutil.rmtree(home / "state", ignore_errors=True)
    clean.unlink(missing_ok=True)
    for key in (*home.glob("*.key"), *home.glob("*.pub")):
        key.unlink()
    root.mkdir()
    write_tiny_project(root)
    (root / "tasks.py").write_text("from rebake.tasks import namespace\n")
    with (root / "rebake.toml").open("a") as settings:
        settings.write(_SETTINGS)
    for folder_, files in ((root, _FILES), (home, _HOME_FILES)):
        for name, text in files.items():
            (folder_ / name).parent.mkdir(exist_ok=True)
            (folder_ / name).write_text(text)
    commit(root)
    status = json.loads(run(root, home, "-m", "invoke", "engine", "status", "--json").ok().stdout)
    signing = Signing(root, home, Docker(status["docker"], {**status["env"]}))
    remove_containers(signing)
    return signing


def commit(root: Path) -> None:
    """Make a repository of the project, which was cloned with a password in the address."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for words in (
        ("init", "--quiet"),
        ("remote", "add", "origin", _REMOTE),
        ("add", "backend/Cargo.toml"),
        ("commit", "--quiet", "--message", "first"),
    ):
        subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


def containers(signing: Signing) -> list[dict[str, object]]:
    """What runs of the project, as the engine tells it."""
    folder = f"label=com.docker.compose.project.working_dir={signing.root / 'docker'}"
    names = signing.docker("ps", "--all", "--quiet", "--filter", folder).split()
    found: list[dict[str, object]] = signing.docker.json("inspect", *names) if names else []
    return found


def remove_containers(signing: Signing) -> None:
    """At once: the services of the tiny project don't listen to a request to stop."""
    names = [str(one["Id"]) for one in containers(signing)]
    if names:
        signing.docker("rm", "--force", "--volumes", *names)
