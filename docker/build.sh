#!/bin/sh
# Builds and runs this project: a shim over `invoke dev`, `prod`, `build`, `rebuild` and
# `refresh-cache`; --help says which flag is which. What it stands for is in scripts/shim.py.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
exec python3 scripts/shim.py docker/build.sh "$@"
