package dump

import (
	"fmt"
	"strings"

	"dmcow/format"
)

// Script is a script that shows a snapshot, read-only, and takes it down again, on a system that has losetup and
// dmsetup, and no FUSE.
type Script struct {
	Device string   // the COW device as people name it, on one line
	Name   string   // of the device that is made: letters, digits and dashes
	Files  []string // images: the first is $loop1 in the tables
	// Volumes are devices to be made first: $name-cow and $name-origin in the tables.
	Volumes         []ScriptVolume
	Origin, COW     string // as the table names them
	Snapshot, Chunk format.Sectors
}

// ScriptVolume is a device of a script that a snapshot is made of.
type ScriptVolume struct {
	Suffix string // of its name
	Table  string
}

const scriptHead = `#!/bin/sh
# %s: shows the snapshot, read-only, as /dev/mapper/%s (made by dmcow usage --table --script).
# Nothing is written to the COW device, or to the origin. Run as root, with "up" or "down".
set -eu
name=%[2]s
state=${TMPDIR:-/run}/$name.loops # the loop devices that "down" detaches

loop() {
	loop=$(losetup -f)
	losetup -r "$loop" "$1"
	echo "$loop" >>"$state"
}

up() {
	if [ -e "$state" ] || dmsetup info "$name" >/dev/null 2>&1; then
		echo "$0: $name is up, or some of it: first $0 down" >&2
		exit 1
	fi
	: >"$state"
`

const scriptTail = `	echo "/dev/mapper/$name"
}

down() {
	for device in "$name" "$name-cow" "$name-origin"; do
		if dmsetup info "$device" >/dev/null 2>&1; then
			dmsetup remove "$device"
		fi
	done
	if [ -e "$state" ]; then
		while read -r loop; do
			losetup -d "$loop"
		done <"$state"
		rm "$state"
	fi
}

case ${1:-} in
up) up ;;
down) down ;;
*)
	echo "usage: $0 up|down" >&2
	exit 2
	;;
esac
`

// String is the script.
func (s Script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, scriptHead, s.Device, s.Name)
	for i, file := range s.Files {
		fmt.Fprintf(&b, "\tloop %s\n\tloop%d=$loop\n", shellQuote(file), i+1)
	}
	for _, v := range s.Volumes {
		create(&b, "$name-"+v.Suffix, v.Table)
	}
	create(&b, "$name", fmt.Sprintf("0 %d snapshot %s %s P %d\n", s.Snapshot, s.Origin, s.COW, s.Chunk))
	return b.String() + scriptTail
}

func create(b *strings.Builder, name, table string) {
	fmt.Fprintf(b, "\tdmsetup create --readonly \"%s\" <<END\n%sEND\n", name, table)
}

// shellQuote is a text, whatever is in it, as a word of a shell's.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
