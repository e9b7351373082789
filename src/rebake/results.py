"""Frozen results that rooms of different floors hand to one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

SCHEMA_VERSION = 1

Mode = Literal["dev", "prod"]
Manager = Literal["bun", "npm"]

# The bake variables that a build sets by itself. They say how, and not what, is built: of two
# builds that differ in them alone, neither has a cause in them.
BUILD_IDS = frozenset({"BACKEND_BUILD_ID", "UI_BUILD_ID", "SERVICE_BUILD_IDS"})
NETWORKS = frozenset({"BACKEND_NETWORK", "UI_NETWORK"})
SET_BY_BUILD = BUILD_IDS | NETWORKS | {"SEED", "REBUILD"}
# The setting of a build's record that says why it was built though nothing seemed changed.
IN_DOUBT = "in doubt"


class StepUsage(Struct, frozen=True):
    """What a step took, as the build's own tools told it; None where they could not know.

    Attributes:
        cpu_s: CPU seconds of all its processes.
        peak_bytes: most memory at once, the page cache of its files included.
        network_bytes: bytes that its network received.
        crates_compiled: packages of which cargo compiled something.
        crates_reused: packages of which it compiled nothing.
        crates_needed: those of both that come from a registry.
        crates_downloaded: packages that were not in cargo's registry folder yet.
        packages_needed: packages of the UI that were installed or found installed.
        packages_downloaded: those that the package manager did not have in its cache.
    """

    cpu_s: float | None = None
    peak_bytes: int | None = None
    network_bytes: int | None = None
    crates_compiled: int | None = None
    crates_reused: int | None = None
    crates_needed: int | None = None
    crates_downloaded: int | None = None
    packages_needed: int | None = None
    packages_downloaded: int | None = None


class CacheCount(Struct, frozen=True):
    """How often one kind of cache had what was asked for (`hits`), and how often it had not."""

    hits: int = 0
    misses: int = 0


class StoreUse(Struct, frozen=True):
    """How many packages a build needed, and how many it downloaded: cargo takes some more."""

    needed: int
    downloaded: int


class CacheUse(Struct, frozen=True):
    """What a build found in each kind of cache; None where no step told, as when none ran.

    Attributes:
        layers: the Dockerfiles' own steps: cached, run.
        crates: packages of the cargo workspace and its dependencies: reused, compiled.
        cargo_registry: packages from a registry.
        bun: packages of the UI.
    """

    layers: CacheCount = CacheCount()
    crates: CacheCount | None = None
    cargo_registry: StoreUse | None = None
    bun: StoreUse | None = None

    def document(self) -> dict[str, object]:
        """The part of `--json` for the caches; kinds that nothing is known of are left out."""
        layers, crates = self.layers, self.crates
        found: dict[str, object] = {"layers": {"hits": layers.hits, "misses": layers.misses}}
        if crates is not None:
            found["crates"] = {"reused": crates.hits, "compiled": crates.misses}
        for name, store in (("cargo_registry", self.cargo_registry), ("bun", self.bun)):
            if store is not None:
                found[name] = {"needed": store.needed, "downloaded": store.downloaded}
        return found


class Step(Struct, frozen=True):
    """One step of an image build, as BuildKit reported it. Times are seconds from the start."""

    digest: str
    name: str
    started_s: float | None = None
    ended_s: float | None = None
    cached: bool = False
    error: str = ""
    inputs: tuple[str, ...] = ()
    bytes: int = 0
    usage: StepUsage | None = None

    @property
    def seconds(self) -> float:
        """How long it ran; 0 for a step that did not run."""
        if self.started_s is None or self.ended_s is None:
            return 0.0
        return self.ended_s - self.started_s


class ImageResult(Struct, frozen=True):
    """One service's image after a build.

    Attributes:
        build_id: the id of the sources that it must hold.
        built: whether it is another image than before.
        label: the id that the build wrote on it; empty where it wrote none.
    """

    service: str
    ref: str
    digest: str
    bytes: int
    build_id: str
    built: bool
    seconds: float
    label: str = ""

    def document(self) -> dict[str, object]:
        """The part of `--json` for this image."""
        return {
            "ref": self.ref,
            "digest": self.digest,
            "bytes": self.bytes,
            "build_id": self.build_id,
            "built": self.built,
            "seconds": round(self.seconds, 3),
        }


class BuildResult(Struct, frozen=True):
    """What one build did: its images, its steps, and why anything was skipped.

    Attributes:
        later: what no image needs and is still to be done, such as the dependency layer.
    """

    images: Mapping[str, ImageResult]
    steps: tuple[Step, ...]
    seconds: float
    skipped: str = ""
    mode: Mode = "prod"
    caches: CacheUse = CacheUse()
    later: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """The `--json` document of build, rebuild and prod."""
        return {
            "schema_version": SCHEMA_VERSION,
            "images": {name: image.document() for name, image in self.images.items()},
            "seconds": round(self.seconds, 3),
            **({"skipped": self.skipped} if self.skipped else {"caches": self.caches.document()}),
            **({"later": list(self.later)} if self.later else {}),
        }


class ServiceState(Struct, frozen=True):
    """One service of a running stack."""

    name: str
    state: str
    health: str
    url: str | None = None

    @property
    def ready(self) -> bool:
        """Whether it runs and, where it has a health check, is healthy."""
        return self.state == "running" and self.health in {"", "healthy"}


class StackResult(Struct, frozen=True):
    """A stack that is up: where to reach it and what runs."""

    mode: Mode
    urls: Mapping[str, str]
    services: tuple[ServiceState, ...]
    engine: str
    seconds: float
    notes: tuple[str, ...] = ()
    images: Mapping[str, ImageResult] = field(default_factory=dict)
    reused: bool = False  # it ran before

    def document(self) -> dict[str, object]:
        """The `--json` document of dev, prod and up."""
        doc: dict[str, object] = {
            "schema_version": SCHEMA_VERSION,
            "mode": self.mode,
            "urls": dict(self.urls),
            "services": {
                s.name: {"state": s.state, "health": s.health, "url": s.url} for s in self.services
            },
            "engine": self.engine,
            "seconds": round(self.seconds, 3),
        }
        if self.notes:
            doc["notes"] = list(self.notes)
        if self.images:
            doc["images"] = {name: image.document() for name, image in self.images.items()}
        return doc


Level = Literal["error", "warning", "ok"]


class Finding(Struct, frozen=True):
    """What one check of `invoke doctor` found, why it matters, and how to mend it."""

    check: str
    level: Level
    message: str
    fix: str = ""
    fixable: bool = False
    why: str = ""

    def document(self) -> dict[str, object]:
        """The part of `doctor --json` for this check."""
        return {
            "check": self.check,
            "level": self.level,
            "message": f"{self.message}; {self.why}" if self.why else self.message,
            "fix": self.fix,
            "fixable": self.fixable,
        }
