"""Room `config`: rebake.toml as typed values, each of which knows where it came from."""
