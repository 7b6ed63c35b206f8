# Types a command line into a zsh on a terminal of its own, asks it to complete that, and prints what it then shows,
# up to a given word. Arguments: the directory of _dmcow, the line, and the word.
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1='ready''> '; unset zle_bracketed_paste; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; setopt no_beep no_always_last_prompt; LISTMAX=1000; stty cols 400 rows 400"
zpty -r z seen '*ready> *'
zpty -w -n z "$2"$'\t\t'
zpty -r z seen "*$3*"
print -r -- $seen
zpty -d z
