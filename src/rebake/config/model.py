"""The typed form of rebake.toml; `defaults.toml` beside this file has the values and words."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints, field_validator

from rebake.config.amounts import parse_age, parse_size

SLUG = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")
# A repository in a registry: a host with a dot or a port, then a path in small letters.
REPOSITORY = re.compile(
    r"^(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:[0-9]))(?::[0-9]+)?"
    r"(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+$"
)

Port = Annotated[int, Field(ge=1, le=65535)]
ServiceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$", max_length=40)
]
ImageRef = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9][A-Za-z0-9._/-]*(?::[0-9]+/[A-Za-z0-9._/-]+)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$"
    ),
]
RelativePath = Annotated[str, StringConstraints(min_length=1)]
Positive = Annotated[float, Field(gt=0)]


class Table(BaseModel):
    """A table of rebake.toml: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ProjectTable(Table):
    """`[project]`."""

    name: str

    @field_validator("name")
    @classmethod
    def _slug(cls, value: str) -> str:
        if value and not SLUG.match(value):
            msg = "lower-case letters, digits and dashes, 40 at most, no dash at the ends"
            raise ValueError(msg)
        return value


class EngineTable(Table):
    """`[engine]`."""

    kind: Literal["auto", "system", "private", "native"]
    start_timeout_s: PositiveInt


class BaseImagesTable(Table):
    """`[base_images]`."""

    rust: ImageRef
    bun: ImageRef
    node: ImageRef
    source: Literal["auto", "pull", "make"]
    retries: Annotated[int, Field(ge=0, le=20)]


class BackendTable(Table):
    """`[backend]`."""

    path: RelativePath
    services: Annotated[tuple[ServiceName, ...], Field(min_length=1, strict=False)]


class UiTable(Table):
    """`[ui]`."""

    path: RelativePath
    manager: Literal["bun", "npm"]


class DockerTable(Table):
    """`[docker]`."""

    compose_prod: RelativePath
    compose_dev: RelativePath
    bake: RelativePath


class BuildTable(Table):
    """`[build]`."""

    min_free_bytes: Annotated[int, Field(ge=0)]
    dependency_layer: bool
    compiler_cache: Literal["none", "sccache"]
    compression: Literal["none", "zstd", "gzip"]


class CacheTable(Table):
    """`[cache]`."""

    remote: str
    export: bool
    max_size: str
    max_age: str

    @field_validator("max_size")
    @classmethod
    def _size(cls, value: str) -> str:
        if value:
            parse_size(value)
        return value

    @field_validator("max_age")
    @classmethod
    def _age(cls, value: str) -> str:
        if value:
            parse_age(value)
        return value

    @field_validator("remote")
    @classmethod
    def _repository(cls, value: str) -> str:
        if value and not REPOSITORY.match(value):
            msg = "registry/repository, without a tag: each target gets one of its own"
            raise ValueError(msg)
        return value


class StackTable(Table):
    """`[prod]`."""

    address: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+$")]
    start_timeout_s: PositiveInt
    ports: dict[ServiceName, Port]


class DevTable(StackTable):
    """`[dev]`."""

    watch: Literal["auto", "events", "polling"]


class SmokeTable(Table):
    """`[smoke]`."""

    resource: Annotated[str, StringConstraints(pattern=r"^(?:/[^\s?#]*)?$")]
    body: str

    @field_validator("body")
    @classmethod
    def _object(cls, value: str) -> str:
        try:
            document = json.loads(value)
        except ValueError as error:
            msg = f"a JSON object; {error}"
            raise ValueError(msg) from None
        if not isinstance(document, dict):
            msg = "a JSON object"
            raise ValueError(msg)  # noqa: TRY004 - what pydantic takes
        return value


class HistoryTable(Table):
    """`[history]`."""

    keep: Annotated[int, Field(ge=10)]


class BenchmarkLimitsTable(Table):
    """`[benchmark.limits]`."""

    no_change_bake: Positive
    floor_plus_s: Annotated[float, Field(ge=0)]
    cold_floor: Positive
    code_change_floor: Positive
    shared_crate_floor: Positive
    dependency_bump_floor: Positive
    ui_change_floor: Positive
    code_change_cargo_chef: Positive
    code_change_naive: Positive
    shared_crate_cargo_chef: Positive
    dependency_bump_cargo_chef: Positive
    cold_others: Positive
    cache_lost_cold: Positive
    fresh_ci_cold: Positive
    code_change_saves_percent: Annotated[float, Field(ge=0, le=100)]
    ui_change_saves_percent: Annotated[float, Field(ge=0, le=100)]
    cold_s: Positive
    no_change_s: Positive
    code_change_s: Positive
    shared_crate_s: Positive
    dependency_bump_s: Positive
    ui_change_s: Positive
    dockerfile_change_s: Positive
    fresh_ci_s: Positive


class BenchmarkTable(Table):
    """`[benchmark]`."""

    runs: PositiveInt
    slow_runs: PositiveInt
    slow_s: Positive
    runtime_image: ImageRef
    limits: BenchmarkLimitsTable


class Config(Table):
    """All of rebake.toml."""

    project: ProjectTable
    engine: EngineTable
    base_images: BaseImagesTable
    backend: BackendTable
    ui: UiTable
    docker: DockerTable
    build: BuildTable
    cache: CacheTable
    dev: DevTable
    prod: StackTable
    smoke: SmokeTable
    history: HistoryTable
    benchmark: BenchmarkTable
    aliases: dict[str, ServiceName]

    @property
    def services(self) -> tuple[str, ...]:
        """All services: the backend's, then the UI."""
        return (*self.backend.services, "ui")
