"""The typed form of rebake.toml; `defaults.toml` beside this file has the values and words."""

from __future__ import annotations

import difflib
import json
import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

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
SecretName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*$", max_length=60)
]
_PLACES = '{ env = "VARIABLE" } or { file = "path" }, and never the secret itself'
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
RelativePath = Annotated[str, StringConstraints(min_length=1)]
# Names by which everybody, and the checks too, know a Dockerfile.
DockerfileName = Annotated[
    str, StringConstraints(pattern=r"^Dockerfile(?:\.[A-Za-z0-9_-]+)*$", max_length=60)
]
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
    nginx: ImageRef
    source: Literal["auto", "pull", "make"]
    retries: Annotated[int, Field(ge=0, le=20)]


class BackendTable(Table):
    """`[backend]`."""

    path: RelativePath
    dockerfile: DockerfileName
    services: Annotated[tuple[ServiceName, ...], Field(min_length=1, strict=False)]


class UiTable(Table):
    """`[ui]`."""

    path: str
    dockerfile: DockerfileName
    licences: Annotated[tuple[str, ...], Field(strict=False)]
    manager: Literal["bun", "npm"]
    runtime: Literal["web", "nginx", "own"]


class DockerTable(Table):
    """`[docker]`."""

    compose_prod: str
    compose_dev: str
    bake: RelativePath


class BuildTable(Table):
    """`[build]`."""

    min_free_bytes: Annotated[int, Field(ge=0)]
    dependency_layer: bool
    upkeep: Literal["background", "foreground"]
    compiler_cache: Literal["none", "sccache"]
    compression: Literal["none", "zstd", "gzip"]
    provenance: bool


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


class SignTable(Table):
    """`[sign]`."""

    method: Literal["key", "keyless"]
    key: str
    public_key: str
    password_file: str
    identity: str
    issuer: str
    folder: str
    required: bool
    attestations: Annotated[tuple[Literal["sbom", "provenance"], ...], Field(strict=False)]


class SecretSource(Table):
    """Where a secret's value is; never the value itself."""

    env: str = ""
    file: str = ""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: object) -> object:
        known = list(cls.__pydantic_fields__)
        if not isinstance(value, dict):
            raise ValueError(_PLACES)  # noqa: TRY004 - pydantic shows these alone
        for name in value:
            if name not in known:
                match = difflib.get_close_matches(str(name), known, n=1)
                meant = f"did you mean {match[0]}?" if match else f"known: {', '.join(known)}"
                msg = f"{_PLACES}; {name!r} is no key of a secret: {meant}"
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.env) == bool(self.file):
            raise ValueError(_PLACES)
        if self.env and not _VARIABLE.match(self.env):
            msg = f"the name of a variable, such as NPM_TOKEN, in {_PLACES}"
            raise ValueError(msg)
        return self

    @model_serializer(mode="wrap")
    def _only_given(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in write(self).items() if value}


class RunSecretSource(SecretSource):
    """A secret of running services; all of them get it when none is named."""

    services: Annotated[tuple[ServiceName, ...], Field(strict=False)] = ()


class SecretsTable(Table):
    """`[secrets]`."""

    build: dict[SecretName, SecretSource]
    run: dict[SecretName, RunSecretSource]


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
    quick_times: PositiveInt
    quick_s: Positive
    runtime_image: ImageRef
    limits: BenchmarkLimitsTable


class IgnoreTable(Table):
    """`[[scan.ignore]]`."""

    id: Annotated[str, StringConstraints(min_length=1)]
    reason: Annotated[str, StringConstraints(min_length=1)]
    expires: Annotated[date, Field(strict=False)]
    target: str = ""


class ScanTable(Table):
    """`[scan]`."""

    scanner: Literal["trivy", "grype", "snyk"]
    severity: Literal["low", "medium", "high", "critical"]
    ignore_unfixed: bool
    offline: bool
    db_repository: str
    advisory_repository: str
    db_folder: str
    db_max_age: str
    ignore: Annotated[tuple[IgnoreTable, ...], Field(strict=False)]

    @field_validator("db_max_age")
    @classmethod
    def _age(cls, value: str) -> str:
        if value:
            parse_age(value)
        return value

    @field_validator("db_repository")
    @classmethod
    def _repository(cls, value: str) -> str:
        if value and not REPOSITORY.match(value.rpartition("/")[0] + "/" + _untagged(value)):
            msg = "registry/repository, or registry/repository:tag"
            raise ValueError(msg)
        return value

    @field_validator("advisory_repository")
    @classmethod
    def _advisories(cls, value: str) -> str:
        if _WITH_PASSWORD.match(value):
            msg = "an address without a password: git takes that from its credential helper"
            raise ValueError(msg)
        return value


_WITH_PASSWORD = re.compile(r"^[^/@]*://[^/@]*:[^/@]*@")


def _untagged(reference: str) -> str:
    """The last part of a reference, without its tag."""
    return reference.rpartition("/")[2].partition(":")[0]


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
    sign: SignTable
    smoke: SmokeTable
    history: HistoryTable
    secrets: SecretsTable
    benchmark: BenchmarkTable
    scan: ScanTable
    aliases: dict[str, ServiceName]

    @property
    def services(self) -> tuple[str, ...]:
        """All services: the backend's, then the UI where there is one."""
        return (*self.backend.services, *(["ui"] if self.ui.path else []))
