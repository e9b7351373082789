#!/bin/sh
# Times a cold build, a rebuild after an edit, and /healthz of the running stack: a shim over
# `invoke workflow-test`. Exit code 1 when a step takes longer than its limit. Seconds:
: "${COLD_MAX_S:=300}"   # the cold build
: "${HOT_MAX_S:=30}"     # the rebuild after an edit of one line
: "${HEALTH_MAX_S:=60}"  # from the start of the stack until every /healthz answers
export COLD_MAX_S HOT_MAX_S HEALTH_MAX_S
set -eu

case "${1:-}" in
-h | --help)
    echo "usage: [COLD_MAX_S=300] [HOT_MAX_S=30] [HEALTH_MAX_S=60] $0 [--json]"
    echo "The same as: invoke workflow-test"
    exit 0
    ;;
esac
CDPATH='' cd -- "$(dirname -- "$0")/.."
if [ -x .venv/bin/invoke ]; then
    exec .venv/bin/invoke workflow-test "$@"
fi
exec python3 scripts/bootstrap.py workflow-test "$@"
