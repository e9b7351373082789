"""Room `project`: what is in this repository."""
