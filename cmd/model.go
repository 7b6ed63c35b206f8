package cmd

import (
	"io"

	"github.com/alecthomas/kong"
)

// What pages of the manual and completions are made from (internal/manual).

// Model is the command line.
func Model() *kong.Application { return newParser(&cli{}, nil, io.Discard, io.Discard).Model }

// ExitStatus is an exit status of dmcow, one of a sum.
type ExitStatus struct {
	Status int
	Means  string
}

// ExitStatuses are all that there are.
func ExitStatuses() (all []ExitStatus) {
	for _, s := range statuses {
		all = append(all, ExitStatus{int(s.status), s.means})
	}
	return all
}

// Outcomes are what a command exits with, by what it finds on a device.
func Outcomes(command string) []ExitStatus {
	o := exits[command]
	return []ExitStatus{
		{int(o.sound), "the store is sound"},
		{int(o.invalid), "the snapshot is marked invalid"},
		{int(o.damaged), "the store is damaged"},
		{int(o.blank), "the device is blank: zeros where a store has its header and first area"},
		{int(o.foreign), "the device holds something else"},
		{int(o.unreadable), "the device cannot be read"},
	}
}
