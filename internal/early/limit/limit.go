// Package limit ends the program where it may not have as many files open as it takes to begin. It
// imports no more than what the FUSE library's packages do, so that it is initialised before
// those (packages that are ready to be go by their path): one of them takes a pipe then, or panics.
package limit

import (
	"fmt"
	"os"
	"syscall"
)

// least is how many open files it takes: the Go runtime has a few of its own.
const least = 16

func init() {
	const failed = 8 // as package cmd has it
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < least {
		fmt.Fprintf(os.Stderr, "dmcow: needs %d open files, and is allowed %d (ulimit -n)\n", least, limit.Cur)
		os.Exit(failed)
	}
}
