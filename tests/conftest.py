"""For all tests: what a loaded machine must not turn into a failure."""

import signal

from hypothesis import settings

# Time limits of single examples fail at random where cargo compiles beside us.
settings.register_profile("rebake", deadline=None)
settings.load_profile("rebake")

# A shell that starts us in the background has Ctrl-C ignored, and so would all that we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
