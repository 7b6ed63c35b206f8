package snapshot

import (
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/check"
)

// hold locks a file as another program does that writes it; release ends that.
func (r rig) hold(name string) (release func()) {
	r.Helper()
	f, err := os.Open(name)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		r.Fatal(err)
	}
	return func() { f.Close() }
}

// TestHeld: of a store or an origin that somebody may be writing to, a user is told that, and what is read of it is not
// taken for what it is; of others, nobody is told, and it is.
func TestHeld(t *testing.T) {
	for _, held := range []string{"", "cow", "origin"} {
		r := newRig(t)
		if held != "" {
			defer r.hold(held)()
		}
		x, err := r.Check(CheckRequest{Request: Request{COW: "cow"}, Base: BaseRequest{Origin: "origin"}})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		told := slices.ContainsFunc(r.Notes(), func(n Note) bool {
			return n.Detail && n.Device == "cow" && strings.HasPrefix(n.Text, "in use by ")
		})
		if told != (held == "cow") || x.COW.Walk().Live != told || x.Options.Live != told {
			t.Errorf("%q is held: it is told %v, walked as live %v, checked as live %v", held, told, x.COW.Walk().Live, x.Options.Live)
		}
		if (x.Options.Content == nil) != (held != "") {
			t.Errorf("%q is held: the origin's data counts: %v", held, x.Options.Content != nil)
		}
		n, err := r.List(of("cow"))
		if err != nil {
			t.Fatal(err)
		}
		if n.isLive() != (held != "") {
			t.Errorf("%q is held: it is live: %v", held, n.isLive())
		}
		n.Close()
		err = r.copied()
		if held == "cow" {
			r.refused(err, wanted{Unable, "cow", "in use by another program, which may write to it during the copy", nil})
		} else if err != nil {
			t.Errorf("%q is held: a copy: %v", held, err)
		}
	}
}

// copied makes a repaired copy of the store.
func (r rig) copied() error {
	return repaired(r, RepairRequest{Request: Request{COW: "cow"}, Stream: &Stream{Writer: io.Discard}})
}

// TestCheckHeld: damage that is gone on a second look is not told, where somebody may have mended it meanwhile.
func TestCheckHeld(t *testing.T) {
	for _, held := range []bool{false, true} {
		r := newRig(t)
		sound := r.read("cow")
		r.store("cow", "device 200\nheader chunk=1\nfill 20\ndata 9\nex 5 15 190000")
		if held {
			defer r.hold("cow")()
		}
		r.options.Watch = func(string, Unit, uint64) Watcher { return visiting(func(uint64) { r.file("cow", sound) }) }
		x, err := r.Check(CheckRequest{Request: Request{COW: "cow"}})
		if err != nil {
			t.Fatal(err)
		}
		if damaged := x.Report.Outcome() == check.Damaged; damaged == held {
			t.Errorf("held: %v, damaged: %v", held, damaged)
		}
		x.Close()
	}
}

// TestComesIntoUse: what came into use while it was read is refused, and from then on not served any more; the store
// of a snapshot that is marked invalid, to which nobody adds, is.
func TestComesIntoUse(t *testing.T) {
	for _, held := range []string{"cow", "origin", "lost"} {
		r := newRig(t)
		r.store("lost", "device 200\nheader chunk=1 valid=0\nfill 20")
		v := of("cow")
		if held == "lost" {
			v.COW, v.InvalidOK = "lost", true
		}
		defer r.hold(held)()
		v.Live = true // it was opened all the same
		n, err := r.Read(v)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if err = n.CheckQuiet(); held == "lost" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		r.refused(err, wanted{Unable, held, "came into use by another program while dmcow read it", nil})
		for _, live := range []bool{true, false} {
			var notes []Note
			s := n.Serve(live, func(n Note) { notes = append(notes, n) })
			s.Watch()
			_, err := s.ReadAt(make([]byte, 512), 0)
			if (err == syscall.EIO) == live || len(notes) > 0 == live {
				t.Errorf("%s is held, live: %v: %v, noted %v", held, live, err, notes)
			}
		}
	}
}

// visiting is a watcher that does something when it is visited.
type visiting func(done uint64)

func (v visiting) Visit(done uint64) error { v(done); return nil }
func (visiting) Ending()                   {}
func (visiting) End()                      {}
