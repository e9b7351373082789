"""Room `doctor`: what `invoke doctor` looks at, one module a check, and how it mends."""
