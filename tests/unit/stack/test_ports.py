"""Which ports a stack takes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from rebake.errors import PortInUse
from rebake.stack import ports

LOCAL = "127.0.0.1"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ports that count as taken; the real machine is not asked."""
    numbers: set[int] = set()
    monkeypatch.setattr(ports, "is_free", lambda _address, port: port not in numbers)
    monkeypatch.setattr(ports, "owner", lambda _address, _port: "vite (pid 7)")
    return numbers


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((LOCAL, 0)) as server:
        yield server


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_wanted_fills_up_what_is_not_configured() -> None:
    configured = {"ui": 5173, "api": 5174}
    assert ports.wanted(["api", "mailer", "ui", "x"], configured) == {
        "api": 5174,
        "mailer": 5175,
        "ui": 5173,
        "x": 5176,
    }
    assert ports.wanted(["api"], {}) == {"api": 5173}


def test_the_configured_ports_when_they_are_free(taken: set[int]) -> None:
    del taken
    assert ports.choose({"ui": 5173, "api": 5174}, LOCAL) == {"ui": 5173, "api": 5174}


def test_a_second_worktree_gets_the_next_ones_and_no_two_the_same(taken: set[int]) -> None:
    taken |= {5173, 5174, 5175}
    wanted = {"ui": 5173, "api": 5174, "worker": 5175}
    chosen = ports.choose(wanted, LOCAL)
    assert chosen == {"ui": 5176, "api": 5177, "worker": 5178}
    assert ports.choose(wanted, LOCAL) == chosen


def test_a_displaced_service_does_not_take_what_another_one_wants(taken: set[int]) -> None:
    taken |= {5173}
    assert ports.choose({"ui": 5173, "api": 5174}, LOCAL) == {"ui": 5175, "api": 5174}


def test_ports_of_our_own_stack_are_ours(taken: set[int]) -> None:
    taken |= {5173, 5174, 5180}
    wanted = {"ui": 5173, "api": 5174}
    assert ports.choose(wanted, LOCAL, {"ui": 5173, "api": 5180}) == {"ui": 5173, "api": 5180}


def test_a_displaced_service_goes_back_when_its_port_is_free(taken: set[int]) -> None:
    taken |= {5180}
    assert ports.choose({"api": 5174}, LOCAL, {"api": 5180}) == {"api": 5174}


def test_the_search_starts_over_below_the_highest_port(taken: set[int]) -> None:
    taken |= {65535, 1024}
    assert ports.choose({"api": 65535}, LOCAL) == {"api": 1025}


def test_no_port_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda *_: False)
    monkeypatch.setattr(ports, "owner", lambda *_: "x")
    with pytest.raises(PortInUse):
        ports.choose({"api": 5174}, LOCAL)


def test_a_port_that_was_taken_since_is_lost_unless_it_is_ours(taken: set[int]) -> None:
    chosen = {"api": 5174, "ui": 5173}
    assert ports.lost(chosen, "127.0.0.1", {}) == ()
    taken.add(5173)
    assert ports.lost(chosen, "127.0.0.1", {}) == ("ui",)
    assert ports.lost(chosen, "127.0.0.1", {"ui": 5173}) == ()


def test_require_names_service_port_owner_and_setting(taken: set[int]) -> None:
    taken |= {8001}
    with pytest.raises(PortInUse) as caught:
        ports.require({"ui": 8000, "api": 8001}, LOCAL)
    assert caught.value.what == ("port 8001 of api is in use by vite (pid 7); nothing was started")
    assert "prod.ports.api" in caught.value.hint
    assert ports.require({"api": 8001}, LOCAL, {"api": 8001}) == {"api": 8001}


def test_a_listening_socket_is_not_free_and_its_owner_is_known(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert not ports.is_free(LOCAL, port)
    assert not ports.is_free("0.0.0.0", port)
    assert ports.owner(LOCAL, port) == f"{psutil.Process().name()} (pid {os.getpid()})"
    listener.close()
    assert ports.is_free(LOCAL, port)
    assert ports.owner(LOCAL, port) == "another program"


def test_a_connection_that_lingers_does_not_count(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    client = socket.create_connection((LOCAL, port))
    server, _ = listener.accept()
    server.close()  # the side that closes first waits
    client.close()
    listener.close()
    assert ports.is_free(LOCAL, port)


def test_another_loopback_is_free_but_not_chosen() -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        assert ports.is_free(LOCAL, port)
        assert not ports.is_free("::1", port)
        assert ports.choose({"ui": port}, LOCAL) != {"ui": port}
        assert ports.require({"ui": port}, LOCAL) == {"ui": port}


def test_an_address_of_another_machine_is_left_to_the_engine() -> None:
    assert ports.is_free("192.0.2.1", 8000) is True
