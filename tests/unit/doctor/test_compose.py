"""The compose rules, each broken by a service; and which images have health checks."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from rebake.doctor.cache_exports import collisions, target_names
from rebake.doctor.compose import changed_values, grouped, health_checks
from rebake.results import Mode
from rebake.scan.compose_rules import breaches
from unit.doctor.conftest import MakeCase

DIGEST = "@sha256:" + "0" * 64
# What `docker compose config --format json` makes of a service that breaks no rule.
SOUND: dict[str, Any] = {
    "image": f"nginx:1.29{DIGEST}",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "read_only": True,
    "user": "65532:65532",
    "mem_limit": "268435456",
    "cpus": 1,
    "pids_limit": 128,
    "healthcheck": {"test": ["CMD", "true"]},
    "ports": [{"host_ip": "127.0.0.1", "published": "8001", "target": 8080}],
    "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
    "tmpfs": ["/tmp:size=16m"],
    "environment": {"PASSWORD_FILE": "/run/secrets/x", "TOKEN": ""},
}


def broken(mode: Mode = "prod", **changes: Any) -> list[tuple[str, str]]:
    service = {**copy.deepcopy(SOUND), **changes}
    service = {key: value for key, value in service.items() if value is not None}
    document = {"services": {"api": service}}
    return [(b.level, b.message) for b in breaches(document, mode, lambda _name: None)]


def test_a_sound_service_breaks_no_rule() -> None:
    assert broken() == []


@pytest.mark.parametrize(
    ("changes", "level", "message"),
    [
        ({"image": "nginx"}, "warning", "image nginx has no version"),
        ({"image": "nginx:latest"}, "warning", "image nginx:latest has no version"),
        ({"image": "r.example:5000/nginx"}, "warning",
         "image r.example:5000/nginx has no version"),
        ({"image": "nginx:1.29"}, "warning", "image nginx:1.29 is not pinned by digest"),
        ({"privileged": True}, "error", "privileged: true"),
        ({"volumes": [{"type": "bind", "source": "/var/run/docker.sock"}]}, "error",
         "docker.sock is mounted"),
        ({"network_mode": "host"}, "error", "network_mode: host"),
        ({"pid": "host"}, "error", "pid: host"),
        ({"ipc": "host"}, "error", "ipc: host"),
        ({"uts": "host"}, "error", "uts: host"),
        ({"userns_mode": "host"}, "error", "userns_mode: host"),
        ({"cgroup": "host"}, "error", "cgroup: host"),
        ({"security_opt": ["no-new-privileges:true", "seccomp:unconfined"]}, "error",
         "seccomp: unconfined"),
        ({"security_opt": ["no-new-privileges=true", "apparmor=unconfined"]}, "error",
         "apparmor: unconfined"),
        ({"container_name": "api"}, "warning", "container_name: api"),
        ({"ports": [{"published": "80", "target": 8080}]}, "warning",
         "port 80 is published on every address"),
        ({"ports": [{"host_ip": "0.0.0.0", "published": "80", "target": 8080}]}, "warning",
         "port 80 is published on every address"),
        ({"healthcheck": {"disable": True}}, "warning", "no health check"),
        ({"healthcheck": {"test": ["NONE"]}}, "warning", "no health check"),
        ({"image": f"postgres:17{DIGEST}", "volumes": []}, "warning",
         "a database without a named volume"),
        ({"volumes": [{"type": "volume", "target": "/data"}]}, "warning",
         "a volume without a name at /data"),
        ({"tmpfs": None}, "warning", "has no tmpfs beside its read-only root"),
        ({"cap_drop": []}, "warning", "keeps root's capabilities"),
        ({"security_opt": None}, "warning", "may gain privileges"),
        ({"read_only": False}, "warning", "its root file system can be written to"),
        ({"user": "0:0"}, "warning", "runs as root"),
        ({"mem_limit": None}, "warning", "no memory limit"),
        ({"cpus": None}, "warning", "no CPU limit"),
        ({"pids_limit": None}, "warning", "no process limit"),
        ({"environment": {"DB_PASSWORD": "x", "A": "b"}}, "warning",
         "secrets in the environment: DB_PASSWORD"),
    ],
)  # fmt: skip
def test_each_rule(changes: dict[str, Any], level: str, message: str) -> None:
    assert broken(**changes) == [(level, message)]


def test_dev_is_held_to_less() -> None:
    loose = dict.fromkeys(("cap_drop", "security_opt", "read_only", "mem_limit"))
    assert broken("dev", **loose) == []
    assert broken("dev", privileged=True) == [("warning", "privileged: true")]


def test_limits_in_the_long_form_count() -> None:
    limits = {"resources": {"limits": {"memory": "1g", "cpus": "1", "pids": 5}}}
    assert broken(deploy=limits, mem_limit=None, cpus=None, pids_limit=None) == []


def test_a_tmpfs_in_the_long_form_counts() -> None:
    assert broken(tmpfs=None, volumes=[{"type": "tmpfs", "target": "/tmp"}]) == []


def test_a_service_that_never_runs_breaks_nothing() -> None:
    assert broken(scale=0, privileged=True) == []


def test_an_image_that_another_service_builds_needs_no_digest() -> None:
    services = {
        "api": {"build": {"context": "."}, "image": "mine:dev"},
        "worker": {"image": "mine:dev"},
    }
    found = breaches({"services": services}, "dev", lambda _name: True)
    assert [b.message for b in found] == []


def test_services_that_break_one_rule_are_told_at_once() -> None:
    services = {name: {**SOUND, "read_only": False} for name in ("a", "b")}
    (one,) = grouped(breaches({"services": services}, "prod", lambda _name: None), "c.yml")
    assert one.message == "c.yml: a, b: its root file system can be written to"


def test_health_checks_of_images_that_are_built_here(root: Path, make_case: MakeCase) -> None:
    backend = {"context": str(root / "backend"), "dockerfile": "Dockerfile", "target": "prod"}
    ui = {"context": str(root / "ui"), "target": "prod",
          "additional_contexts": {"server": "service:web"}}  # fmt: skip
    services: dict[str, Any] = {
        "api": {"build": backend},
        "web": {"build": backend},
        "ui": {"build": ui, "image": "x:1"},
        "dev": {"build": {**backend, "target": "dev"}},
        "copy": {"image": "x:1"},
        "foreign": {"image": "nginx"},
        "elsewhere": {"build": {"context": "https://example.org/x.git"}},
    }
    has = health_checks(make_case(root), {"services": services})
    told = {name: has(name) for name in services}
    assert told == {
        "api": True, "web": True, "ui": True, "dev": False, "copy": True, "foreign": False,
        "elsewhere": None,
    }  # fmt: skip
    dockerfile = root / "backend" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "HEALTHCHECK NONE\n")
    assert health_checks(make_case(root), {"services": services})("ui") is False


def test_a_dollar_in_an_env_file_is_lost() -> None:
    text = "A=plain\nB=a$b\nC='a$b'\nD=a$$b\nE=${HOME}\nexport F=\"x$y\"\nG=a\\$b\n# H=$x\n"
    assert list(changed_values(text)) == [(2, "B"), (6, "F")]


# --- cache exports ---


def test_targets_that_write_to_one_place() -> None:
    targets = {
        "a": {"cache-to": [{"type": "registry", "ref": "r.example/x:cache", "mode": "max"}]},
        "b": {"cache-to": ["type=registry,ref=r.example/x:cache"]},
        "c": {"cache-to": [{"type": "registry", "ref": "r.example/x:c"}, {"type": "inline"}]},
        "d": {"cache-to": [{"type": "gha"}, {"type": "inline"}]},
        "e": {"cache-to": ["type=gha,mode=max"]},
        "f": {"cache-to": [{"type": "gha", "scope": "f"}]},
        "g": {},
    }
    assert collisions(targets) == {
        "gha buildkit": ["d", "e"],
        "registry r.example/x:cache": ["a", "b"],
    }


def test_the_names_of_targets() -> None:
    text = 'target "a" {\n}\n  target b-c {\n}\n// target "no"\ngroup "g" {\n}\ntarget "a" {\n'
    assert target_names(text, ".hcl") == ["a", "b-c"]
    assert target_names('{"target": {"x": {}}}', ".json") == ["x"]
