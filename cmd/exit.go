package cmd

import (
	"fmt"
	"strings"

	"dmcow/store"
)

// status is an exit status: a sum of bits, as that of fsck(8).
type status int

const (
	statusOK          status = 0
	statusMended      status = 1
	statusInvalid     status = 2
	statusDamaged     status = 4
	statusFailed      status = 8
	statusWrongUse    status = 16
	statusInterrupted status = 32
)

// statuses is what the help and the README say of them.
var statuses = []struct {
	status
	means string
}{
	{statusOK, "sound, or done"},
	{statusMended, "faults were found and mended"},
	{statusInvalid, "the store is sound, but the snapshot is marked invalid"},
	{statusDamaged, "faults are left"},
	{statusFailed, "dmcow could not do it: I/O error, device in use, no room, refused"},
	{statusWrongUse, "wrong use"},
	{statusInterrupted, "interrupted; can be resumed"},
}

// statusTable is the table of exit statuses, for the help.
func statusTable() string {
	var b strings.Builder
	for _, s := range statuses {
		fmt.Fprintf(&b, "  %2d  %s\n", s.status, s.means)
	}
	return b.String()
}

// outcomes is what a command exits with, by what it finds on a device.
type outcomes struct {
	sound, invalid, damaged, blank, foreign, unreadable status
}

// exits has the outcomes of every command.
var exits = map[string]outcomes{
	"dump":       reading,
	"usage":      reading,
	"check":      reading,
	"list":       reading,
	"initialize": making,
	"create":     making,
	"merge":      merges,
	"merge-step": merges,
	"export":     views,
	"diff":       views,
	"mount":      views,
	"repair": {
		sound:      statusOK,
		invalid:    statusOK,
		damaged:    statusDamaged, // what is mended does not count
		blank:      statusOK,
		foreign:    statusDamaged,
		unreadable: statusFailed,
	},
	"revalidate": {
		sound:      statusOK,
		invalid:    statusOK, // once its flag is given
		damaged:    statusDamaged,
		blank:      statusFailed,
		foreign:    statusDamaged,
		unreadable: statusFailed,
	},
	"invalidate": {
		sound:      statusOK,
		invalid:    statusOK,
		damaged:    statusDamaged, // of the header; it does not look at the list
		blank:      statusFailed,
		foreign:    statusDamaged,
		unreadable: statusFailed,
	},
}

// making holds for the commands that make a store where there is none.
var making = outcomes{
	sound:      statusFailed,
	invalid:    statusFailed,
	damaged:    statusFailed,
	blank:      statusOK,
	foreign:    statusFailed,
	unreadable: statusFailed,
}

// merges holds for the commands that merge.
var merges = outcomes{
	sound:      statusOK,
	invalid:    statusFailed,
	damaged:    statusDamaged,
	blank:      statusFailed,
	foreign:    statusFailed,
	unreadable: statusFailed,
}

// views holds for the commands that show what the snapshot held.
var views = outcomes{
	sound:      statusOK,
	invalid:    statusFailed, // without its flag
	damaged:    statusDamaged,
	blank:      statusFailed,
	foreign:    statusFailed,
	unreadable: statusFailed,
}

// reading holds for the commands that show what there is.
var reading = outcomes{
	sound:      statusOK,
	invalid:    statusInvalid,
	damaged:    statusDamaged,
	blank:      statusOK,
	foreign:    statusDamaged,
	unreadable: statusFailed,
}

// of is the outcome for a device in the given state.
func (o outcomes) of(s store.State) status {
	switch s {
	case store.Valid:
		return o.sound
	case store.Invalid:
		return o.invalid
	case store.Uninitialized:
		return o.blank
	case store.Foreign:
		return o.foreign
	}
	return o.damaged
}
