package cmd

import (
	"fmt"
	"strings"
)

// status is an exit status: a sum of bits, as in fsck(8).
type status int

const (
	statusOK          status = 0
	statusMended      status = 1
	statusInvalid     status = 2
	statusDamaged     status = 4
	statusFailed      status = 8
	statusWrongUse    status = 16
	statusInterrupted status = 32
	statusReached     status = 64
)

// statuses is what the help and the README say of them.
var statuses = []struct {
	status
	means string
}{
	{statusOK, "sound, or done"},
	{statusMended, "errors were found and repaired"},
	{statusInvalid, "the store is sound, but the snapshot is marked invalid"},
	{statusDamaged, "errors are left"},
	{statusFailed, "dmcow could not do it: I/O error, device in use, no room, refused"},
	{statusWrongUse, "usage error"},
	{statusInterrupted, "interrupted; can be resumed"},
	{statusReached, "what watch --until waits for has come"},
}

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

// exits has the outcomes of every command, as the design's table has them.
var exits = map[string]outcomes{
	//             sound invalid damaged blank foreign unreadable
	"dump":       {0, 2, 4, 0, 4, 8},
	"usage":      {0, 2, 4, 0, 4, 8},
	"list":       {0, 2, 4, 0, 4, 8},
	"watch":      {0, 2, 4, 0, 4, 8}, // with --once
	"check":      {0, 2, 4, 0, 4, 8},
	"initialize": {8, 8, 8, 0, 8, 8}, // without --force
	"create":     {8, 8, 8, 0, 8, 8},
	"invalidate": {0, 0, 4, 8, 4, 8}, // damaged is the header's: it does not look at the list
	"revalidate": {0, 0, 4, 8, 4, 8}, // invalid once its flag is given
	"merge":      {0, 8, 4, 8, 8, 8},
	"merge-step": {0, 8, 4, 8, 8, 8},
	"receive":    {0, 8, 4, 8, 8, 8}, // damaged where the target is not what it must be
	"repair":     {0, 0, 4, 0, 4, 8}, // what is mended does not count
	"export":     {0, 8, 4, 8, 8, 8}, // invalid without its flag
	"diff":       {0, 8, 4, 8, 8, 8},
	"send":       {0, 8, 4, 8, 8, 8},
	"mount":      {0, 8, 4, 8, 8, 8},
	"files":      {0, 8, 4, 8, 8, 8},
	"ls":         {0, 8, 4, 8, 8, 8},
	"get":        {0, 8, 4, 8, 8, 8},
}
