"""For all tests: what a loaded machine must not turn into a failure, and a quick start."""

import gc
import os
import signal

# Each worker collects all tests. Nothing of that is garbage: looking for some took a third of it.
gc.disable()
# trio, which selenium brings along, has a plugin that nothing here uses.
os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")
# Of each repository that a program makes, a third of the files would be examples of hooks.
os.environ.setdefault("GIT_TEMPLATE_DIR", "")

from hypothesis import settings  # noqa: E402 - reads the variable

# Time limits of single examples fail at random where cargo compiles beside us.
settings.register_profile("rebake", deadline=None)
settings.load_profile("rebake")

# A shell that starts us in the background has Ctrl-C ignored, and so would all that we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Look for garbage again, but among what the tests make alone."""
    gc.freeze()
    gc.enable()
