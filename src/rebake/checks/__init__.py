"""The parts of `lint`, `test` and `e2e`: a pure plan, the tools they need, and their run."""
