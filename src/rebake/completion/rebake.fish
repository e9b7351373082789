# Completion of rebake's tasks, flags and services for fish; also for invoke, in a rebake project.
#     rebake completion fish | source

function __rebake_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l typed $before[1]
    set -e before[1]
    set -l program rebake
    # The rebake that stands beside the program that was typed; else the one on PATH.
    if string match -q '*/*' -- $typed
        set -l beside (string replace -r '[^/]*$' rebake -- $typed)
        test -x $beside; and set program $beside
    end
    set -l found ($program __complete $typed "cur=$current" $before 2>/dev/null)
    if test $status -ne 0
        set found ($typed --complete -- "$typed $before $current" 2>/dev/null) # another project's tasks
    end
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path $current
    end
end

for program in rebake invoke inv
    complete --command $program --no-files --arguments '(__rebake_complete)'
end
