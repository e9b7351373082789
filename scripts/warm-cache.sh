#!/bin/sh
# Fills the caches beforehand: a shim over `invoke warm-cache`.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
exec python3 scripts/shim.py scripts/warm-cache.sh "$@"
