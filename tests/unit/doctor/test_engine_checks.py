"""What is said of an engine, from what engines really answer."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from rebake.doctor import buildkit, cpu, file_sharing, garbage, memory, versions
from rebake.doctor.memory import GB
from rebake.engine.daemon_config import daemon_json
from rebake.engine.home import Home
from rebake.engine.network import AddressRange
from rebake.engine.versions import Versions
from unit.doctor.conftest import bad, only

# What `docker buildx ls --format json` told of an engine 28.5 without a policy of its own.
DEFAULT: dict[str, Any] = json.loads(
    (Path(__file__).parent / "builders" / "engine-28-default.json").read_text()
)
BY_SIZE = {"all": True, "filter": [""], "keepDuration": 0, "maxUsedSpace": 50 * GB}


def policy(builder: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = builder["Nodes"][0]["GCPolicy"]
    return found


def test_the_default_policy_throws_mounts_away_after_two_days() -> None:
    rules = [{**rule} for rule in policy(DEFAULT)]
    for rule in rules[1:]:  # on a large disk
        rule |= {"maxUsedSpace": 80 * GB, "reservedSpace": 10 * GB}
    one = only(list(garbage.judge(rules, "how")))
    assert one.level == "warning"
    assert one.message == (
        "the builder deletes cache mounts that no build used for 48 h down to 512 MB"
    )


def test_a_small_limit_is_told_too() -> None:
    found = list(garbage.judge(policy(DEFAULT), "how"))
    assert [diagnosis.message for diagnosis in found] == [
        "the builder deletes cache mounts that no build used for 48 h down to 512 MB",
        "the builder keeps 1.0 GB of cache in all",
    ]


def test_docker_desktop_s_limit_of_20_gb_is_enough() -> None:
    rule = {"all": True, "filter": None, "keepDuration": 0, "keepBytes": 20 * GB}
    assert bad(list(garbage.judge([rule], "how"))) == []


def test_a_policy_by_size_is_good() -> None:
    found = list(garbage.judge([BY_SIZE], "how"))
    assert bad(found) == []
    assert found[0].message == "the builder deletes cache by size alone, above 50.0 GB"


def told_again(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of daemon.json as the builder tells it: sizes in bytes, hours in nanoseconds."""
    words = dict(word.split("=") for word in rule.get("filter", ()))
    hours = int(words.pop("unused-for", "0h").removesuffix("h"))
    sizes = {key: int(v.removesuffix("B")) for key, v in rule.items() if isinstance(v, str)}
    filters = [f"{key}=={value}" for key, value in words.items()]
    return {**sizes, "filter": filters, "keepDuration": hours * 3600 * 10**9}


@pytest.mark.parametrize(
    ("disk", "says"),
    [(40, "ok"), (200, "ok"), (4000, "ok"), (12, "the builder keeps 6.0 GB of cache in all")],
)
def test_the_policy_of_the_private_engine_keeps_mounts(disk: int, says: str) -> None:
    addresses = AddressRange(IPv4Network("172.31.0.0/16"))
    text = daemon_json(Home.at(Path("/e")), addresses, disk_bytes=disk * GB, mtu=1500)
    (one,) = garbage.judge(
        [told_again(rule) for rule in json.loads(text)["builder"]["gc"]["policy"]], "how"
    )
    assert (one.level if says == "ok" else one.message) == says


def test_a_rule_about_other_things_says_nothing_of_mounts() -> None:
    rule = {"filter": ["type==source.local"], "keepDuration": 10**15, "maxUsedSpace": 1}
    assert garbage.mount_rule(rule) is None
    assert bad(list(garbage.judge([rule, BY_SIZE], "how"))) == []


def test_the_setting_is_one_that_the_engine_knows() -> None:
    new = json.loads(garbage.daemon_json("28.5.2"))["builder"]["gc"]["policy"]
    old = json.loads(garbage.daemon_json("25.0.3"))["builder"]["gc"]["policy"]
    assert new == [
        {"all": True, "reservedSpace": "20GB", "maxUsedSpace": "50GB", "minFreeSpace": "5GB"}
    ]
    assert old == [{"all": True, "keepStorage": "50GB"}]
    for kind, word in (
        ("private", "invoke engine stop"), ("docker-desktop", "Settings, Docker Engine"),
        ("colima", "colima start --edit"), ("orbstack", "OrbStack"),
        ("default", "/etc/docker/daemon.json"),
    ):  # fmt: skip
        assert word in garbage.how_to_mend(kind, "28.5.2")  # type: ignore[arg-type]


def test_builders() -> None:
    assert bad(list(buildkit.judge(DEFAULT))) == []
    other = only(list(buildkit.judge({**DEFAULT, "Driver": "docker-container"})))
    assert other.level == "warning"
    broken = only(list(buildkit.judge({**DEFAULT, "Nodes": [{"Err": "no route to host"}]})))
    assert (broken.level, "no route to host" in broken.message) == ("error", True)


GOOD = Versions("28.5.2", "28.5.2", "0.29.1", "2.40.3", "1.51")


def test_versions_are_told_with_what_is_needed() -> None:
    (one,) = versions.judge(GOOD)
    assert one.message == (
        "engine 28.5.2 (at least 23), buildx 0.29.1 (at least 0.12), compose 2.40.3 (at least"
        " 2.20), client 28.5.2"
    )


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Versions("24.0.7", "24.0.7", "0.29.1", "2.40.3", "1.43"), "older than 25"),
        (Versions("28.5.2", "24.0.7", "0.29.1", "2.40.3", "1.51"), "the client is 24.0.7"),
        (Versions("5.4.0", "28.5.2", "0.29.1", "2.40.3", "1.41", podman=True), "Podman"),
    ],
)
def test_versions_that_work_badly(found: Versions, says: str) -> None:
    assert says in only(list(versions.judge(found))).message


@pytest.mark.parametrize(
    ("engine", "free", "place", "told"),
    [
        ((8 * GB, 4), 5 * GB, "", ("ok", "8.0 GB")),
        ((GB, 2), None, "Docker Desktop", ("error", "Desktop, this machine has 32.0 GB")),
        ((3 * GB, 2), None, "Colima", ("warning", "3.0 GB")),
        ((6 * GB, 16), None, "Docker Desktop", ("warning", "for 16 CPUs")),
        ((32 * GB, 4), GB // 2, "", ("warning", "0.5 GB of memory are free")),
    ],
)
def test_memory(
    engine: tuple[int, int], free: int | None, place: str, told: tuple[str, str]
) -> None:
    (one,) = memory.judge(*engine, host_bytes=32 * GB, free_bytes=free, place=place)
    assert (one.level, told[1] in one.message) == (told[0], True), one.message
    assert (one.level == "ok") == (one.fix == "")


@pytest.mark.parametrize(
    ("engine", "host", "level"), [(8, 8, "ok"), (2, 10, "warning"), (1, 0, "warning"), (4, 0, "ok")]
)
def test_cpus(engine: int, host: int, level: str) -> None:
    (one,) = cpu.judge(engine, host, place="Docker Desktop" if host == 10 else "")
    assert one.level == level


def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount() -> None:
    mounts = [("/", "ext4"), ("/mnt/c", "9p"), ("/mnt/c2", "NFS4")]
    assert file_sharing.file_system(Path("/mnt/c/src"), mounts) == "9p"
    assert file_sharing.file_system(Path("/mnt/c2"), mounts) == "nfs4"
    assert file_sharing.file_system(Path("/home/me"), [*mounts, ("/home", "xfs")]) == "xfs"
    # What the whole system stands on tells of its changes, whatever it is.
    assert file_sharing.file_system(Path("/home/me"), [("/", "9p")]) == ""


def test_docker_desktop_s_own_list_of_folders() -> None:
    folders = file_sharing.shared_folders({"FilesharingDirectories": ["/Users", "~/x"]})
    assert folders == [Path("/Users"), Path("~/x").expanduser()]
    assert file_sharing.shared_folders({"other": 1}) is None
