#!/bin/sh
# Shows and removes caches: a shim over `invoke refresh-cache`.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
exec python3 scripts/shim.py scripts/refresh-cache.sh "$@"
