package cmd

import (
	"fmt"
	"strings"
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

// content is what a command finds on a device.
type content int

const (
	sound      content = iota
	invalid            // marked invalid
	damaged            // a store with faults
	blank              // all zero where header and area 0 would be
	foreign            // no store
	unreadable         // an I/O error, or no such device
)

// exits is what each command exits with, by what it finds.
var exits = map[string][unreadable + 1]status{
	"dump":  reading,
	"usage": reading,
}

// reading holds for the commands that show what there is.
var reading = [unreadable + 1]status{
	sound:      statusOK,
	invalid:    statusInvalid,
	damaged:    statusDamaged,
	blank:      statusOK,
	foreign:    statusDamaged,
	unreadable: statusFailed,
}
