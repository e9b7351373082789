"""For all tests: what a loaded machine must not turn into a failure, and a quick start."""

import gc
import os
import signal
import sys
from pathlib import Path

import pytest

# Each worker collects all tests. Nothing of that is garbage: looking for some took a third of it.
gc.disable()
# trio, which selenium brings along, has a plugin that nothing here uses.
os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")
# Of each repository that a program makes, a third of the files would be examples of hooks.
os.environ.setdefault("GIT_TEMPLATE_DIR", "")
# No test leaves anything behind that goes on after it; those of `upkeep` say otherwise.
os.environ.setdefault("REBAKE_BUILD_UPKEEP", "foreground")

from hypothesis import settings  # noqa: E402 - reads the variable

# Time limits of single examples fail at random where cargo compiles beside us.
settings.register_profile("rebake", deadline=None)
settings.load_profile("rebake")

# A shell that starts us in the background has Ctrl-C ignored, and so would all that we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


MEMORY = Path("/dev/shm")
ENOUGH = 1 << 30  # bytes; the fast tests together make a third of it


def pytest_configure(config: pytest.Config) -> None:
    """Let the fast tests' many small files be in memory, where there is enough of it."""
    here = Path(__file__).parent
    asked = [Path(arg.partition("::")[0]).resolve() for arg in config.args]
    fast = all(path.is_relative_to(here) and path != here for path in asked) and not any(
        path.is_relative_to(here / "e2e") for path in asked
    )
    if fast and sys.platform == "linux" and os.access(MEMORY, os.W_OK | os.X_OK):
        state = os.statvfs(MEMORY)
        if not state.f_flag & os.ST_NOEXEC and state.f_bavail * state.f_frsize > ENOUGH:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_finish() -> None:
    """Look for garbage again, but among what the tests make alone."""
    gc.freeze()
    gc.enable()
