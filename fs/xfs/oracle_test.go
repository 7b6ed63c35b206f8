package xfs_test

import (
	"testing"

	"dmcow/fs/xfs"
)

func compareStat(t *testing.T, f *xfs.FS, image string)   {}
func compareOwners(t *testing.T, f *xfs.FS, image string) {}
func compareLayout(t *testing.T, f *xfs.FS)               {}
