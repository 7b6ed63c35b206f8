package kernellab

import (
	"fmt"
	"testing"
	"time"
)

// A Snapshot is a snapshot that the kernel serves: writes to Origin copy what
// they replace to the COW device first, and View shows what was there before.
type Snapshot struct {
	View   *Device // the snapshot target
	Origin *Device // the snapshot-origin target
}

// NewSnapshot loads the store on the block device cow as a snapshot of the
// block device origin. The type is "P" or, to let writes to the snapshot fail
// without losing it, "PO"; chunk is the table's chunk size in sectors, which
// matters only where the kernel finds no store and makes one.
func NewSnapshot(t testing.TB, origin, cow, typ string, chunk uint64) *Snapshot {
	t.Helper()
	s, err := TrySnapshot(t, origin, cow, typ, chunk)
	Must(t, err)
	return s
}

// TrySnapshot is NewSnapshot for a store that the kernel may refuse.
func TrySnapshot(t testing.TB, origin, cow, typ string, chunk uint64) (*Snapshot, error) {
	t.Helper()
	sectors := Size(t, origin)
	view, err := TryCreate(t, "snap", fmt.Sprintf("0 %d snapshot %s %s %s %d", sectors, origin, cow, typ, chunk), false)
	if err != nil {
		return nil, err
	}
	return &Snapshot{
		View:   view,
		Origin: Create(t, "origin", fmt.Sprintf("0 %d snapshot-origin %s", sectors, origin), false),
	}, nil
}

// Down removes the snapshot and its origin's target, and with that has the
// kernel write all that it still has to.
func (s *Snapshot) Down(t testing.TB) {
	t.Helper()
	s.View.Remove(t)
	s.Origin.Remove(t)
}

// Merge has the kernel merge the store on cow into origin, as NewSnapshot takes
// them, and waits for it as Merged does.
func Merge(t testing.TB, origin, cow, typ string, chunk uint64, enough func(allocated uint64) bool) (first, last string) {
	t.Helper()
	table := fmt.Sprintf("0 %d snapshot-merge %s %s %s %d", Size(t, origin), origin, cow, typ, chunk)
	return Create(t, "merging", table, false).Merged(t, enough)
}

// Merged waits until the device, a snapshot-merge target, has merged all or can merge
// no more, and removes it. After each look at the merge's status it asks enough, with
// the sectors that are still allocated, whether to stop there; nil stands for never.
// It returns the first and the last status that it saw.
func (d *Device) Merged(t testing.TB, enough func(allocated uint64) bool) (first, last string) {
	t.Helper()
	for {
		last = d.Status(t)
		if first == "" {
			first = last
		}
		var allocated, total, metadata uint64
		if _, err := fmt.Sscanf(last, "%d/%d %d", &allocated, &total, &metadata); err != nil {
			break // "Invalid", "Merge failed"
		}
		if allocated == metadata || enough != nil && enough(allocated) {
			break
		}
		time.Sleep(time.Millisecond) // the kernel has one processor, and it is to merge
	}
	d.Remove(t) // a merge that is under way ends its step first
	return first, last
}
