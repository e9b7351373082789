"""Chooses whether a compiling step gets a network.

To make a network for a step and to remove it takes about two tenths of a second, and a step that
downloads nothing needs none. Whether it downloads is certain only afterwards: a step that fails
without a network ends with a code of its own, and the build begins again with one.

Another choice is another step to BuildKit. So where nothing of a half has changed, the choice stays
what it was, or a step that is there would run again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from rebake.build.plan import Half

PREFIX = "network of "
Network = Literal["online", "offline"]
# What `docker/tools/build-workspace` and `build-ui` end with, as BuildKit tells it.
_IN_VAIN = re.compile(r"exit code: 67\b")


class Chosen(Struct, frozen=True):
    """A choice for one half, and what it was made for.

    Attributes:
        inputs: the digest of all files of the half, and of what says how they are compiled.
        packages: the digest of what decides which packages are downloaded.
    """

    network: Network
    inputs: str
    packages: str

    def text(self) -> str:
        """As a setting of a build's record."""
        return f"{self.network} {self.inputs} {self.packages}"


def read(text: str) -> Chosen | None:
    """Read a setting; None where there is none."""
    match text.split():
        case ["online" | "offline" as network, inputs, packages]:
            return Chosen(network, inputs, packages)
    return None


def setting(half: str) -> str:
    """The name of the setting."""
    return f"{PREFIX}{half}"


def choose(last: Chosen | None, inputs: str, packages: str) -> Chosen:
    """Choose for a build, from what the last good one of this project had."""
    network: Network = "online"
    if last is not None and last.inputs == inputs:
        network = last.network
    elif last is not None and last.packages == packages:
        network = "offline"
    return Chosen(network, inputs, packages)


def was_missed(error: str) -> bool:
    """Whether a step failed for the lack of a network, as far as it can tell."""
    return _IN_VAIN.search(error) is not None


class Networks:
    """The choices of one build, by half; none where the images do not compile."""

    def __init__(self) -> None:
        self._chosen: dict[Half, Chosen] = {}

    def choose(
        self, last: Mapping[str, str], inputs: Mapping[Half, str], packages: Mapping[Half, str]
    ) -> None:
        """Choose before a build.

        Args:
            last: the settings of the last good build.
            inputs: the digest of all that each half is made from.
            packages: the digest of what decides the packages of each half.
        """
        for half, key in packages.items():
            self._chosen[half] = choose(read(last.get(setting(half), "")), inputs[half], key)

    def need(self, half: Half) -> bool:
        """Give a half a network after all; whether it had none."""
        chosen = self._chosen.get(half)
        if chosen is None or chosen.network == "online":
            return False
        self._chosen[half] = replace(chosen, network="online")
        return True

    @property
    def by_half(self) -> dict[Half, str]:
        """Online or offline, for each half."""
        return {half: chosen.network for half, chosen in self._chosen.items()}

    def settings(self, last: Mapping[str, str]) -> dict[str, str]:
        """The settings for the record; of a half that had no part, as they were."""
        kept = {name: text for name, text in last.items() if name.startswith(PREFIX)}
        return kept | {setting(half): chosen.text() for half, chosen in self._chosen.items()}
