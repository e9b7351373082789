"""What the benchmark measures: its scenarios and subjects, by name. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from rebake.errors import UnknownName

SUBJECTS = ("rebake", "naive", "dummy-main", "cargo-chef", "cache-mount", "floor")
RECIPES = ("naive", "dummy-main", "cargo-chef", "cache-mount")

Edit = Literal["none", "code", "shared", "dependency", "ui", "label"]
Start = Literal["warm", "cold", "mounts lost", "fresh engine"]


class Scenario(Struct, frozen=True):
    """One situation that a build begins in.

    Attributes:
        name: on the command line and in the document.
        edit: what is changed before each sample.
        start: what is there when the sample begins.
        says: what it shows, in a few words.
    """

    name: str
    edit: Edit
    start: Start
    says: str


# In the order in which they run: a cold build leaves what the warm ones begin with, and the one
# that needs engines of its own comes last.
SCENARIOS = (
    Scenario("cold", "code", "cold", "nothing is there but the base images"),
    Scenario("no-change", "none", "warm", "nothing was changed"),
    Scenario("code-change", "code", "warm", "a line in one service"),
    Scenario("shared-crate", "shared", "warm", "a line in the crate that all services use"),
    Scenario("dependency-bump", "dependency", "warm", "one more dependency"),
    Scenario("ui-change", "ui", "warm", "a text of the UI"),
    Scenario("dockerfile-change", "label", "warm", "a line in the image's last stage"),
    Scenario("cache-lost", "code", "mounts lost", "the cache mounts are gone, the layers are not"),
    Scenario("fresh-ci", "code", "fresh engine", "a new engine beside a registry with the cache"),
)
SCENARIO_NAMES = tuple(scenario.name for scenario in SCENARIOS)


def scenarios_named(text: str) -> tuple[Scenario, ...]:
    """Read `a,b`: the scenarios in the order in which they run; all of them for no text.

    Raises:
        UnknownName: there is none of that name.
    """
    asked = _words("scenario", text, SCENARIO_NAMES)
    return tuple(scenario for scenario in SCENARIOS if scenario.name in asked)


def subjects_named(text: str) -> tuple[str, ...]:
    """Read `a,b`: the subjects in their usual order; all of them for no text.

    Raises:
        UnknownName: there is none of that name.
    """
    asked = _words("subject", text, SUBJECTS)
    return tuple(subject for subject in SUBJECTS if subject in asked)


def takes_part(subject: str, scenario: Scenario, *, has_ui: bool) -> str:
    """Return why a subject has no part in a scenario; empty when it has."""
    if scenario.edit == "ui" and not has_ui:
        return "the project has no UI"
    if subject == "floor":
        return {
            "dockerfile-change": "the floor has no Dockerfile",
            "cache-lost": "the floor has no cache mounts",
            "fresh-ci": "on a fresh machine the floor is the cold one",
        }.get(scenario.name, "")
    return ""


def rotated(subjects: Sequence[str], repetition: int) -> tuple[str, ...]:
    """The subjects in this repetition's order: each comes first, second, … about as often."""
    shift = repetition % len(subjects) if subjects else 0
    return (*subjects[shift:], *subjects[:shift])


def _words(kind: str, text: str, known: Sequence[str]) -> set[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise UnknownName(kind, word, known)
    return set(words or known)
