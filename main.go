// Dmcow reads the copy-on-write stores of device-mapper persistent snapshots,
// without the kernel.
//
// SPDX-License-Identifier: GPL-2.0-or-later
package main

import (
	"os"
	"runtime/debug"

	"dmcow/cmd"
)

func main() {
	// Large buffers are used again and again: there is little to collect, and a
	// rescue system has little memory.
	debug.SetGCPercent(50)
	os.Exit(cmd.Main(os.Args[1:], os.Stdout, os.Stderr))
}
