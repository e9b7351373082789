"""The floor: cargo and bun by themselves, with nothing of an image build around them.

The same toolchain, linker, profile, variables and cores as rebake's own build stage: `docker exec`
in a container of that stage's base, the sources bind-mounted, `target` in a volume. That is
stricter than the host's own cargo, which may be another version with another linker: what remains
between this and a build is the engine's share alone.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Sequence

from rebake.benchmark.copies import Copy, copy_project
from rebake.benchmark.edits import Manifests, expected, new_crates
from rebake.benchmark.made import LABEL_RUN
from rebake.benchmark.measure import Meter
from rebake.benchmark.rendering import tools_folder
from rebake.benchmark.subject import Sample, Site, failure
from rebake.errors import BuildFailed
from rebake.process import Command, Outcome, run, start
from rebake.project.dockerfile_words import expand
from rebake.project.packages import install_words
from rebake.results import Manager

_STAGE = "rust"  # what the build stage of backend/Dockerfile stands on
_MADE_FOR = "build"
_UI_STAGE = "manager"  # what the build stage of ui/Dockerfile stands on
_SOURCES = "/src"
_TARGET = "/target"
_UI = "/app"


def build_environment(dockerfile: str, stage: str = _MADE_FOR) -> dict[str, str]:
    """Return what a stage sets for cargo, and what it takes over from the ones it stands on.

    Args:
        dockerfile: the Dockerfile's text.
        stage: the stage that compiles.
    """
    pattern = rf"(?ims)^FROM (\S+) AS {re.escape(stage)}\s*$(.*?)(?=^FROM |\Z)"
    inside = re.search(pattern, dockerfile)
    if inside is None:
        return {}
    defaults = dict(re.findall(r"(?m)^ARG (\w+)=(\S+)$", dockerfile))
    found = build_environment(dockerfile, expand(inside[1], defaults))
    for block in re.findall(r"(?im)^ENV ((?:.*\\\n)*.*)$", inside[2]):
        for word in shlex.split(block.replace("\\\n", " ")):
            name, equals, value = word.partition("=")
            if equals and (name.startswith("CARGO_PROFILE_") or name == "RUSTFLAGS"):
                found[name] = value
    return found


class FloorSubject:
    """cargo and bun in long-running containers."""

    name = "floor"

    def __init__(self, site: Site, *, label: str = "") -> None:
        """Make the copy and start the containers.

        Raises:
            CommandFailed: the base stage can't be built, or a container can't be started.
        """
        folder = site.made.folder / f"{self.name}{label}"
        copy_project(site.project, site.files, folder)
        self.copy = Copy(folder, site.layout)
        self._site = site
        self._id = f"{site.run}-{self.name}{label}"
        dockerfile = folder / site.layout.backend / "Dockerfile"
        text = dockerfile.read_text(encoding="utf-8")
        site.made.will_build(text)
        self._environment = build_environment(text)
        self._cargo = self._start_cargo()
        self._bun = self._start_bun() if site.layout.ui else ""

    def make_cold(self) -> None:
        """Empty target, cargo's registry, node_modules and bun's cache."""
        self._exec(self._cargo, "find", _TARGET, "-mindepth", "1", "-delete").check()
        self._exec(self._cargo, "rm", "-rf", "/cargo/registry", "/cargo/git").check()
        if self._bun:
            self._exec(self._bun, "find", f"{_UI}/node_modules", "-mindepth", "1", "-delete")
            stores = ("/root/.bun", "/root/.npm")
            self._exec(self._bun, "rm", "-rf", f"{_UI}/dist", *stores).check()

    def lose_mounts(self) -> None:
        """It has none."""

    def build(self, edit: str) -> Sample:
        """Run cargo, the UI's build, or both side by side (`all`): whatever the edit concerns.

        Raises:
            BuildFailed, EngineLost: it did not end well.
        """
        both = edit == "all" and bool(self._bun)
        with Meter(active=self._site.local) as meter:
            began = time.monotonic()
            if edit == "ui":
                self._check(run(self._ui_command()), "bun")
            elif both:
                with start(self._ui_command()) as bun:
                    self._check(run(self._cargo_command()), "cargo")
                    if code := bun.wait():
                        raise BuildFailed("the floor's bun", (), f"exit {code}")
            else:
                self._check(run(self._cargo_command()), "cargo")
            seconds = time.monotonic() - began
        return Sample(seconds, meter.cpu_s, meter.peak_bytes)

    def faults(self) -> list[str]:
        """Look into the binaries and the bundle."""
        found = []
        for image, texts in expected(self.copy.layout, self.copy.sources).items():
            place = f"{_UI}/dist" if image == "ui" else f"{_TARGET}/release/{image}"
            container = self._bun if image == "ui" else self._cargo
            found += [
                f"{image}: {text} is not in {place}"
                for text in texts
                if not self._exec(container, "grep", "-rqaF", text, place).ok
            ]
        return found

    def cargo(self, *words: str) -> None:
        """Run cargo in the copy, for preparations; not timed.

        Raises:
            CommandFailed: it ended badly.
        """
        self._exec(self._cargo, "sh", "/tools/with-host-settings", "cargo", *words).check()

    def dependencies(self, count: int) -> tuple[Manifests, ...]:
        """Add small crates to the edited service, one after the other; the copy ends as it was.

        Returns the manifests after each. cargo itself writes them.
        """
        layout = self.copy.layout
        root = self.copy.root / layout.backend
        manifest, lock = root / layout.code_crate.manifest, root / "Cargo.lock"
        before = manifest.read_text(encoding="utf-8"), lock.read_text(encoding="utf-8")
        found, added = [], []
        try:
            for crate in new_crates(before[1], count):
                self.cargo("add", "--quiet", "--package", layout.code_crate.name, crate)
                self.cargo("update", "--quiet", "--workspace")
                added.append(crate)
                found.append(
                    Manifests(
                        manifest.read_text(encoding="utf-8"),
                        lock.read_text(encoding="utf-8"),
                        tuple(added),
                    )
                )
        finally:
            manifest.write_text(before[0], encoding="utf-8", newline="")
            lock.write_text(before[1], encoding="utf-8", newline="")
        return tuple(found)

    def _cargo_command(self) -> Command:
        binaries = [word for name in self._site.layout.binaries for word in ("--bin", name)]
        return self._command(
            self._cargo,
            *("sh", "/tools/with-host-settings", "cargo", "build"),
            *("--locked", "--release", *binaries),
        )

    def _ui_command(self) -> Command:
        return self._command(self._bun, "sh", "-c", ui_script(self._site.ui_manager))

    def _command(self, container: str, *words: str) -> Command:
        environment = [f"--env={name}={value}" for name, value in self._environment.items()]
        return self._site.endpoint.command("exec", *environment, container, *words)

    def _exec(self, container: str, *words: str) -> Outcome:
        return run(self._command(container, *words))

    def _check(self, outcome: Outcome, what: str) -> None:
        if not outcome.ok:
            raise failure(self._site.endpoint, f"the floor's {what}", outcome, outcome.tail())

    def _start_cargo(self) -> str:
        site, image = self._site, f"{self._id}:latest"
        backend = self.copy.root / site.layout.backend
        run(site.endpoint.command(*stage_words(site, self.copy, image), what="the floor")).check()
        return self._start(
            "cargo",
            image,
            _SOURCES,
            f'type=bind,"src={backend}",dst={_SOURCES}',
            f"type=volume,src={self._id}-target,dst={_TARGET},volume-label={self._mark}",
            f"type=volume,src={self._id}-cargo,dst=/cargo,volume-label={self._mark}",
            self._setting("cargo-config.toml", "/cargo/config.toml"),
        )

    def _start_bun(self) -> str:
        site, image = self._site, self._site.bun_image
        ui = self.copy.root / site.layout.ui
        (ui / "node_modules").mkdir(exist_ok=True)
        if site.ui_manager == "npm":
            image = f"{self._id}-ui:latest"
            words = ui_stage_words(site, self.copy, image)
            run(site.endpoint.command(*words, what="the floor")).check()
        return self._start(
            "bun",
            image,
            _UI,
            f'type=bind,"src={ui}",dst={_UI}',
            f"type=volume,src={self._id}-modules,dst={_UI}/node_modules,volume-label={self._mark}",
            self._setting("npmrc", "/root/.npmrc"),
        )

    @property
    def _mark(self) -> str:
        return f"{LABEL_RUN}={self._site.run}"

    def _setting(self, file: str, place: str) -> str:
        return f'type=bind,"src={self._site.host_settings / file}",dst={place},readonly'

    def _start(self, what: str, image: str, folder: str, *mounts: str) -> str:
        name = f"{self._id}-{what}"
        more = (
            f'type=bind,"src={tools_folder()}",dst=/tools,readonly',
            self._setting("ca.pem", "/run/secrets/ca"),
        )
        words = [word for mount in (*mounts, *more) for word in ("--mount", mount)]
        variables = {
            "CARGO_HOME": "/cargo",
            "CARGO_TARGET_DIR": _TARGET,
            "CARGO_TERM_COLOR": "never",
            **self._site.proxies,
        }
        environment = [f"--env={key}={value}" for key, value in variables.items()]
        run(
            self._site.endpoint.command(
                *("run", "--detach", "--pull", "never", "--name", name, "--label", self._mark),
                *("--user", "root", "--workdir", folder, "--entrypoint", "sleep"),
                *environment, *words, image, "infinity",
            )
        ).check()  # fmt: skip
        return name


def stage_words(site: Site, copy: Copy, image: str) -> Sequence[str]:
    """The words after `docker` that make an image of the base of the compiling stage."""
    backend = copy.root / site.layout.backend
    secrets = (
        ("ca", "ca.pem"), ("apt-sources", "apt-sources.sources"), ("apt-config", "apt.conf"),
    )  # fmt: skip
    words = [
        word
        for name, file in secrets
        for word in ("--secret", f'id={name},"src={site.host_settings / file}"')
    ]
    proxies = [
        word for name, value in site.proxies.items() for word in ("--build-arg", f"{name}={value}")
    ]
    return [
        *("buildx", "build", "--quiet", "--load", "--provenance=false", "--target", _STAGE),
        *("--build-arg", f"RUST_IMAGE={site.rust_image}", *proxies),
        *("--build-context", f"tools={copy.root / 'docker' / 'tools'}", *words),
        *("--tag", image, "--file", str(backend / "Dockerfile"), str(backend)),
    ]


def ui_stage_words(site: Site, copy: Copy, image: str) -> Sequence[str]:
    """The words after `docker` that make an image of what the UI's build stage stands on."""
    ui = copy.root / site.layout.ui
    arguments = {
        "BUN_IMAGE": site.bun_image,
        "NODE_IMAGE": site.node_image,
        "UI_MANAGER": site.ui_manager,
    }
    return [
        *("buildx", "build", "--quiet", "--load", "--provenance=false", "--target", _UI_STAGE),
        *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
        *("--tag", image, "--file", str(ui / "Dockerfile"), str(ui)),
    ]


def ui_script(manager: Manager) -> str:
    """What a shell in the container runs: install what has changed, and build."""
    install = " ".join(install_words(manager))
    return f"sh /tools/with-host-settings {manager} {install} && {manager} run build"
