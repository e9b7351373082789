#!/bin/sh
# Measures builds: a shim over `invoke benchmark`.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
exec python3 scripts/shim.py scripts/benchmark-builds.sh "$@"
