// Package store is the kernel's persistent exception store in Go: what the
// kernel makes of a COW device on loading it, and how it accounts for its space.
//
// Function names in its comments are those of the Linux kernel's
// drivers/md/dm-snap-persistent.c, unless another file is named.
package store
