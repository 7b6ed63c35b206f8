# dmcow(8): completion for bash.

# The volumes of LVM that dmcow sees: where --pv on the line says, or on all devices.
_dmcow_names() {
	local i pv=() names
	for ((i = 1; i < COMP_CWORD - 1; i++)); do
		if [[ ${COMP_WORDS[i]} == --pv && ${COMP_WORDS[i + 1]} == = ]]; then
			pv+=(--pv "${COMP_WORDS[i + 2]/#\~/$HOME}")
		elif [[ ${COMP_WORDS[i]} == --pv ]]; then
			pv+=(--pv "${COMP_WORDS[i + 1]/#\~/$HOME}")
		fi
	done
	mapfile -t names < <(dmcow list --output csv "${pv[@]}" 2>/dev/null </dev/null | tail -n +2 | cut -d, -f1,4 | tr , '\n' | grep '^[^/"]*/' | sort -u)
	_dmcow_words "${names[@]}"
}

_dmcow_words() {
	local IFS=$'\n' found
	mapfile -t found < <(compgen -W "$*" -- "$cur")
	COMPREPLY+=("${found[@]}")
}

_dmcow_files() {
	local found
	compopt -o filenames 2>/dev/null
	mapfile -t found < <(compgen "$1" -- "$cur")
	COMPREPLY+=("${found[@]}")
}

_dmcow_stores() {
	_dmcow_files -f
	_dmcow_names
}

_dmcow() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= i at=0
	COMPREPLY=()
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		{patterns}) command=${COMP_WORDS[i]} && break ;;
		esac
	done
	# What a flag takes.
	case $command:$prev in
{values}
	*) at=-1 ;;
	esac
	((at < 0)) || return 0
	if [[ -z $command ]]; then
		_dmcow_words {commands} {global}
	elif [[ $command == help ]]; then
		_dmcow_words {commands}
	elif [[ $cur == -* ]]; then
		case $command in
{flags}
		esac
	else
		_dmcow_argument
	fi
}

# An argument: what it is hangs on how many stand before it.
_dmcow_argument() {
	local at=0 word before=
	for word in "${COMP_WORDS[@]:i + 1:COMP_CWORD - i - 1}"; do
		if [[ $word != -* && $word != = && $before != = ]] && ! _dmcow_takes "$before"; then
			((at++))
		fi
		before=$word
	done
	case $command:$at in
{arguments}
	esac
	return 0
}

# Whether a word is a flag that takes a value.
_dmcow_takes() {
	case $command:$1 in
	{valued}) return 0 ;;
	esac
	return 1
}

complete -F _dmcow dmcow
