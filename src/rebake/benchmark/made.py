"""What a benchmark makes in the engine, and how all of it goes away again.

Everything has the run's name in it: images, containers and volumes by name or label, cache mounts
by id. Layers have no name: those are ours that were not there before one of our builds and were
there after it. Only records on that list are removed, one by one; nothing is ever pruned.
The list is written down as it grows, so that the next run can clear up after one that was killed.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from msgspec import Struct, field

from rebake.engine import build_cache, private
from rebake.engine.build_cache import CacheRecord
from rebake.engine.endpoint import Endpoint
from rebake.engine.home import Home
from rebake.engine.sweep_tool import MARKER
from rebake.errors import Interrupted, RebakeError
from rebake.process import run

LABEL_RUN = "dev.rebake.benchmark"
_LIST = "made.json"
_TIMEOUT_S = 300.0
_PATIENCE_S = 30.0
_IN_USE_S = 120.0  # a machine that has other work to do takes its time to let go
_STILL_WRITES_S = 5.0
_LOOK_S = 0.5
_CALM_LOOKS = 2
_MORE_LOOKS = 3

Say = Callable[[str], None]


def steps_of(dockerfile: str) -> set[tuple[str, str]]:
    """Return each step of a Dockerfile that leaves a record, as instruction and last word."""
    found = set()
    for line in re.sub(r"\\\n", " ", dockerfile).splitlines():
        words = line.split()
        if words and words[0].upper() in {"RUN", "COPY", "ADD", "WORKDIR"}:
            found.add((words[0].upper(), words[-1]))
    return found


def could_be_of(description: str, steps: set[tuple[str, str]]) -> bool:
    """Whether a record's description can be of one of these steps, or of a copied context.

    BuildKit writes `[stage 2/3] COPY . .`, `mount / from exec /bin/sh -c cargo build` and
    `local source for context`.
    """
    if description.startswith("local source for"):
        return True
    words = description.split()
    if not words:
        return False
    if " from exec " in description:
        # A cache mount's id follows the command.
        command = description.partition(' with id "')[0].split()
        return any(kind == "RUN" and last == command[-1] for kind, last in steps)
    text = description.partition("] ")[2].split() if description.startswith("[") else words
    return bool(text) and any((text[0].upper(), text[-1]) == step for step in steps)


class Made(Struct):
    """What one run has made so far.

    Attributes:
        run: the run's name, which is in every other name.
        folder: its files.
        records: the cache records that came with its builds.
        steps: the steps of the Dockerfiles that are built.
    """

    run: str
    folder: Path
    endpoint: Endpoint
    records: set[str] = field(default_factory=set)
    steps: set[tuple[str, str]] = field(default_factory=set)

    def will_build(self, dockerfile: str) -> None:
        """Note the steps of a Dockerfile: only records that can be of such a step are ours."""
        self.steps |= steps_of(dockerfile)

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Put down the cache records that come while the block runs."""
        # Our own engine has this machine's clock: then its list, which may take it a second, need
        # not be asked for before the build too.
        own = self.endpoint.kind == "private"
        since = time.time() if own else 0.0
        before = frozenset() if own else frozenset(self.cache())

        def came() -> list[CacheRecord]:
            found = self.cache().values()
            return [r for r in found if r.id not in before and r.created_at >= since]

        try:
            yield
        except Interrupted:
            self._wait_for_the_builder(came)
            raise
        finally:
            new = {r.id for r in came() if could_be_of(r.description, self.steps)}
            if not new <= self.records:
                self.records |= new
                self.write()

    def _wait_for_the_builder(self, came: Callable[[], list[CacheRecord]]) -> None:
        """Wait until a build that was broken off has come to rest in the engine.

        The client ends at once; an export that had begun goes on, and names its image afterwards.
        What it works on is in use for as long.
        """
        limit = time.monotonic() + _PATIENCE_S
        calm = 0
        last: set[str] = set()
        while calm < _CALM_LOOKS and time.monotonic() < limit:
            now = came()
            busy = any(record.in_use for record in now)
            ids = {record.id for record in now}
            calm = 0 if busy or ids != last else calm + 1
            last = ids
            time.sleep(_LOOK_S)

    def cache(self) -> dict[str, CacheRecord]:
        """All records of the builder's cache, by id; none where the engine can't be asked."""
        return {record.id: record for record in build_cache.records(self.endpoint) or ()}

    def write(self) -> None:
        """Write the list down."""
        file = self.folder / _LIST
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(sorted(self.records)), encoding="utf-8")
        temporary.replace(file)

    def remove_mounts(self, prefix: str) -> int:
        """Remove the cache mounts whose id begins so; return how many there were.

        Raises:
            ValueError: the prefix is not this run's.
        """
        if self.run not in prefix:
            raise ValueError(prefix)
        found = [r.id for r in self.cache().values() if r.mount_id.startswith(prefix)]
        build_cache.remove(self.endpoint, found)
        return len(found)

    def empty_mounts(self, prefix: str, image: str) -> None:
        """Empty the cache mounts whose id begins so; the layers stay as they are.

        Raises:
            ValueError: the prefix is not this run's.
        """
        if self.run not in prefix:
            raise ValueError(prefix)
        found = [r.mount_id for r in self.cache().values() if r.mount_id.startswith(prefix)]
        build_cache.empty(self.endpoint, sorted(set(found)), image)

    def remove_images(self, prefix: str) -> int:
        """Remove the images whose name begins so; return how many there were."""
        if self.run not in prefix:
            raise ValueError(prefix)
        words = ("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
        listed = run(self.endpoint.command(*words, timeout_s=_TIMEOUT_S)).stdout.split()
        names = [name for name in listed if name.startswith(prefix)]
        if names:
            run(self.endpoint.command("image", "rm", "--force", *names, timeout_s=_TIMEOUT_S))
        return len(names)

    def remove_image_id(self, image: str) -> None:
        """Remove an image that has lost its name to a newer one; leave it where it is in use."""
        run(self.endpoint.command("image", "rm", image, timeout_s=_TIMEOUT_S))

    def remove_all(self, say: Say) -> None:
        """Remove everything of this run from the engine, then its files."""
        self._remove_by_label(("ps", "--all", "--quiet"), ("rm", "--force", "--volumes"))
        self._remove_by_label(("volume", "ls", "--quiet"), ("volume", "rm", "--force"))
        for marker in self.folder.glob(f"engine-*/{MARKER}"):
            private.remove(Home.at(marker.parent), say=say)
        self._remove_stacks()
        self.remove_images(self.run)
        left = self._remove_records()
        # A build that was broken off may have named its images meanwhile.
        for _ in range(_MORE_LOOKS):
            if not self.remove_images(self.run):
                break
        if any(record.in_use for record in left):
            say(f"{len(left)} cache records are still in use: the next benchmark removes them")
            self.records = {record.id for record in left}
            for path in self.folder.iterdir():
                if path.name != _LIST:
                    shutil.rmtree(path, ignore_errors=True)
            self.write()
            return
        if left:  # such as a package that every Dockerfile installs in the same way
            say(f"{len(left)} layers stay: what other builds have made stands on them")
        self._remove_folder(say)

    def _remove_folder(self, say: Say) -> None:
        """Remove the files; what has just been stopped may still write one."""
        limit = time.monotonic() + _STILL_WRITES_S
        while True:
            try:
                shutil.rmtree(self.folder)
            except FileNotFoundError:
                return
            except OSError as error:
                if time.monotonic() > limit:
                    say(f"{self.folder} could not be removed, the next benchmark will: {error}")
                    return
                time.sleep(_LOOK_S)
            else:
                return

    def _remove_records(self) -> list[CacheRecord]:
        """Remove our cache records; return those that stayed.

        A layer can go only after the ones that stand on it, and a build that was broken off holds
        its own for some seconds more.
        """
        limit = time.monotonic() + _IN_USE_S
        while True:
            ours = [record for record in self.cache().values() if self._is_ours(record)]
            if not ours:
                return []
            build_cache.remove(self.endpoint, [record.id for record in ours])
            rest = [record for record in self.cache().values() if self._is_ours(record)]
            if rest and len(rest) < len(ours):
                continue
            if not any(record.in_use for record in rest) or time.monotonic() > limit:
                return rest
            time.sleep(1.0)

    def _is_ours(self, record: CacheRecord) -> bool:
        return record.id in self.records or self.run in record.mount_id

    def _remove_stacks(self) -> None:
        """Remove what Compose made for a project of this run, should it have been broken off."""
        label = '{{.ID}} {{.Label "com.docker.compose.project"}}'
        name = '{{.Name}} {{.Label "com.docker.compose.project"}}'
        for listing, removing in (
            (("ps", "--all", "--format", label), ("rm", "--force", "--volumes")),
            (("volume", "ls", "--format", name), ("volume", "rm", "--force")),
            (("network", "ls", "--format", label), ("network", "rm")),
        ):
            listed = run(self.endpoint.command(*listing, timeout_s=_TIMEOUT_S)).stdout
            pairs = [line.partition(" ")[::2] for line in listed.splitlines()]
            ours = [one for one, project in pairs if project.startswith(f"{self.run}-")]
            if ours:
                run(self.endpoint.command(*removing, *ours, timeout_s=_TIMEOUT_S))

    def _remove_by_label(self, listing: tuple[str, ...], removing: tuple[str, ...]) -> None:
        words = (*listing, "--filter", f"label={LABEL_RUN}={self.run}")
        found = run(self.endpoint.command(*words, timeout_s=_TIMEOUT_S)).stdout.split()
        if found:
            run(self.endpoint.command(*removing, *found, timeout_s=_TIMEOUT_S))


@contextlib.contextmanager
def workplace(home: Path, run_name: str, endpoint: Endpoint, say: Say) -> Iterator[Made]:
    """Make a run's folder, and remove all that the run made at its end, whatever happens.

    First, what an earlier run left that was killed is removed too.
    """
    home.mkdir(parents=True, exist_ok=True)
    clear_left_overs(home, endpoint, say)
    folder = home / run_name
    lock = FileLock(home / f"{run_name}.lock")
    with lock:
        folder.mkdir()
        made = Made(run_name, folder, endpoint)
        made.write()
        try:
            yield made
        finally:
            say("removing what the benchmark made")
            try:
                made.remove_all(say)
            except RebakeError as error:
                say(f"not all of it could be removed, the next benchmark will: {error.what}")
            if not folder.exists():
                (home / f"{run_name}.lock").unlink(missing_ok=True)


def clear_left_overs(home: Path, endpoint: Endpoint, say: Say) -> None:
    """Remove what runs have left whose process is gone: their lock is free."""
    for folder in sorted(path for path in home.iterdir() if path.is_dir()):
        lock = home / f"{folder.name}.lock"
        with contextlib.suppress(Timeout, RebakeError), FileLock(lock, timeout=0):
            try:
                records = set(json.loads((folder / _LIST).read_text(encoding="utf-8")))
            except (OSError, ValueError):
                records = set()
            say(f"removing what the benchmark {folder.name} left")
            Made(folder.name, folder, endpoint, records).remove_all(say)
            lock.unlink(missing_ok=True)
