package check_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/store/look"
)

// TestKernelVerdicts has the kernel load each damaged store, serve it, go on with
// it and merge it, and compares what becomes of it with the verdicts in testdata.
// With DMCOW_UPDATE it writes those, to the directory DMCOW_LAB_OUT.
func TestKernelVerdicts(t *testing.T) {
	kernellab.Require(t)
	update := os.Getenv("DMCOW_UPDATE") != ""
	var stored map[string]damaged.Verdict
	if !update {
		stored = damaged.Verdicts(t)
	}
	all := map[string]damaged.Verdict{}
	for _, c := range damaged.Load(t) {
		t.Run(c.Name, func(t *testing.T) {
			all[c.Name] = judge(t, c.Image)
			if got, want := all[c.Name], stored[c.Name]; !update && got != want {
				t.Errorf("%+v, testdata has %+v", got, want)
			}
		})
	}
	if update {
		damaged.Save(t, os.Getenv("DMCOW_LAB_OUT"), all)
	}
}

// A patient is a store that the kernel is given, and the origin.
type patient struct {
	*testing.T
	image       []byte
	origin, cow string // block devices
}

func newPatient(t *testing.T, image []byte) *patient {
	t.Helper()
	dir := t.TempDir()
	device := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return kernellab.Loop(t, path)
	}
	return &patient{t, image, device("origin", kernellab.Pattern(0, damaged.OriginSectors, 0)), device("cow", image)}
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
		want = listed(image)
	}
	v.View = p.compare(s.View.Path, want)
	s.Down(t)
	v.Formatted = bytes.HasPrefix(image, make([]byte, 4)) && string(p.content(p.cow)[:4]) == "SnAp"
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
	chunk := chunkBytes(p.image)
	chunks := p.fresh()
	n := len(list(p.image)) + len(chunks)
	if all := list(p.image); len(all) > 5 && all[5].old < uint64(len(want)/chunk) {
		chunks = append(chunks, all[5].old)
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
	if got := list(p.content(p.cow)); len(got) != n {
		return damaged.Otherwise
	}
	return p.compare(s.View.Path, want)
}

// fresh are chunks at the origin's end that have no exception: as many as fill the
// gap in front of hidden exceptions, so that those come alive; where there are
// none, four, or as many as there is room for, but one at least.
func (p *patient) fresh() (chunks []uint64) {
	p.Helper()
	d := devicetest.Of(p.image)
	id, err := look.Identify(d, look.FreshGeometry(d))
	if err != nil {
		p.Fatal(err)
	}
	s, err := id.Examine(id.Walk(d), func(format.AreaIndex) error { return nil })
	if err != nil {
		p.Fatal(err)
	}
	h, err := look.LookBehind(d, id.Geometry, s.Usage.End, nil)
	if err != nil {
		p.Fatal(err)
	}
	want := max(1, min(4, s.Usage.Free()))
	if h.Count > 0 {
		want = uint64(h.First - h.Index)
	}
	all := list(p.image)
	for c := uint64(damaged.OriginSectors*512/chunkBytes(p.image)) - 1; want > 0; c-- {
		if !slices.ContainsFunc(all, func(x entry) bool { return x.old == c }) {
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
	_, last := kernellab.Merge(p, p.origin, p.cow, "P", uint64(chunkBytes(p.image)/512), func(allocated uint64) bool {
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

func (p *patient) content(path string) (all []byte) {
	p.Helper()
	if err := kernellab.Read(path, func(piece []byte) { all = append(all, piece...) }); err != nil {
		p.Fatal(err)
	}
	return all
}

// entry is an exception.
type entry struct{ old, new uint64 }

// list reads the list of an image, straight from the description of the format,
// as far as the device goes.
func list(image []byte) (all []entry) {
	u64 := binary.LittleEndian.Uint64
	chunk := chunkBytes(image)
	e := chunk / 16
	for area := 0; ; area++ {
		for i := range e {
			at := (1+area*(e+1))*chunk + 16*i
			if at+16 > len(image) || u64(image[at+8:]) == 0 {
				return all
			}
			all = append(all, entry{u64(image[at:]), u64(image[at+8:])})
		}
	}
}

func chunkBytes(image []byte) int { return int(binary.LittleEndian.Uint32(image[12:])) * 512 }

// listed is what the snapshot of an image reads as, by its list. The origin is
// the lab's pattern of version 0.
func listed(image []byte) []byte {
	view := kernellab.Pattern(0, damaged.OriginSectors, 0)
	chunk := uint64(chunkBytes(image))
	for _, x := range list(image) {
		if x.old < uint64(len(view))/chunk && x.new < uint64(len(image))/chunk {
			copy(view[x.old*chunk:], image[x.new*chunk:][:chunk])
		}
	}
	return view
}
