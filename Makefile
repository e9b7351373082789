# The tasks as targets of make: `make dev`, `make build ARGS="api worker"`. Each one is the task or
# the session of its name, started by scripts/bootstrap.py, which sets up what is missing first.

PYTHON ?= python3
ARGS ?=

TASKS := dev prod up down ps logs build rebuild warm-cache refresh-cache why history report \
	benchmark workflow-test doctor config engine base-images
SESSIONS := test lint e2e

.DEFAULT_GOAL := help
.PHONY: help $(TASKS) $(SESSIONS)
# Tasks share caches and ports: `make -j` does not run them side by side.
.NOTPARALLEL:

help:
	@echo 'usage: make TARGET [ARGS="words and flags of the task"]'
	@echo 'tasks:    $(TASKS)'
	@echo 'sessions: $(SESSIONS)'
	@echo 'What each one does: invoke --list, and invoke --help TASK for its flags'

$(TASKS) $(SESSIONS):
	@$(PYTHON) scripts/bootstrap.py $@ $(ARGS)
