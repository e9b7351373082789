"""Chooses the next bake after one that did not end well: what is amiss, another plan may mend.

Each reason is good for one more bake (each half can lack its network once).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rebake.build import network, resend, seed
from rebake.build.bake import BakeStopped
from rebake.build.evidence import Collector, Inputs
from rebake.build.inputs import read_inputs
from rebake.build.plan import BuildPlan, Half
from rebake.errors import WrongImage
from rebake.project.project import Project

Say = Callable[[str], None]
Stopped = BakeStopped | WrongImage
# An image is unpacked onto layers that are there, while the engine cleans up what it takes for
# unused (seen on 28.5, once in some thousand builds).
_LOST = re.compile(r"parent snapshot \S+ does not exist")
_LAYER_STAGES = frozenset({"skeleton", "deps"})  # of backend/Dockerfile


class Mends:
    """The mends of one build that are left.

    Args:
        project: the project.
        inputs: the files that the build was planned for.
        caches: what was known of the caches before it.
        networks: who has a network.
        evidence: told that the cache mount was found empty.
        say: told what is done.
    """

    def __init__(
        self,
        project: Project,
        inputs: Inputs,
        caches: seed.CacheState,
        networks: network.Networks,
        evidence: Collector,
        *,
        say: Say,
    ) -> None:
        self._project, self._inputs, self._caches = project, inputs, caches
        self._networks, self._evidence, self._say = networks, evidence, say
        self._left: list[Callable[[Stopped, BuildPlan], BuildPlan | None]] = [
            self._with_seed, self._without_seed, self._send_again, self._write_again
        ]  # fmt: skip

    def plan_after(self, error: Stopped, plan: BuildPlan) -> BuildPlan | None:
        """Return the plan of the next bake; None where another one mends nothing."""
        for mend in self._left:
            if (found := mend(error, plan)) is not None:
                self._left.remove(mend)
                return found
        return self._with_network(error, plan)

    def _with_seed(self, error: Stopped, plan: BuildPlan) -> BuildPlan | None:
        """After a build that found the cache mount empty: fill it, if there is a layer."""
        failure = error.progress.failure if isinstance(error, BakeStopped) else None
        if not plan.refuse_empty or failure is None or not seed.was_empty(failure.error):
            return None
        choice = seed.after_refusal(self._caches)
        if choice.seed == "none":
            self._say(choice.reason)
        plan = seed_plan(plan, choice, self._say)
        self._networks.need("backend")  # the mount with what was downloaded may be gone too
        self._evidence.target_was_empty = True
        return plan.networked(self._networks.by_half)

    def _with_network(self, error: Stopped, plan: BuildPlan) -> BuildPlan | None:
        """After a step that failed without a network: once more with one, each half once."""
        failure = error.progress.failure if isinstance(error, BakeStopped) else None
        if failure is None or not network.was_missed(failure.error):
            return None
        half: Half = "ui" if "build-ui" in failure.step.name else "backend"
        if not self._networks.need(half):
            return None
        self._say(f"{half}: it failed without a network, so once more with one")
        return plan.networked(self._networks.by_half)

    def _without_seed(self, error: Stopped, plan: BuildPlan) -> BuildPlan | None:
        """After a dependency layer that could not be made: once more without it."""
        failure = error.progress.failure if isinstance(error, BakeStopped) else None
        if plan.seed == "none" or failure is None or failure.step.stage not in _LAYER_STAGES:
            return None
        self._say("the dependency layer could not be made: compiling without it")
        return plan.seeded("none", "the dependency layer could not be made")

    def _write_again(self, error: Stopped, plan: BuildPlan) -> BuildPlan | None:
        """After a layer that went while an image was unpacked: the same once more."""
        failure = error.progress.failure if isinstance(error, BakeStopped) else None
        if failure is None or not _LOST.search(failure.error):
            return None
        self._say("the engine lost a layer while it wrote an image: once more")
        return plan

    def _send_again(self, error: Stopped, plan: BuildPlan) -> BuildPlan | None:
        """After a build of other sources than the plan's: once more, all sent anew.

        Not where files were changed in the meantime: that is for the user to know.
        """
        if not resend.had_other_sources(error) or read_inputs(plan) != self._inputs:
            return None
        self._say(
            "a file changed, but kept its size and time, so it was not sent: all is sent again"
        )
        try:
            return resend.renew(self._project, plan)
        except OSError:
            return None


def seed_plan(plan: BuildPlan, choice: seed.Choice, say: Say) -> BuildPlan:
    """The plan with a choice of what an empty cache mount is filled from."""
    if choice.seed == "deps":
        say(choice.reason)
    return plan.seeded(choice.seed, choice.reason, refuse_empty=choice.refuse_empty)
