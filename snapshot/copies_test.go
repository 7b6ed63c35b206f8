package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/snapshot"
	"dmcow/store"
	"dmcow/store/delta"
	"dmcow/store/delta/deltatest"
)

// raid1Disks are a group with a snapshot vg0/snap of an origin on RAID1, and where on the first two disks the
// superblocks of its images are.
func raid1Disks(t *testing.T) (disks []string, at int) {
	t.Helper()
	for i := range 3 {
		disks = append(disks, filepath.Join(t.TempDir(), fmt.Sprint("disk", i)))
		devicetest.WriteFile(t, disks[i], devicetest.Unzip(t, fmt.Sprintf("../testdata/lvm/layout-raid1.%d.gz", i)))
	}
	b, err := os.ReadFile(disks[0])
	if at = bytes.Index(b, []byte("DmRd")); err != nil || at < 0 {
		t.Fatal(at, err)
	}
	return disks, at
}

// marked reports whether regions are marked on both disks: the kernel looks at the bits where the array is not in sync.
func marked(t *testing.T, disks []string, at int) bool {
	t.Helper()
	all := 0
	for _, path := range disks[:2] {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if binary.LittleEndian.Uint64(b[at+40:]) == 0 && b[at+4096+256]&1 != 0 {
			all++
		}
	}
	if all == 1 {
		t.Error("one image of two is marked")
	}
	return all > 0
}

// looking is a Watcher that looks when something is written.
type looking struct{ look func() }

func (l looking) Visit(uint64) error { l.look(); return nil }
func (looking) Ending()              {}
func (looking) End()                 {}

// TestCopiesAreMarked while a merge writes to an array, and not before, nor when it has ended or was interrupted; they
// are after an error.
func TestCopiesAreMarked(t *testing.T) {
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		told, interrupted, want error
		marked                  bool
	}{
		"whole":               {},
		"steps":               {told: nil},
		"steps, an error":     {told: bad, want: bad, marked: true},
		"steps, interruption": {interrupted: snapshot.ErrInterrupted, want: snapshot.ErrInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			disks, at := raid1Disks(t)
			looked := 0
			look := func() {
				if looked++; !marked(t, disks, at) {
					t.Error("is written, and not marked")
				}
			}
			begun := false
			s := snapshot.Open(snapshot.Options{Where: disks, Watch: func(_ string, unit snapshot.Unit, _ uint64) snapshot.Watcher {
				if unit != snapshot.Bytes {
					return nil
				}
				return looking{look}
			}, Interrupted: func() error {
				if begun {
					return c.interrupted
				}
				return nil
			}})
			defer s.Close()
			r := snapshot.MergeRequest{Request: snapshot.Request{COW: "vg0/snap"}}
			if name != "whole" {
				r.Steps = 3
			}
			m, err := s.PlanMerge(r)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if marked(t, disks, at) {
				t.Error("is marked by the plan")
			}
			if begun = true; name == "whole" {
				_, err = m.Do()
			} else {
				err = m.Step(func(store.Run) error { look(); return c.told })
			}
			if !errors.Is(err, c.want) || looked == 0 {
				t.Errorf("%v, looked %d times", err, looked)
			}
			if got := marked(t, disks, at); got != c.marked {
				t.Errorf("is marked at the end: %v", got)
			}
		})
	}
}

// TestCopiesAreMarkedByDelta: a delta that is a file, or a pipe of which is not known what it changes, has them marked while
// it is applied.
func TestCopiesAreMarkedByDelta(t *testing.T) {
	for _, pipe := range []bool{false, true} {
		disks, at := raid1Disks(t)
		looked, writing := 0, false
		s := snapshot.Open(snapshot.Options{Where: disks, Watch: func(string, snapshot.Unit, uint64) snapshot.Watcher {
			return looking{func() {
				if writing && marked(t, disks, at) {
					looked++
				}
			}}
		}})
		defer s.Close()
		var b bytes.Buffer
		x, err := s.PlanExport(snapshot.ExportRequest{
			ViewRequest: snapshot.ViewRequest{Request: snapshot.Request{COW: "vg0/origin"}}, Output: snapshot.OutputRequest{Stream: &snapshot.Stream{Writer: &b}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Do(); err != nil {
			t.Fatal(err)
		}
		x.Close()
		s.Close()
		source := bytes.Clone(b.Bytes())
		source[99]++
		file := filepath.Join(t.TempDir(), "delta")
		devicetest.WriteFile(t, file, deltatest.Make(t, delta.Forward, 8, b.Bytes(), source))
		in := snapshot.IncomingRequest{Name: file}
		if pipe {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			content, _ := os.ReadFile(file)
			go func() {
				_, _ = write.Write(content)
				write.Close()
			}()
			in = snapshot.IncomingRequest{Name: "-", Stdin: read}
		}
		p, err := s.PlanReceive(snapshot.ReceiveRequest{IncomingRequest: in, Into: "vg0/origin", Lost: []string{"snap"}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if marked(t, disks, at) {
			t.Error("is marked by the plan")
		}
		writing = true
		if _, err := p.Do(); err != nil || looked == 0 {
			t.Errorf("pipe %v: %v, looked %d times", pipe, err, looked)
		}
		if marked(t, disks, at) {
			t.Error("is marked at the end")
		}
	}
}
