#compdef rebake invoke inv
# Completion of rebake's tasks, flags and services for zsh; also for invoke, in a rebake project.
#     eval "$(rebake completion zsh)"

_rebake() {
    local program=rebake found line
    local -a described
    # The rebake that stands beside the program that was typed; else the one on PATH.
    [[ $words[1] == */* && -x ${words[1]:h}/rebake ]] && program=${words[1]:h}/rebake
    if ! found=$($program __complete "$words[1]" "cur=$PREFIX" "${(@)words[2,CURRENT-1]}" 2>/dev/null); then
        found=$($words[1] --complete -- "${(j: :)words}" 2>/dev/null) # another project's tasks
    fi
    for line in ${(f)found}; do
        # The word and what it means, parted by a colon.
        case $line in
            *$'\t'?*) described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
            *) described+=("${${line%%$'\t'*}//:/\\:}") ;;
        esac
    done
    if (( $#described )); then
        _describe -t rebake 'rebake' described
    else
        _files
    fi
}

if [[ $funcstack[1] == _rebake ]]; then
    _rebake "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _rebake rebake invoke inv
fi
