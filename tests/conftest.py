"""For all tests: what a loaded machine must not turn into a failure."""

from hypothesis import settings

# Time limits of single examples fail at random where cargo compiles beside us.
settings.register_profile("rebake", deadline=None)
settings.load_profile("rebake")
