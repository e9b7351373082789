# shellcheck shell=bash
# Completion of rebake's tasks, flags and services for bash; also for invoke, in a rebake project.
#     eval "$(rebake completion bash)"

_rebake_complete() {
    local program=rebake partial=$2 found candidate
    [ "$partial" = "=" ] && partial= # bash takes --flag=value apart
    # The rebake that stands beside the program that was typed; else the one on PATH.
    case $1 in
        */*) [ -x "${1%/*}/rebake" ] && program=${1%/*}/rebake ;;
    esac
    COMPREPLY=()
    if ! found=$("$program" __complete "$1" "cur=$partial" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null); then
        found=$("$1" --complete -- "${COMP_WORDS[*]}" 2>/dev/null) # another project's tasks
    fi
    while IFS=$'\t' read -r candidate _; do
        case $candidate in
            "") ;;
            "$partial"*) COMPREPLY+=("$candidate") ;;
        esac
    done <<<"$found"
}

# -o default: file names, where there is nothing else to name.
complete -o default -F _rebake_complete rebake invoke inv
