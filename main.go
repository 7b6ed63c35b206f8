// Dmcow reads the copy-on-write stores of device-mapper persistent snapshots,
// without the kernel.
//
// SPDX-License-Identifier: GPL-2.0-or-later
package main

import (
	"os"

	"dmcow/cmd"
)

func main() {
	os.Exit(cmd.Main(os.Args[1:], os.Stdout, os.Stderr))
}
