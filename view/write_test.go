package view

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store"
)

// sound makes sure that a check finds no error in a store, but for what a torn commit has left.
func (r *rig) sound(t rapid.TB) {
	t.Helper()
	report, err := check.Make(check.Options{Device: r.cow, Origin: format.Bytes(r.origin.Size()) / sector * sector})
	if err != nil {
		t.Fatal(err)
	}
	for _, tally := range report.Tallies {
		if tally.Severity == check.Error && tally.Rule != check.HiddenExceptions {
			t.Fatalf("%s: %s", tally.Name, tally.Findings[0].Message())
		}
	}
}

// goOn opens a view for writing that a cut may have left with what a torn commit leaves: of a
// write to the snapshot, whose data never was the origin's, so that it takes the user's word to
// clear it.
func (r *rig) goOn(t rapid.TB) *View {
	t.Helper()
	v, err := r.openToWrite()
	if errors.Is(err, ErrDamaged) {
		var s *store.Store
		if s, err = store.Open(r.cow, store.Options{HiddenVoid: true}); err != nil {
			t.Fatal(err)
		}
		p, perr := s.PrepareException(1 << 40) // which clears it
		if perr == nil {
			s.Withdraw([]store.Pending{p})
		} else if !errors.Is(perr, store.ErrNoRoom) {
			t.Fatal(perr)
		}
		v, err = r.openToWrite()
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// writeModel is what a view that is written to must be.
type writeModel struct {
	*rig
	v      *View
	now    []byte // what it reads as
	synced []byte // what it read as when it was last synced
	origin []byte
	loose  bool // something was written since
}

// TestWriteModel writes, reads, syncs and reopens at random, and compares with plain bytes.
func TestWriteModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunk := rapid.SampledFrom([]int{1, 2, 8}).Draw(t, "chunk")
		block := rapid.SampledFrom([]int64{512, int64(chunk) * sector}).Draw(t, "block")
		chunks := rapid.IntRange(1, 90).Draw(t, "chunks")
		short := rapid.IntRange(0, chunk*sector-1).Draw(t, "short")
		room := rapid.IntRange(2, 120).Draw(t, "room")
		size := max(sector, chunks*chunk*sector-short)
		image, err := storespec.Compile(fmt.Sprintf("device %d\nheader chunk=%d", room*chunk, chunk))
		if err != nil {
			t.Fatal(err)
		}
		r := rigOf(image, devicetest.Numbered(int64(size)))
		r.all.Block = block
		m := &writeModel{rig: r, origin: r.originImage()}
		m.now = bytes.Clone(m.origin[:size/sector*sector])
		m.synced = m.now
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){"": m.compare, "write": m.write, "sync": m.sync, "reopen": m.reopen})
	})
}

func (m *writeModel) open(t *rapid.T) {
	var err error
	if m.v, err = m.rig.openToWrite(); err != nil {
		t.Fatal(err)
	}
}

func (m *writeModel) compare(t *rapid.T) {
	got := make([]byte, len(m.now))
	if n, err := m.v.ReadAt(got, 0); err != nil || n != len(got) {
		t.Fatal(n, err)
	}
	if !bytes.Equal(got, m.now) {
		t.Fatal("it reads as something else")
	}
	if !bytes.Equal(m.originImage(), m.origin) {
		t.Fatal("the origin has changed")
	}
	m.sound(t)
}

func (m *writeModel) write(t *rapid.T) {
	at := rapid.IntRange(0, len(m.now)).Draw(t, "at")
	p := rapid.SliceOfN(rapid.Byte(), 0, 9000).Draw(t, "data")
	free := m.v.Usage().Free()
	n, err := m.v.WriteAt(p, int64(at))
	switch {
	case at+len(p) > len(m.now):
		if n != 0 || !errors.Is(err, ErrPastEnd) {
			t.Fatalf("past the end: %d, %v", n, err)
		}
	case errors.Is(err, store.ErrNoRoom):
		chunk := int(m.v.geometry.ChunkBytes())
		if needed := (at+len(p)-1)/chunk - at/chunk + 1; uint64(needed) <= free || n > 0 && (at+n)%chunk != 0 {
			t.Fatalf("%d bytes at %d, %d chunks were free: %d, %v", len(p), at, free, n, err)
		}
	case err != nil || n != len(p):
		t.Fatalf("%d of %d bytes: %v", n, len(p), err)
	}
	if n > 0 {
		m.now = slices.Concat(m.now[:at], p[:n], m.now[at+n:])
		m.loose = true
	}
}

func (m *writeModel) sync(t *rapid.T) {
	if err := m.v.Sync(); err != nil {
		t.Fatal(err)
	}
	m.synced, m.loose = m.now, false
}

// reopen loses what was not synced, or some of it: what was written in place is there.
func (m *writeModel) reopen(t *rapid.T) {
	m.open(t)
	if !m.loose {
		return
	}
	got := make([]byte, len(m.now))
	if _, err := m.v.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	for at := range got {
		if got[at] != m.now[at] && got[at] != m.synced[at] {
			t.Fatalf("byte %d is neither old nor new", at)
		}
	}
	m.now, m.synced, m.loose = got, got, false
}

// TestWriteLargeChunks: chunks that are larger than what is held in memory.
func TestWriteLargeChunks(t *testing.T) {
	const chunk = 8192 * sector // 4 MiB
	r := newRig(t, "device 41000\nheader chunk=8192", 3*chunk-5*sector)
	want := bytes.Clone(r.originImage())
	v, err := r.openToWrite()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct{ at, n int }{{chunk + 700, 3}, {chunk - 10, 20}, {2*chunk + 1<<20 - 1, 2 << 20}, {len(want) - 1, 1}} {
		p := bytes.Repeat([]byte{byte(w.at)}, w.n)
		if n, err := v.WriteAt(p, int64(w.at)); err != nil || n != w.n {
			t.Fatal(n, err)
		}
		copy(want[w.at:], p)
		if !bytes.Equal(content(t, v), want) {
			t.Fatalf("after %+v it reads as something else", w)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	r.sound(t)
	if !bytes.Equal(r.naiveView(t), want) {
		t.Error("the store holds something else")
	}
}

// TestWriteMany: more chunks than gather before they are committed, in one write.
func TestWriteMany(t *testing.T) {
	const chunks = 2*mostGathered + 77
	r := newRig(t, fmt.Sprintf("device %d\nheader chunk=1", chunks*9/8), chunks*sector)
	v, err := r.openToWrite()
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("many"), chunks*sector/4)
	for at := 0; at < len(want); {
		n, err := v.WriteAt(want[at:min(at+1024*sector, len(want))], int64(at))
		if err != nil {
			t.Fatal(err)
		}
		if at += n; len(v.gathered) >= mostGathered {
			t.Errorf("%d exceptions wait to be committed", len(v.gathered))
		}
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	r.sound(t)
	if !bytes.Equal(r.naiveView(t), want) {
		t.Error("the store holds something else")
	}
}

// written is the mark of a record: a write that has returned; and synced that of a sync.
type written struct {
	at int
	p  []byte
}
type synced struct{}

// TestSyncInPlace: what was written over chunks that have exceptions is durable after a sync.
func TestSyncInPlace(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=2\nfill 20\ndata 9", 240*sector)
	v, err := r.openToWrite()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.WriteAt([]byte("in place"), 100); err != nil {
		t.Fatal(err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if ops := r.all.Ops(); ops[len(ops)-1].Kind != devicetest.Sync {
		t.Errorf("the last operation was %+v", ops[len(ops)-1])
	}
}

// TestWriteBehindEnd: what a chunk has behind the origin's end is zeros, and nothing of what else
// was written.
func TestWriteBehindEnd(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=8", 9*8*sector+sector)
	v, err := r.openToWrite()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{700, v.Size() - 3} {
		if _, err := v.WriteAt([]byte("xyz"), at); err != nil {
			t.Fatal(err)
		}
	}
	last := v.geometry.Offset(v.table.get(9))
	if tail := r.cowImage()[last+sector:][:7*sector]; !bytes.Equal(tail, make([]byte, len(tail))) {
		t.Error("something stands there")
	}
}

// TestTornCommit: what a torn commit has left leaves no doubt where the origin has its data, and
// is refused by who writes, as any damage; else no chunk without an exception is certain.
func TestTornCommit(t *testing.T) {
	r := writeRig(t)
	want := r.naiveView(t)
	if v := r.open(t); v.FirstUncertain() == nil || v.Report().Count(check.Error) != 1 {
		t.Error("it is certain, and the data is not the origin's")
	}
	chunk := make([]byte, 2*sector)
	r.all.Peek(chunk, r.cow.Size()+150*2*sector)
	for c := int64(22); c <= 40; c++ { // the data of the gap's entries, and of the one behind it
		r.all.Put(c*2*sector, chunk)
	}
	v := r.open(t)
	if !bytes.Equal(content(t, v), want) || v.FirstUncertain() != nil || v.Report().Count(check.Error) != 1 {
		t.Error("it shows, or is not told")
	}
	if _, err := r.openToWrite(); !errors.Is(err, ErrDamaged) {
		t.Errorf("to be written: %v", err)
	}
}

// TestReadersAndWriter has many read while one writes: each reads what was there before, or
// what is written.
func TestReadersAndWriter(t *testing.T) {
	r := newRig(t, "device 600\nheader chunk=1", 256*sector)
	v, err := r.openToWrite()
	if err != nil {
		t.Fatal(err)
	}
	before := content(t, v)
	after := bytes.Repeat([]byte{0xee}, len(before))
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 8))
			p := make([]byte, sector)
			for {
				select {
				case <-stop:
					return
				default:
				}
				at := rng.IntN(256) * sector
				if _, err := v.ReadAt(p, int64(at)); err != nil {
					t.Error(err)
					return
				}
				if !bytes.Equal(p, before[at:at+sector]) && !bytes.Equal(p, after[:sector]) {
					t.Errorf("sector %d is something else", at/sector)
					return
				}
			}
		})
	}
	for at := 0; at < len(after); at += 4 * sector {
		if _, err := v.WriteAt(after[at:at+4*sector], int64(at)); err != nil {
			t.Fatal(err)
		}
		if err := v.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	all.Wait()
	if !bytes.Equal(content(t, v), after) {
		t.Error("it reads as something else")
	}
}
