# Prints what bash completes the words of a command line with, the last of which is being typed.
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
complete -p dmcow | grep -q ' -F _dmcow ' || exit 1
_dmcow
printf '%s\n' "${COMPREPLY[@]}"
