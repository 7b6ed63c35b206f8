package check_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/naive"
	"dmcow/store/look"
)

// TestKernelVerdicts has the kernel load each damaged store, serve it, go on with
// it and merge it, and compares what becomes of it with the verdicts in testdata.
// With DMCOW_UPDATE it writes those, to the directory DMCOW_LAB_OUT.
func TestKernelVerdicts(t *testing.T) {
	kernellab.Require(t)
	update := os.Getenv("DMCOW_UPDATE") != ""
	kernel := damaged.Version(kernellab.Release())
	var stored map[string]damaged.Verdict
	if !update {
		stored = damaged.Verdicts(t, kernel)
	}
	all := map[string]damaged.Verdict{}
	for _, c := range damaged.Load(t) {
		t.Run(c.Name, func(t *testing.T) {
			all[c.Name] = judge(t, c.Image)
			got, want := all[c.Name], stored[c.Name]
			if !kernellab.Linux(6, 1) {
				want = want.Unnamed()
			}
			if !update && got != want {
				t.Errorf("%+v, testdata has %+v", got, want)
			}
		})
	}
	if update {
		damaged.Save(t, os.Getenv("DMCOW_LAB_OUT"), kernel, all)
	}
}

// A patient is a store that the kernel is given, and the origin.
type patient struct {
	*testing.T
	naive.Store
	origin, cow string // block devices
}

func newPatient(t *testing.T, image []byte) *patient {
	t.Helper()
	origin := kernellab.LoopOf(t, kernellab.Pattern(0, damaged.OriginSectors, 0))
	return &patient{t, naive.Of(image), origin, kernellab.LoopOf(t, image)}
}

// judge is the kernel's verdict on a store.
func judge(t *testing.T, image []byte) damaged.Verdict {
	t.Helper()
	p := newPatient(t, image)
	s, err := kernellab.TrySnapshot(t, p.origin, p.cow, "P", 1)
	if err != nil {
		return damaged.Verdict{Refused: kernelWords(err)}
	}
	v := damaged.Verdict{Status: s.View.Status(t)}
	var want []byte
	if string(image[:4]) == "SnAp" {
		want, _ = naive.Of(image).View(kernellab.Pattern(0, damaged.OriginSectors, 0)) // without bad exceptions
	}
	v.View = p.compare(s.View.Path, want)
	s.Down(t)
	v.Formatted = bytes.HasPrefix(image, make([]byte, 4)) && string(kernellab.MustRead(p, p.cow)[:4]) == "SnAp"
	if v.Status == "Invalid" || v.Formatted {
		v.View = "" // of nothing, or of an empty store
		return v
	}
	v.After = newPatient(t, image).after(bytes.Clone(want))
	v.Merge = newPatient(t, image).merge(want)
	return v
}

// kernelWords are the kernel's words for why it refuses a store, without the names
// of devices.
func kernelWords(err error) string {
	var words []string
	for line := range strings.Lines(err.Error()) {
		if _, said, ok := strings.Cut(strings.TrimSpace(line), "kernel: "); ok && !strings.Contains(said, "ioctl error") {
			parts := strings.Split(said, ": ")
			words = append(words, parts[len(parts)-1])
		}
	}
	return strings.Join(words, "; ")
}

// after has the kernel write through the snapshot, to the chunk of exception 5
// where that is one on the origin, and to some that have no exception yet; it
// loads the store again, and reports whether all is as listed.
func (p *patient) after(want []byte) string {
	p.Helper()
	list, chunk := p.List(), p.Chunk
	chunks := p.fresh()
	n := len(list) + len(chunks)
	if len(list) > 5 && list[5].Old < uint64(len(want)/chunk) {
		chunks = append(chunks, list[5].Old)
	}
	s := kernellab.NewSnapshot(p, p.origin, p.cow, "P", uint64(chunk/512))
	failed, err := kernellab.WritePattern(s.View.Path, uint64(chunk/512), chunks, 5)
	if err != nil {
		p.Fatal(err)
	}
	status := s.View.Status(p)
	s.Down(p)
	if failed > 0 || status == "Invalid" {
		return damaged.Lost
	}
	for _, c := range chunks {
		at := int(c) * chunk
		copy(want[at:min(at+chunk, len(want))], kernellab.Pattern(uint64(at/512), uint64(chunk/512), 5))
	}
	if s, err = kernellab.TrySnapshot(p, p.origin, p.cow, "P", uint64(chunk/512)); err != nil {
		return damaged.Failed
	}
	defer s.Down(p)
	if got := naive.Of(kernellab.MustRead(p, p.cow)).List(); len(got) != n {
		return damaged.Otherwise
	}
	return p.compare(s.View.Path, want)
}

// fresh are chunks at the origin's end that have no exception: as many as fill the
// gap in front of hidden exceptions, so that those come alive; where there are
// none, four, or as many as there is room for, but one at least.
func (p *patient) fresh() (chunks []uint64) {
	p.Helper()
	d := devicetest.Of(p.Image)
	id, err := look.Identify(d, look.FreshGeometry(d))
	if err != nil {
		p.Fatal(err)
	}
	s, err := id.Examine(id.Walk(d), func(format.AreaIndex) error { return nil })
	if err != nil {
		p.Fatal(err)
	}
	h, err := look.Behind(d, id.Geometry, s.Usage.End, nil)
	if err != nil {
		p.Fatal(err)
	}
	want := max(1, min(4, s.Usage.Free()))
	if h.Count > 0 {
		want = uint64(h.First - h.Index)
	}
	all := p.List()
	for c := uint64(damaged.OriginSectors*512/p.Chunk) - 1; want > 0; c-- {
		if !slices.ContainsFunc(all, func(x naive.Exception) bool { return x.Old == c }) {
			chunks = append(chunks, c)
			want--
		}
	}
	return chunks
}

// merge has the kernel merge the store, and reports whether the origin is then as
// the snapshot was.
func (p *patient) merge(want []byte) string {
	p.Helper()
	const enough = 300
	looks, left := 0, uint64(0) // how often the same was left
	_, last := kernellab.Merge(p, p.origin, p.cow, "P", uint64(p.Chunk/512), func(allocated uint64) bool {
		if looks++; allocated != left {
			looks, left = 0, allocated
		}
		return looks == enough // it does not come to an end
	})
	if looks == enough || strings.Contains(last, "ailed") || last == "Invalid" {
		return damaged.Failed
	}
	return p.compare(p.origin, want)
}

// compare reports whether a device reads as wanted.
func (p *patient) compare(path string, want []byte) string {
	var got []byte
	err := kernellab.Read(path, func(piece []byte) { got = append(got, piece...) })
	switch {
	case err != nil:
		return damaged.IOError
	case !bytes.Equal(got, want):
		return damaged.Otherwise
	}
	return damaged.AsListed
}
