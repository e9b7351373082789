"""Room `completion`: what can stand at the cursor of a command line, and the shells' scripts."""
