package snapshot

import (
	"bytes"
	"os"
	"testing"
)

// TestDryRunsAreNotDone: what was planned as a dry run cannot be done, and nothing is written.
func TestDryRunsAreNotDone(t *testing.T) {
	r := newRig(t)
	r.file("image", bytes.Repeat([]byte{7}, originLength))
	r.store("bad", damaged)
	r.store("lost", "device 200\nheader chunk=1 valid=0\nfill 20")
	before := map[string][]byte{}
	for _, name := range []string{"cow", "origin", "image", "bad", "lost"} {
		before[name] = r.read(name)
	}
	for device, do := range map[string]func() error{
		"cow": func() error {
			m, err := r.PlanMerge(into(func(m *MergeRequest) { m.DryRun, m.Undo = true, "log" }))
			if err != nil {
				return err
			}
			defer m.Close()
			_, err = m.Do()
			return err
		},
		"bad": func() error {
			p, err := r.PlanRepair(RepairRequest{Request: Request{COW: "bad"}, DryRun: true})
			if err != nil {
				return err
			}
			defer p.Close()
			_, err = p.Do()
			return err
		},
		"lost": func() error {
			p, err := r.PlanRevalidate(RevalidateRequest{Request: Request{COW: "lost"}, OriginUnchanged: true, DryRun: true})
			if err != nil {
				return err
			}
			defer p.Close()
			_, err = p.Do()
			return err
		},
		"new": func() error {
			p, err := r.PlanCreate(CreateRequest{Request: Request{COW: "new"}, Base: "origin", Image: "image", DryRun: true})
			if err != nil {
				return err
			}
			defer p.Close()
			return p.Do()
		},
		"out": func() error {
			p, err := r.PlanExport(ExportRequest{ViewRequest: of("cow"), Output: OutputRequest{Name: "out", Mode: Private, DryRun: true}})
			if err != nil {
				return err
			}
			defer p.Close()
			return p.Do()
		},
		"image": func() error {
			p, err := r.PlanInitialize(WriteRequest{Request: Request{COW: "image"}, DryRun: true, Force: true})
			if err != nil {
				return err
			}
			defer p.Close()
			return p.Do()
		},
	} {
		t.Run(device, func(t *testing.T) {
			rig{t, r.Session}.refused(do(), wanted{WrongUse, device, "planned as a dry run", nil})
		})
	}
	for name, content := range before {
		if !bytes.Equal(r.read(name), content) {
			t.Errorf("%s was written to", name)
		}
	}
	for _, name := range []string{"new", "out", "log", "bad.undo"} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s was made", name)
		}
	}
}

// TestDoChecks: what Check refuses, Do refuses too, where nobody has asked.
func TestDoChecks(t *testing.T) {
	r := newRig(t)
	r.store("lost", "device 200\nheader chunk=1 valid=0\nfill 20")
	r.file("text", bytes.Repeat([]byte("text"), 4096))
	before := r.read("lost")
	v, err := r.PlanRevalidate(RevalidateRequest{Request: Request{COW: "lost"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Do()
	v.Close()
	r.refused(err, wanted{Unable, "lost", "the COW device does not show", []Deed{Assume}})
	if !bytes.Equal(r.read("lost"), before) {
		t.Error("it was marked")
	}
	if v, err = r.PlanRevalidate(RevalidateRequest{Request: Request{COW: "lost"}, OriginUnchanged: true, Undo: "text"}); err != nil {
		t.Fatal(err)
	}
	_, err = v.Do()
	v.Close()
	r.refused(err, wanted{Unable, "text", "not an undo log", nil})
	if !bytes.Equal(r.read("lost"), before) {
		t.Error("it was marked without an undo log")
	}
	r.store("cow", "device 200\nheader chunk=1\nfill 20\nex 5 12 6") // repeated
	before = r.read("cow")
	p, err := r.PlanRepair(RepairRequest{Request: Request{COW: "cow"}, Undo: "text"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // however often it is asked
		_, err = p.Do()
		r.refused(err, wanted{Unable, "text", "not an undo log", nil})
	}
	p.Close()
	if !bytes.Equal(r.read("cow"), before) {
		t.Error("it was repaired without an undo log")
	}
}
