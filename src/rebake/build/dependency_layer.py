"""The dependency layer of one build: whether it is there, is made now, or is due.

What it is for, and when it is made: `seed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from rebake.build import seed
from rebake.build.bake import make_dependency_layer
from rebake.build.plan import BuildPlan
from rebake.engine.endpoint import Endpoint
from rebake.history.records import Outcome, StoredBuild
from rebake.history.store import History
from rebake.report.events import OnEvent

if TYPE_CHECKING:  # a build with nothing to do reads no progress
    from rebake.build.progress_state import BuildProgress


class DependencyLayer:
    """The layer as the newest good build of the project left it, and as this one wants it.

    Args:
        store: the build records.
        cache_id: of the project.
        key: what it is made from, by this build; empty for one that needs none.
        say: told what is worth a line.

    Attributes:
        key: as given.
        due: whether it was left for later.
        done: what was done to make it; None where it was not made.
    """

    def __init__(self, store: History, cache_id: str, key: str, say: Callable[[str], None]) -> None:
        self._store, self._cache_id, self._say = store, cache_id, say
        self.key = key
        self.due = False
        self.done: BuildProgress | None = None

    @cached_property
    def newest(self) -> StoredBuild | None:
        """The newest production build of the project that ended well."""
        return self._store.last(self._cache_id, "prod", outcome="done")

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of that build."""
        return self.newest.record.settings if self.newest else {}

    @property
    def known(self) -> str:
        """The key of the layer that this engine has; empty for none."""
        return self.settings.get(seed.SETTING, "")

    def bring_up_to_date(
        self, plan: BuildPlan, endpoint: Endpoint, on_event: OnEvent, *, later: bool
    ) -> str:
        """Make it where this build wants another one than there is, or leave that for later.

        Returns:
            The key of the layer that there is afterwards.

        Raises:
            Interrupted: the user interrupted it.
        """
        if not self.key or self.known == self.key:
            return self.known
        if later:
            self.due = True
            return self.known
        return self.key if self._make(plan, endpoint, on_event) else self.known

    def catch_up(self, plan: BuildPlan, endpoint: Endpoint, on_event: OnEvent) -> bool:
        """Make it where the newest build has left this very one for later; note it in its record.

        Returns:
            Whether it was made.

        Raises:
            Interrupted: the user interrupted it; it is still due.
        """
        if self.newest is None or self.settings.get(seed.DUE) != self.key:
            return False
        if not self._make(plan, endpoint, on_event):
            return False
        self._store.change_settings(self.newest.id, {seed.SETTING: self.key, seed.DUE: ""})
        return True

    def due_settings(self, outcome: Outcome, *, skipped: bool) -> dict[str, str]:
        """What a record says of a layer that is still to be made.

        It stays due until a build has another one.
        """
        due = self.key if self.due else ""
        if skipped or outcome != "done" or not self.key:
            due = self.settings.get(seed.DUE, "")
        return {seed.DUE: due} if due else {}

    def _make(self, plan: BuildPlan, endpoint: Endpoint, on_event: OnEvent) -> bool:
        self.done = make_dependency_layer(plan, endpoint, on_event)
        if self.done is None:
            self._say(
                "the dependency layer could not be made; a lost cache mount will cost minutes"
            )
        return self.done is not None
