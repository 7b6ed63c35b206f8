package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// served is the snapshot of the two files as it is shown, and what was noted of it.
func (r rig) served(open func(ViewRequest) (*Snapshot, error), cow string, live bool) (*Served, *[]Note) {
	r.Helper()
	n, err := open(of(cow))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { n.Close() })
	var notes []Note
	return n.Serve(live, func(n Note) { notes = append(notes, n) }), &notes
}

// TestServed: what is written is read, and is there when it was synced; what finds no room is ENOSPC, and
// told once.
func TestServed(t *testing.T) {
	r := newRig(t)
	r.store("small", "device 23\nheader chunk=1\nfill 20\ndata 9")
	v, notes := r.served(r.Write, "small", false)
	if v.Size() != originLength || v.ChunkBytes() != 512 || v.Free() != 1 {
		t.Fatalf("%d bytes in chunks of %d, %d free", v.Size(), v.ChunkBytes(), v.Free())
	}
	p := bytes.Repeat([]byte("new "), 2*128)
	if n, err := v.WriteAt(p, 100*512); n != 512 || err != nil { // the first of two chunks
		t.Errorf("%d, %v", n, err)
	}
	for range 2 {
		if n, err := v.WriteAt(p, 101*512); n != 0 || err != syscall.ENOSPC {
			t.Errorf("without room: %d, %v", n, err)
		}
	}
	if len(*notes) != 1 || (*notes)[0].Code != Unable || (*notes)[0].Device != "small" {
		t.Errorf("noted: %v", *notes)
	}
	got := make([]byte, 2*512)
	if n, err := v.ReadAt(got, 100*512); n != len(got) || err != nil || !bytes.Equal(got, append(p[:512:512], make([]byte, 512)...)) {
		t.Errorf("%d, %v, or something else", n, err)
	}
	if err := v.Sync(); err != nil {
		t.Error(err)
	}
	v.Commit()
	if n, err := v.ReadAt(got, originLength-512); n != 512 || err != io.EOF {
		t.Errorf("past the end: %d, %v", n, err)
	}
	if len(*notes) != 1 {
		t.Errorf("noted: %v", *notes)
	}
}

// TestServedUnsynced: that what was written cannot be made durable is told once, by whoever finds it out in the
// background, and to each who asks for it.
func TestServedUnsynced(t *testing.T) {
	r := newRig(t)
	v, notes := r.served(r.Write, "cow", false)
	if _, err := v.WriteAt(make([]byte, 512), 200*512); err != nil {
		t.Fatal(err)
	}
	v.snapshot.out.Close()
	for range 2 {
		v.Commit()
	}
	if len(*notes) != 1 || !strings.Contains((*notes)[0].Text, "no longer writable: ") {
		t.Errorf("noted: %v", *notes)
	}
	if err := v.Sync(); err == nil || len(*notes) != 2 || !strings.Contains((*notes)[1].Text, err.Error()) {
		t.Errorf("%v, noted: %v", err, *notes)
	}
}

// TestServedReadOnly: a snapshot that is only read refuses writes, and the errors of reading it are each
// told once, and not too many of them.
func TestServedReadOnly(t *testing.T) {
	r := newRig(t)
	const n = originLength / 512
	spec := fmt.Sprintf("device 900\nheader chunk=1\nfill %d 0\ndata 9\n", n)
	for i := range n { // each with a reason of its own
		if i%32 < 15 {
			spec += fmt.Sprintf("ex %d %d %d\n", i, i, 5000+i)
		}
	}
	r.store("bad", spec)
	v, notes := r.served(r.Read, "bad", false)
	if n, err := v.WriteAt([]byte("x"), 0); n != 0 || err != syscall.EROFS || len(*notes) > 0 {
		t.Errorf("written: %d, %v; noted: %v", n, err, *notes)
	}
	p := make([]byte, 512)
	for range 2 {
		for i := range int64(n) {
			_, err := v.ReadAt(p, i*512)
			if (err != nil) != (i%32 < 15) {
				t.Fatalf("chunk %d: %v", i, err)
			}
		}
	}
	for i := range *notes {
		if x := (*notes)[i]; x.Code != Damaged || x.Device != "bad" || strings.Contains(x.Text, "more errors") != (i == mostTold) {
			t.Errorf("note %d: %+v", i, x)
		}
	}
	if len(*notes) != mostTold+1 {
		t.Errorf("%d notes", len(*notes))
	}
}

// TestServedMoves: somebody who comes to write to the origin ends the reading, unless that was allowed.
func TestServedMoves(t *testing.T) {
	r := newRig(t)
	v, notes := r.served(r.Read, "cow", false)
	p := make([]byte, 512)
	v.Watch()
	if _, err := v.ReadAt(p, 0); err != nil || len(*notes) > 0 {
		t.Errorf("nobody came: %v, %v", err, *notes)
	}
	v.moving.Store(true)
	if _, err := v.ReadAt(p, 0); err != syscall.EIO {
		t.Errorf("read: %v", err)
	}
	if _, err := v.WriteAt(p, 0); err != syscall.EIO {
		t.Errorf("written: %v", err)
	}
}

// TestReadFails: a device that turns out to be shorter than it was is an error that names it.
func TestReadFails(t *testing.T) {
	for name, at := range map[string]int64{"cow": 0, "origin": 100 * 512} {
		r := newRig(t)
		n, err := r.Read(of("cow"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, 512); err != nil {
			t.Fatal(err)
		}
		_, err = n.View.ReadAt(make([]byte, 512), at)
		device := map[string]string{"cow": n.COW.Text, "origin": n.Origin.Device.Path()}[name]
		r.refused(n.Failed(err), wanted{Unreadable, device, "", nil})
		if err := errors.New("mine"); n.Failed(err) != err {
			t.Error("another error was changed")
		}
		var told []Note
		s := n.Serve(true, func(n Note) { told = append(told, n) })
		if _, err := s.ReadAt(make([]byte, 512), at); err == nil || len(told) != 1 || told[0].Code != Unable {
			t.Errorf("%s: %v, noted: %v", name, err, told)
		}
		n.Close()
	}
}
