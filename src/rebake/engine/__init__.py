"""Room `engine`: finding, running and talking to a Docker engine; base images."""
