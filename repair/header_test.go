package repair_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// headerOf is a header of chunks of so many sectors.
func headerOf(t testing.TB, chunk uint32, valid bool) *repair.Header {
	t.Helper()
	g, err := format.NewGeometry(chunk)
	if err != nil {
		t.Fatal(err)
	}
	return &repair.Header{Geometry: g, Valid: valid}
}

// TestHeaderTaken: a header that the user names is written where something speaks for it, and is otherwise refused with
// the reason. Half of the exceptions may be damaged.
func TestHeaderTaken(t *testing.T) {
	few := func(n, bad int) (spec string) {
		for i := range n {
			new := 2 + i
			if i < bad {
				new += 9000
			}
			spec += fmt.Sprintf("ex %d %d %d\n", i, 10+i, new)
		}
		return "device 400\nheader chunk=4 magic=0x11\n" + spec
	}
	for name, c := range map[string]struct {
		spec  string
		chunk uint32
		valid bool
		want  string // of the error, or what a check finds then
	}{
		"half of an even number are bad":       {few(4, 2), 4, true, "damaged, 4 exceptions in 1 areas; new-chunk-beyond-device 2; full 1"},
		"more than half of an odd number":      {few(5, 3), 4, true, "with that header 3 of the 5 exceptions are damaged"},
		"less than half of an odd number":      {few(5, 2), 4, true, "damaged, 5 exceptions in 1 areas; new-chunk-beyond-device 2; full 1"},
		"all are bad":                          {few(2, 2), 4, true, "with that header 2 of the 2 exceptions are damaged"},
		"a list of larger chunks":              {"device 400\nheader chunk=4 magic=0x11\nfill 40", 2, true, "with that header: older-store"},
		"marked invalid":                       {"device 400\nheader chunk=4 valid=0 version=3\nfill 40", 4, true, "the header marks the snapshot invalid: use --valid 0"},
		"marked invalid, and to be":            {"device 400\nheader chunk=4 valid=0 version=3\nfill 40", 4, false, "invalid, 40 exceptions in 1 areas"},
		"the magic is lost, marked invalid":    {"device 400\nheader chunk=4 valid=0 magic=0\nfill 40", 4, true, "the header marks the snapshot invalid"},
		"another magic says nothing of a mark": {"device 400\nheader chunk=4 valid=0 magic=0x11 version=7\nfill 40", 4, true, "sound, 40 exceptions in 1 areas"},
		"a sound one, of other chunks":         {"device 400\nheader chunk=4\nfill 40", 8, true, "the header is sound, and nothing shows that another one is right"},
		"a sound one, to be marked":            {"device 400\nheader chunk=4\nfill 40", 4, false, "the header is sound: to change its mark"},
		"a sound one, to be valid":             {"device 400\nheader chunk=4 valid=0\nfill 40", 4, true, "the header is sound: to change its mark"},
		"the one that is there":                {"device 400\nheader chunk=4 valid=7\nfill 40", 4, true, "sound, 40 exceptions in 1 areas; valid-not-one 1"},
		"nothing":                              {"device 400", 4, true, "nothing here looks like a store"},
		"too small for such chunks":            {"device 100\nheader chunk=4 version=9\nfill 20", 64, true, "with that header: too-small"},
		"another version, nothing in the list": {"device 400\nheader chunk=4 version=3", 4, true, "sound, 0 exceptions in 1 areas"},
		"a longer list, but this one is sound": {"device 800\nheader chunk=4 magic=0x11\nfill 140 0\nraw 4096 05 00*7 02 00*7", 8, true, "sound, 1 exceptions in 1 areas; header-padding 1"},
		"not the size of what is there":        {"device 800\nheader chunk=4 magic=0x11\nfill 140 0\nraw 4096 05 00*7 0f 27 00*6", 8, true, "the store has 1 errors; 140 plausible exceptions show 4-sector chunks"},
	} {
		t.Run(name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, c.spec))
			p, err := repair.Make(options(d, 0, repair.Choices{Header: headerOf(t, c.chunk, c.valid)}))
			if err != nil {
				if !errors.As(err, new(*repair.HeaderError)) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v; expected: %s", err, c.want)
				}
				return
			}
			if err := p.Apply(d, nil, nil); err != nil {
				t.Fatal(err)
			}
			r, err := check.Make(check.Options{Device: d})
			if err != nil {
				t.Fatal(err)
			}
			if got := findings(r); got != c.want {
				t.Errorf("%s; expected: %s", got, c.want)
			}
		})
	}
}

// TestPadding clears what stands behind the header's fields, and nothing else.
func TestPadding(t *testing.T) {
	const store = "device 400\nheader chunk=4\nfill 40 0\ndata 9\n"
	for _, padding := range []string{"16 1", "511 1", "512 1", "1023 1", "1024 1\nraw 2047 1", "2047 1", "16 ff*2032", "600 7\nraw 1600 7"} {
		image, want := storespec.MustCompile(t, store+"raw "+padding), storespec.MustCompile(t, store)
		d := devicetest.Of(image)
		p := mend(t, d, 0, repair.Choices{Warnings: true})
		if !d.Holds(want) || p.Loses() || len(p.Repaired) != 1 || p.Repaired[0].Count != 1 {
			t.Errorf("%s: it is something else: %v", padding, p.Repaired)
		}
		for _, s := range p.Steps {
			for _, e := range s.Edits {
				if e.Offset < format.HeaderSize || int(e.Offset)+len(e.New) > 2048 || e.Offset/512 != (e.Offset+format.Bytes(len(e.New))-1)/512 {
					t.Errorf("%s: an edit of %d bytes at %d", padding, len(e.New), e.Offset)
				}
			}
		}
	}
	d := devicetest.Of(storespec.MustCompile(t, store+"raw 600 7"))
	if p := mend(t, d, 0, repair.Choices{Drop: true}); len(p.Steps) > 0 || len(p.Undecided) > 0 {
		t.Errorf("nobody asked for warnings to be repaired: %v", p.Repaired)
	}
}

// TestMuchPadding: more behind the header's fields than is cleared at once is cleared all the same.
func TestMuchPadding(t *testing.T) {
	const chunk, padded = 64 << 20, 40 << 20 // bytes
	d := devicetest.New(3 * chunk)
	head := make([]byte, format.HeaderSize)
	format.Header{Magic: format.Magic, Valid: 1, Version: format.Version, ChunkSectors: chunk / format.SectorSize}.Encode(head)
	d.Put(0, head)
	for at := int64(100); at < padded; at += 512 {
		d.Put(at, []byte{1})
	}
	p, err := repair.Make(options(d, 0, repair.Choices{Warnings: true}))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if n := len(s.Edits); n > 4096 {
			t.Errorf("a step of %d edits", n)
		}
	}
	if err := p.Apply(d, nil, nil); err != nil {
		t.Fatal(err)
	}
	if r, err := check.Make(check.Options{Device: d}); err != nil || findings(r) != findings(p.After) || r.Of(check.HeaderPadding) != nil || p.More {
		t.Errorf("%v; %s", err, findings(r))
	}
}

// TestUnsound: a snapshot is not marked valid over an error, and the first one is named, not what came before it
// in the list.
func TestUnsound(t *testing.T) {
	for spec, want := range map[string]string{
		"ex 3 3 77":           "damaged (new-chunk-beyond-device): ",
		"raw 16 1\nex 4 10 5": "damaged (duplicate-new-chunk): ",
	} {
		d := devicetest.Of(storespec.MustCompile(t, "device 100\nheader chunk=2 valid=0\nfill 20\n"+spec))
		_, err := repair.Revalidate(check.Options{Device: d})
		var unsound *repair.UnsoundError
		if !errors.As(err, &unsound) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v", err)
			continue
		}
		if told := unsound.Report.Tallies[0].Findings[0].Told(); err.Error() != want+told {
			t.Errorf("%v; expected: %s", err, told)
		}
	}
	if (&repair.UnsoundError{}).Error() != "damaged" {
		t.Error("without a report")
	}
}
