package snapshot

import (
	"bytes"
	"strings"
	"testing"

	"dmcow/internal/device"
)

// TestExportToBlock: an image goes onto a block device, for which a file stands in here, that is large enough and holds
// nothing of worth; else nothing is written. A dry run opens nothing for writing.
func TestExportToBlock(t *testing.T) {
	whole := originLength
	for name, c := range map[string]struct {
		content []byte
		force   bool
		size    int64 // of the image, where it is not the snapshot's
		wanted
	}{
		"as large":         {content: make([]byte, whole)},
		"larger":           {content: make([]byte, whole+512)},
		"too small":        {make([]byte, whole-512), true, 0, wanted{Unable, "dev", "too small: 130560 bytes; the snapshot has 131072", nil}},
		"no blocks":        {make([]byte, whole), true, 513, wanted{Unable, "dev", "the snapshot has 513 bytes, not a multiple of the logical block", nil}},
		"something":        {bytes.Repeat([]byte("text"), whole/4), false, 0, wanted{Foreign, "dev", "refused: it is not blank", []Deed{ForceOver}}},
		"something forced": {content: bytes.Repeat([]byte("text"), whole/4), force: true},
	} {
		for _, dryRun := range []bool{true, false} {
			r := newRig(t)
			r.file("dev", c.content)
			n, err := r.Read(of("cow"))
			if err != nil {
				t.Fatal(err)
			}
			o := &Output{Name: "dev", session: r.Session, kind: blockDevice, request: OutputRequest{Name: "dev", DryRun: dryRun, Force: c.force}}
			size := c.size
			if size == 0 {
				size = n.View.Size()
			}
			err = o.check(size, n.COW.Device, n.Origin.Device)
			if c.words != "" {
				r.refused(err, c.wanted)
				(&Export{n, o}).Close()
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if c.words != "" || dryRun {
				if !bytes.Equal(r.read("dev"), c.content) {
					t.Errorf("%s: it was written to", name)
				}
				continue
			}
			want := make([]byte, size)
			if _, err := n.View.ReadAt(want, 0); err != nil {
				t.Fatal(err)
			}
			err = (&Export{n, o}).Do()
			if (&Export{n, o}).Close(); err != nil || !bytes.Equal(r.read("dev")[:size], want) || (o.Loss != "") != c.force {
				t.Errorf("%s: %v, or something else is written; lost is %q", name, err, o.Loss)
			}
			if w, err := device.OpenWritable("dev"); err != nil {
				t.Errorf("%s: it is still open: %v", name, err)
			} else {
				w.Close()
			}
		}
	}
}

// TestExportCut: an export that is interrupted says what it leaves.
func TestExportCut(t *testing.T) {
	for words, o := range map[string]OutputRequest{
		"no part of it is kept; run the same command again":            {Name: "new", Mode: Private},
		"part of it was written":                                       {Stream: &Stream{Writer: &bytes.Buffer{}}},
		"dev holds a part of the snapshot; run the same command again": {Name: "dev"},
	} {
		r := newRig(t)
		r.file("dev", make([]byte, originLength))
		x := &Export{Output: &Output{Name: "dev", session: r.Session, kind: blockDevice, request: o}}
		var err error
		if x.Snapshot, err = r.Read(of("cow")); err == nil && o.Name != "dev" {
			x.Output, err = r.lookAt(o)
		}
		if err == nil {
			err = x.Output.check(originLength)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.options.Watch = func(string, Unit, uint64) Watcher { return &endedWatcher{} }
		err = x.Do()
		x.Close()
		r.refused(err, wanted{Interrupted, "cow", words, nil})
		if strings.Contains(words, "dev") != strings.HasPrefix(asRefusal(err).Err.Error(), "interrupted: dev") {
			t.Error(err)
		}
	}
}
