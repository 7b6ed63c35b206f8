package snapshot

import (
	"bytes"
	"fmt"
	"testing"

	"dmcow/internal/storespec"
)

// over is a store whose chunks hold all of a disk, up to a byte; E is how many exceptions an area has.
func over(t *testing.T, disk []byte, sectors, end int) []byte {
	chunk := sectors * 512
	chunks, e := (end+chunk-1)/chunk, chunk/16
	store := storespec.MustCompile(t, fmt.Sprintf("device %d\nheader chunk=%d\nfill %d 0", (3+chunks+chunks/e)*sectors, sectors, chunks))
	for i := range chunks {
		copy(store[(2+i+i/e)*chunk:][:chunk], disk[i*chunk:])
	}
	return store
}

// TestMergeOverBearing: a merge is refused that changes a byte of what an origin bears, the label of a physical
// volume (bytes 512 to 1023) or its metadata (4096 to 1048575), and of no other byte.
func TestMergeOverBearing(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t)
	r.file("origin", disk)
	for _, sectors := range []int{1, 8, 4096} {
		for at, bears := range map[int]bool{-1: false, 0: false, 511: false, 512: true, 1023: true, 1024: false, 4095: false, 4096: true, 70000: true, 1<<20 - 1: true, 1 << 20: false} {
			changed := bytes.Clone(disk)
			if at >= 0 {
				changed[at]++
			}
			r.file("cow", over(t, changed, sectors, 1<<20+1))
			m, err := r.PlanMerge(into(func(m *MergeRequest) { m.DryRun, m.Force = true, true }))
			if err != nil {
				t.Fatal(err)
			}
			if m.Bears != "LVM2_member" || (m.Replaced == "LVM2_member") != bears || !bears && m.Replaced != "" {
				t.Errorf("chunks of %d sectors, byte %d: %q is replaced of %q", sectors, at, m.Replaced, m.Bears)
			}
			m.Close()
		}
	}
}

// TestBearingKept: an origin that bears something is one, if its snapshot bears the same in the same place.
func TestBearingKept(t *testing.T) {
	r := newRig(t)
	r.file("origin", partitioned())
	r.store("cow", "device 200\nheader chunk=1\nfill 20 100\ndata 9")
	if err := done2(r.Read(of("cow"))); err != nil {
		t.Error(err)
	}
	raid := make([]byte, originLength) // a superblock of md, 8 KiB before the end, and one at the beginning
	const at = originLength - 16*512
	super := []byte{0xfc, 0x4e, 0x2b, 0xa9, 1}
	copy(raid[at:], super)
	raid[at+144] = at / 512
	r.file("origin", raid)
	if err := done2(r.Read(of("cow"))); err != nil {
		t.Error(err)
	}
	moved := storespec.MustCompile(t, fmt.Sprintf("device 200\nheader chunk=1\nex 0 0 2\nex 1 %d 3", at/512))
	copy(moved[2*512:], super) // version 1.1, instead
	r.file("cow", moved)
	r.refused(done2(r.Read(of("cow"))), wanted{Damaged, "origin", "it holds linux_raid_member, which the snapshot does not", []Deed{AllowDamaged}})
}
