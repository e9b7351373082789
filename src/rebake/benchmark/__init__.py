"""Room `benchmark`: rebake's builds beside the usual recipes and beside the machine's own floor."""
