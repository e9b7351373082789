"""Which compiling steps get a network."""

from __future__ import annotations

import pytest

from rebake.build.network import Chosen, Networks, choose, read, setting, was_missed


@pytest.mark.parametrize(
    ("last", "network"),
    [
        (None, "online"),
        # Other packages: something is downloaded.
        (Chosen("offline", "before", "other"), "online"),
        (Chosen("online", "before", "same"), "offline"),
        (Chosen("offline", "before", "same"), "offline"),
        # Nothing changed: the step must stay the one that is there.
        (Chosen("online", "now", "same"), "online"),
        (Chosen("offline", "now", "same"), "offline"),
    ],
)
def test_the_choice(last: Chosen | None, network: str) -> None:
    assert choose(last, "now", "same") == Chosen(network, "now", "same")  # type: ignore[arg-type]


def test_a_setting_is_read_as_it_was_written() -> None:
    chosen = Chosen("offline", "i", "p")
    assert read(chosen.text()) == chosen
    assert read("") is None
    assert read("sometimes i p") is None


def test_a_half_that_took_no_part_keeps_its_setting() -> None:
    networks = Networks()
    last = {setting("ui"): "offline u p", setting("backend"): "online b p", "seed": "none"}
    networks.choose(last, {"backend": "b2"}, {"backend": "p"})
    assert networks.by_half == {"backend": "offline"}
    assert networks.settings(last) == {
        setting("ui"): "offline u p",
        setting("backend"): "offline b2 p",
    }


def test_a_network_is_given_once() -> None:
    networks = Networks()
    networks.choose({setting("ui"): "offline u p"}, {"ui": "u"}, {"ui": "p"})
    assert networks.need("ui")
    assert networks.by_half == {"ui": "online"}
    assert not networks.need("ui")
    assert not networks.need("backend")


def test_the_lack_is_told_by_the_exit_code() -> None:
    text = 'process "/bin/sh -c x" did not complete successfully: exit code: '
    assert was_missed(f"{text}67")
    assert not was_missed(f"{text}1")
