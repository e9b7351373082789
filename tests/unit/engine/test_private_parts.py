"""The private engine's pure parts: paths, addresses, configuration, firewall, left-overs."""

import json
import os
import socket
import sys
import tomllib
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace

import pytest

from rebake.engine import daemon, daemon_config, firewall, install, network, private, sweep_tool
from rebake.engine.endpoint import Endpoint
from rebake.engine.home import Home
from rebake.engine.privilege import Privilege
from rebake.errors import Busy, NoEngine, UsageError
from rebake.process import Command

USUAL = Path("/home/u/.local/share/rebake/engine")
HOME = Home.at(USUAL)


def test_no_two_homes_share_a_bridge(monkeypatch):
    homes = [Path("/home/u"), Path("/home/v"), Path("/root")]
    found = set()
    for folder in homes:
        monkeypatch.setenv("XDG_DATA_HOME", str(folder / "share"))
        found.add(Home.default().bridge)
    assert len(found) == len(homes)
    assert all(len(name) <= 15 for name in found)  # the kernel's limit


def test_engines_begin_their_search_for_a_range_at_different_places():
    numbers = [Home.at(Path(f"/home/{name}")).number for name in "abc"]
    ranges = {str(network.choose([], number).pool) for number in numbers}
    assert len(ranges) == 3
    taken = [network.choose([], numbers[0]).pool]
    assert not network.choose(taken, numbers[0]).pool.overlaps(taken[0])
    (last,) = [n for n in range(54) if str(network.choose([], n).pool) == "10.200.0.0/16"]
    assert str(network.choose([IPv4Network("10.200.0.0/16")], last).pool) == "172.31.0.0/16"


NETWORK_ID = "8fbf80b5cb99346855b907e8d52a3c45f5d9d4076c265b0bf78c370684429fa6"
FOREIGN_ID = "a2988818c29ea2fd4ba1bacb177f7863ed6bb6176b3f26713dc2458ded89e34a"


@pytest.fixture
def neighbours(tmp_path, monkeypatch):
    """Our engine, stopped, and a foreign one that uses the same range."""
    home = Home.at(tmp_path / "engine")
    home.network_store.parent.mkdir(parents=True)
    home.network_store.write_bytes(b"\0\xffdocker/network/v1.0/network/" + NETWORK_ID.encode())
    home.network_file.write_text('{"pool": "172.31.0.0/16"}')
    monkeypatch.setattr(network, "parse_routes", lambda *_: [])  # this machine's may be ours
    interfaces = {
        "rebake-foreign": "172.31.0.1",
        f"br-{FOREIGN_ID[:12]}": "172.31.128.1",
        f"br-{NETWORK_ID[:12]}": "172.31.129.1",
        home.bridge: "172.31.0.1",
        "eth0": "192.0.2.2",
    }
    monkeypatch.setattr(
        "psutil.net_if_addrs",
        lambda: {
            name: [SimpleNamespace(family=socket.AF_INET, address=address, netmask="255.255.255.0")]
            for name, address in interfaces.items()
        },
    )
    return home, interfaces


def test_bridges_of_an_engine_in_the_same_range_are_not_claimed(neighbours):
    home, _ = neighbours
    assert set(daemon.leftover_bridges(home)) == {home.bridge, f"br-{NETWORK_ID[:12]}"}


def test_a_bridge_without_a_digest_is_ours_if_our_dockerd_had_it_and_its_address_fits(neighbours):
    home, interfaces = neighbours
    interfaces["rebake0"] = "172.31.0.1"
    assert "rebake0" not in daemon.leftover_bridges(home)
    home.daemon_config.write_text('{"bridge": "rebake0"}')
    assert "rebake0" in daemon.leftover_bridges(home)
    interfaces["rebake0"] = "172.30.0.1"
    assert "rebake0" not in daemon.leftover_bridges(home)


def test_rules_without_an_interface_stay_when_somebody_else_uses_the_range(neighbours, monkeypatch):
    home, interfaces = neighbours
    seen = []
    monkeypatch.setattr(firewall, "remove_rules", lambda *words: seen.append(words[:2]))
    monkeypatch.setattr(network, "remove_bridge", lambda *_: None)
    daemon.remove_networks(home, Privilege())
    for name in ("rebake-foreign", f"br-{FOREIGN_ID[:12]}"):
        del interfaces[name]
    daemon.remove_networks(home, Privilege())
    assert [pool for _, pool in seen] == [None, IPv4Network("172.31.0.0/16")]
    assert all(f"br-{NETWORK_ID[:12]}" in known for known, _ in seen)


def test_rules_of_a_foreign_bridge_in_our_range_are_kept():
    saved = (
        "*nat\n-A POSTROUTING -s 172.31.128.0/24 ! -o br-a2988818c29e -j MASQUERADE\n"
        "-A POSTROUTING -s 172.31.128.2/32 -d 172.31.128.2/32 -j MASQUERADE\nCOMMIT\n"
    )
    pool = IPv4Network("172.31.0.0/16")
    assert [words[6:8] for words in firewall.deletions(saved, ["br-8fbf80b5cb99"], pool)] == [
        ("-s", "172.31.128.2/32")
    ]
    assert firewall.deletions(saved, ["br-8fbf80b5cb99"], None) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the private engine is for Linux")
def test_one_engine_at_a_time_changes_the_firewall(monkeypatch):
    monkeypatch.setattr(firewall, "_LOCK_NAME", f"\0rebake-test-{os.getpid()}")
    refused = pytest.raises(Busy, match="another private engine")
    with firewall.exclusive(), refused, firewall.exclusive(limit_s=0.0):
        pytest.fail("two at once")
    with firewall.exclusive(limit_s=0.0):
        pass


def test_networks_are_forgotten_when_the_range_is_somebody_elses_now(neighbours, monkeypatch):
    home, _ = neighbours
    monkeypatch.setattr(network, "make_bridge", lambda *_: None)
    said = []
    daemon._write_configuration(home, Privilege(), said.append)
    assert len(said) == 1
    assert said[0].startswith("172.31.0.0/16 is in use by something else now")
    assert not home.network_store.exists()
    assert not network.load(home.network_file).pool.overlaps(IPv4Network("172.31.0.0/16"))
    home.network_store.touch()
    daemon._write_configuration(home, Privilege(), said.append)
    assert len(said) == 1
    assert home.network_store.exists()


def test_the_environment_names_another_home(tmp_path):
    assert Home.default({"REBAKE_ENGINE_HOME": str(tmp_path)}).folder == tmp_path


@pytest.mark.parametrize("length", [10, 60, 90, 200])
def test_sockets_fit_the_kernels_limit(length):
    home = Home.at(Path("/") / ("d" * length))
    longest = f"{home.exec_root}/libnetwork/0123456789ab.sock"
    assert len(os.fsencode(longest)) <= 107
    assert (home.runtime.parent == home.folder) == (length < 70)


def test_an_address_range_collides_with_nothing():
    taken = [IPv4Network("172.16.0.0/12"), IPv4Network("10.239.4.0/24"), IPv4Network("0.0.0.0/0")]
    chosen = network.choose(taken)
    assert str(chosen.pool) == "10.238.0.0/16"
    assert chosen.bridge == "10.238.0.1/24"
    assert chosen.daemon_settings() == {
        "default-address-pools": [{"base": "10.238.128.0/17", "size": 24}]
    }


def test_no_free_range_is_an_error():
    with pytest.raises(NoEngine, match="no private address range"):
        network.choose([IPv4Network("172.16.0.0/12"), IPv4Network("10.0.0.0/8")])


def test_a_range_is_kept_while_it_is_free(tmp_path):
    file = tmp_path / "network.json"
    first = network.keep_or_choose(file, [])
    assert network.keep_or_choose(file, [IPv4Network("192.168.0.0/16")]) == first
    assert network.keep_or_choose(file, [first.pool]) != first
    file.write_text("{ broken")
    assert network.keep_or_choose(file, []) == first


def test_routes_and_name_servers_are_read():
    routes = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t0000FF0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert network.parse_routes(routes, ["tun0"]) == [IPv4Network("192.0.2.0/24")]
    assert IPv4Network("10.255.0.0/16") in network.parse_routes(routes)
    assert network.parse_name_servers("search x\nnameserver 10.1.2.3\nnameserver ::1\n") == [
        IPv4Network("10.1.2.3/32")
    ]


def test_the_daemons_configuration_keeps_to_the_home():
    addresses = network.AddressRange(IPv4Network("172.31.0.0/16"))
    config = json.loads(
        daemon_config.daemon_json(HOME, addresses, disk_bytes=200_000_000_000, mtu=1400)
    )
    assert config["hosts"] == [f"unix://{USUAL}/run/docker.sock"]
    assert config["bridge"] == HOME.bridge
    assert config["features"] == {"containerd-snapshotter": True}
    assert config["mtu"] == 1400
    assert config["default-network-opts"] == {"bridge": {"com.docker.network.driver.mtu": "1400"}}
    for key in ("data-root", "exec-root", "pidfile", "containerd", "userland-proxy-path"):
        assert config[key].startswith(f"{USUAL}/")
    *by_age, by_size = config["builder"]["gc"]["policy"]
    assert by_size["all"] is True
    assert by_size["maxUsedSpace"] == "40000000000B"
    assert "filter" not in by_size  # the default one drops mounts unused for 48 h
    assert by_age == [
        {"filter": ["type=source.local", "unused-for=48h"]},
        {"filter": ["type=regular", "unused-for=336h"]},
    ]


def test_the_cache_limit_fits_the_disk():
    assert daemon_config.cache_limit(1_000_000_000_000) == 200_000_000_000
    assert daemon_config.cache_limit(60_000_000_000) == 20_000_000_000
    assert daemon_config.cache_limit(10_000_000_000) == 5_000_000_000


def test_containerd_keeps_to_the_home_and_out_of_kubernetes():
    text = daemon_config.containerd_toml(Home.at(Path('/a "b"')))
    assert 'root = "/a \\"b\\"/containerd"' in text
    assert "io.containerd.grpc.v1.cri" in text


def test_containerd_does_not_look_for_what_can_go_in_the_middle_of_a_build():
    scheduler = tomllib.loads(daemon_config.containerd_toml(HOME))["plugins"][
        "io.containerd.gc.v1.scheduler"
    ]
    assert scheduler == {"mutation_threshold": 2000, "schedule_delay": "2s"}


def test_the_client_keeps_the_users_logins():
    text = daemon_config.client_json(HOME, {"auths": {"r": {}}, "currentContext": "x"})
    assert json.loads(text) == {
        "auths": {"r": {}},
        "cliPluginsExtraDirs": [f"{USUAL}/programs/usr/libexec/docker/cli-plugins"],
    }


BEFORE = """\
*filter
:DOCKER - [0:0]
:INPUT ACCEPT [0:0]
-A INPUT -s 10.0.0.0/8 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i rebake0 -o rebake0 -j DROP
COMMIT
*nat
:DOCKER - [0:0]
-A DOCKER -i docker0 -j RETURN
-A POSTROUTING -s 172.31.0.0/24 ! -o rebake0 -j MASQUERADE
-A PREROUTING -m comment --comment "a \\"b\\" c" -d 172.31.4.2/32 -j DROP
COMMIT
"""


def test_what_a_start_took_from_another_engine_is_put_back():
    after = "*filter\n:DOCKER - [0:0]\n:INPUT ACCEPT [0:0]\nCOMMIT\n*nat\n:DOCKER - [0:0]\nCOMMIT\n"
    assert firewall.missing_rules(BEFORE, after, ["rebake0"]) == (
        "*filter\n"
        "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n"
        "COMMIT\n"
        "*nat\n-A DOCKER -i docker0 -j RETURN\nCOMMIT\n"
    )
    assert firewall.missing_rules(BEFORE, BEFORE) == ""


def test_only_our_rules_are_deleted():
    found = firewall.deletions(BEFORE, ["rebake0"], IPv4Network("172.31.0.0/16"))
    assert found == [
        (
            "-w",
            "5",
            "-t",
            "filter",
            "-D",
            *["DOCKER", "!", "-i", "rebake0", "-o", "rebake0", "-j", "DROP"],
        ),
        (
            *("-w", "5", "-t", "nat", "-D"),
            *["POSTROUTING", "-s", "172.31.0.0/24", "!", "-o", "rebake0", "-j", "MASQUERADE"],
        ),
        (
            *("-w", "5", "-t", "nat", "-D", "PREROUTING", "-m", "comment", "--comment"),
            *('a "b" c', "-d", "172.31.4.2/32", "-j", "DROP"),
        ),
    ]


def test_only_the_engines_own_programs_are_ended():
    folder = str(USUAL)
    shim = f"{folder}/programs/usr/bin/containerd-shim-runc-v2"
    assert sweep_tool.is_engine_process([shim, "-namespace", "moby"], folder)
    assert sweep_tool.is_engine_process([f"{folder}/programs/usr/sbin/dockerd"], folder)
    assert not sweep_tool.is_engine_process([f"{folder}/programs/usr/bin/docker", "run"], folder)
    assert not sweep_tool.is_engine_process(["/usr/sbin/dockerd"], folder)
    assert not sweep_tool.is_engine_process([f"{folder}2/programs/usr/sbin/dockerd"], folder)
    assert not sweep_tool.is_engine_process([], folder)


def test_a_container_is_known_by_its_root():
    line = "100 90 0:50 / / rw - overlay overlay rw,lowerdir={}/containerd/x/1/fs,upperdir=/y"
    assert sweep_tool.is_container_process(line.format(USUAL), str(USUAL))
    assert not sweep_tool.is_container_process(line.format("/var/lib"), str(USUAL))
    spaced = line.format("/a\\040b")
    assert sweep_tool.is_container_process(spaced, "/a b")


def test_mounts_are_taken_away_deepest_first():
    text = "\n".join(
        f"1 2 0:1 / {point} rw - x x rw"
        for point in ("/e", "/e/a/b", "/e/a", "/else", "/e/x\\040y")
    )
    assert sweep_tool.mounts_below(text, ["/e"]) == ["/e/a/b", "/e/a", "/e/x y", "/e"]


def test_nothing_without_our_marker_is_deleted(tmp_path):
    (tmp_path / "precious").touch()
    assert sweep_tool.main(["delete", str(tmp_path), str(tmp_path / "run")]) == 1
    assert (tmp_path / "precious").exists()
    with pytest.raises(UsageError, match="not a private engine's folder"):
        private.remove(Home.at(tmp_path), say=print)


def test_a_half_done_install_is_recognised(tmp_path):
    home = Home.at(tmp_path)
    assert not install.is_installed(home)
    home.programs.mkdir()
    (home.programs / "x").write_text("12345")
    home.manifest.write_text(json.dumps({"programs": {"x": 5}}))
    assert install.is_installed(home)
    (home.programs / "x").write_text("1234")
    assert not install.is_installed(home)
    home.manifest.write_text("{")
    assert not install.is_installed(home)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Docker version 28.5.2+dfsg4, build 3ef", "28.5.2+dfsg4"),
        ("containerd github.com/containerd/containerd/v2 2.1.9+unknown", "2.1.9+unknown"),
        ("github.com/docker/buildx v0.12.0 abc", "0.12.0"),
        ("2.40.3-3", "2.40.3-3"),
    ],
)
def test_the_version_is_found_in_what_a_program_prints(text, version):
    assert install.first_version(text) == version


def test_an_absent_engine_has_a_status(tmp_path):
    home = Home.at(tmp_path / "engine")
    document = private.status(home).document()
    assert document["state"] == "absent"
    assert document["pid"] is None
    assert document["docker_host"] == home.docker_host


def test_a_machine_with_an_engine_is_given_no_second_one():
    with pytest.raises(UsageError, match="has a Docker engine already"):
        private.require_none_else(Endpoint("default", "unix:///x", Path("docker")))
    private.require_none_else(None)


def test_without_root_commands_go_through_sudo_with_their_variables():
    command = Privilege(("sudo", "-n", "--")).command(
        Command.of("dockerd", "--x", env={"PATH": "/a b", "GONE": None})
    )
    assert command.argv == ("sudo", "-n", "--", "env", "PATH=/a b", "dockerd", "--x")
    assert Privilege().command(Command.of("x")).argv == ("x",)


def test_wsl_gets_a_word_of_its_own():
    assert "WSL" in install.wsl_note("5.15.0-microsoft-standard-WSL2")
    assert install.wsl_note("6.1.0-amd64") == ""


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        (
            "darwin",
            "brew install colima docker docker-buildx docker-compose && colima start",
        ),
        ("win32", "winget install Docker.DockerDesktop"),
    ],
)
def test_elsewhere_the_command_that_installs_an_engine_is_named(monkeypatch, platform, words):
    monkeypatch.setattr("sys.platform", platform)
    with pytest.raises(NoEngine) as caught:
        install.require_supported_system()
    assert caught.value.hint == words
    assert caught.value.exit_code == 69
