"""Room `tasks`: the Invoke tasks, one file a noun."""
