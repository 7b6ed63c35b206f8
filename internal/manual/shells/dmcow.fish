# dmcow(8): completion for fish.

# The volumes of LVM that dmcow sees: where --pv on the line says, or on all devices.
function __dmcow_names
    set -l words (commandline -opc)
    set -l pv
    for i in (seq (count $words))
        switch $words[$i]
            case --pv
                test $i -lt (count $words); and set -a pv --pv $words[(math $i + 1)]
            case '--pv=*'
                set -a pv $words[$i]
        end
    end
    dmcow list --output csv $pv 2>/dev/null </dev/null | tail -n +2 | cut -d, -f1,4 | tr , '\n' | grep '^[^/"]*/' | sort -u
end

function __dmcow_no_command
    not __fish_seen_subcommand_from {commands}
end

complete -c dmcow -f
complete -c dmcow -n __dmcow_no_command -a help -d 'Print the help of a command'
complete -c dmcow -n '__fish_seen_subcommand_from help' -a '{commands}'
{lines}
