package check_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
)

// TestLostHeaders takes the headers of stores of every chunk size and of many
// lengths: the magic, all fields, and as much as LVM would zero. The chunk size is
// found, and the evidence told.
func TestLostHeaders(t *testing.T) {
	for chunk := 1; chunk <= 1<<10; chunk *= 2 {
		e := 32 * chunk
		for _, n := range []int{1, 2, 40, e - 1, e, e + 1, 2*e + 7} {
			if n > 3000 {
				continue
			}
			sectors := chunk * (2*e + n + 100)
			if sectors > 1<<19 {
				sectors = chunk * (n + 100)
			}
			spec := fmt.Sprintf("device %d\nheader chunk=%d\nfill %d", sectors, chunk, n)
			if _, err := storespec.Compile(spec); err != nil {
				continue // too large for a test
			}
			for name, c := range map[string]struct {
				zero int
				rule string
			}{
				"magic":  {4, "lost-header"},
				"fields": {16, "lost-header"},
				"LVM's":  {4096, "zeroed-header"},
			} {
				image := storespec.MustCompile(t, spec)
				clear(image[:c.zero])
				want := []string{c.rule}
				switch {
				case c.zero == 4096 && chunk < 8:
					continue // with the beginning of the list
				case c.zero == 16 && chunk >= 8:
					want = []string{"zeroed-header"} // nothing else stands in the first 4096 bytes
				}
				r := report(t, check.Options{Device: devicetest.Of(image)})
				if !slices.Equal(rules(r), want) {
					t.Errorf("%s, without %s: %v, want %v", spec, name, rules(r), want)
					continue
				}
				told := r.Tallies[0].Findings[0].Message()
				if !strings.Contains(told, fmt.Sprintf("with %d-sector chunks has left %d plausible exception", chunk, n)) {
					t.Errorf("%s, without %s: %s", spec, name, told)
				}
			}
		}
	}
}

// TestLostHeadersOfTheKernel takes the headers of the stores that the kernel made:
// wherever the list is not empty, it is found.
func TestLostHeadersOfTheKernel(t *testing.T) {
	for name, s := range corpus.Load(t) {
		image := s.COW(t)
		n := len(naive.Of(image).List())
		clear(image[:16])
		r := report(t, check.Options{Device: devicetest.Of(image)})
		found := count(r, "lost-header")+count(r, "zeroed-header") == 1
		if found != (n > 0) {
			t.Errorf("%s, %d exceptions: %v", name, n, rules(r))
		}
	}
}

// TestNoFalseAlarm: what is no store is not taken for one that lost its header, also
// where its first bytes are zero, or are made so.
func TestNoFalseAlarm(t *testing.T) {
	for name, image := range foreign(t) {
		for _, zero := range []int{0, 4, 512, 4096} {
			c := bytes.Clone(image)
			clear(c[:zero])
			r := report(t, check.Options{Device: devicetest.Of(c)})
			if count(r, "lost-header")+count(r, "zeroed-header") > 0 {
				t.Errorf("%s, the first %d bytes zero: %s", name, zero, r.Tallies[0].Findings[0].Message())
			}
			for _, tally := range r.Tallies {
				if strings.Contains(tally.Findings[0].Message(), "plausible") {
					t.Errorf("%s, the first %d bytes zero: %s", name, zero, tally.Findings[0].Message())
				}
			}
		}
	}
}

// foreign are images of what is no COW store.
func foreign(t *testing.T) map[string][]byte {
	t.Helper()
	const size = 8 << 20
	rng := rand.New(rand.NewPCG(3, 1))
	random := make([]byte, size)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	small := make([]byte, size) // small numbers of 64 bits
	for i := 0; i < size; i += 8 {
		small[i] = byte(rng.Uint32())
	}
	rising := make([]byte, size)
	for i := 0; i < size; i += 8 {
		rising[i], rising[i+1], rising[i+2] = byte(i/8), byte(i>>11), byte(i>>19)
	}
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	for i := range size / 8 {
		fmt.Fprintln(z, i*i, rng.Uint32())
	}
	z.Close()
	all := map[string][]byte{
		"zeros":         make([]byte, size),
		"ones":          bytes.Repeat([]byte{0xff}, size),
		"text":          bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog.\n"), size/45),
		"random":        random,
		"small numbers": small,
		"counting":      rising,
		"compressed":    compressed.Bytes(),
	}
	for name, s := range corpus.Load(t) {
		all["the origin of "+name] = s.Origin(t)
	}
	for name, image := range fileSystems(t, size) {
		all[name] = image
	}
	return all
}

// fileSystems are images that the programs make which are installed.
func fileSystems(t *testing.T, size int64) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	dir := t.TempDir()
	for i := range 100 {
		content := bytes.Repeat(fmt.Appendln(nil, "line", i), 100+i*50)
		devicetest.WriteFile(t, filepath.Join(dir, fmt.Sprint(i)), content)
	}
	for _, command := range []string{
		"mkfs.ext4 -q -d DIR", "mkfs.ext4 -q -b 1024 -d DIR", "mkfs.ext2 -q -b 4096 -d DIR", "mkswap -q", "mkfs.xfs -q -f",
		"mkfs.btrfs -q -f -r DIR", "mkfs.vfat", "mkfs.f2fs -q", "mkfs.minix", "mkfs.cramfs DIR",
	} {
		path := filepath.Join(t.TempDir(), "image")
		devicetest.WriteFile(t, path, nil)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(strings.Replace(command, "DIR", dir, 1))
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("%s is not installed", words[0])
			continue
		}
		if out, err := exec.Command(words[0], append(words[1:], path)...).CombinedOutput(); err != nil {
			t.Logf("%s: %v: %s", command, err, out)
			continue
		}
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[command] = image
	}
	return all
}

// TestEvidence has lists, and what is like lists, behind a beginning that says
// nothing: which are taken for those of a store.
func TestEvidence(t *testing.T) {
	list := func(n int, f func(i uint64) (old, new uint64)) (spec string) {
		for i := range uint64(n) {
			old, new := f(i)
			spec += fmt.Sprintf("ex %d %d %d\n", i, old, new)
		}
		return spec
	}
	wild := func(n int) string { return list(n, func(i uint64) (uint64, uint64) { return i, 1<<60 + i }) }
	kernels := func(i uint64) (old, new uint64) { return 3 * i, 2 + i + i/32 }
	for _, c := range []struct {
		name, spec string
		found      bool
	}{
		{"8 exceptions", list(8, kernels), true},
		{"7", list(7, kernels), false}, // byte 100 is not zero, and they are few
		{"40, in two areas", list(40, kernels), true},
		{"40, of which 4 are damaged", list(40, kernels) + "ex 3 9 max\nex 9 27 6\nex 20 60 1\nex 30 90 5000000", true},
		{"40, of which 5 are", list(40, kernels) + "ex 3 9 max\nex 9 27 6\nex 20 60 1\nex 30 90 5000000\nex 35 5 1", false},
		{"200, of which half of the first area are", list(200, kernels) + wild(16), true},
		{"200, of which more of it are", list(200, kernels) + wild(17), false},
		{"far apart", list(20, func(i uint64) (uint64, uint64) { return i, 2 + 90*i + i }), false},
		{"as far apart as can be", list(7, kernels) + "ex 7 21 297", true}, // data chunk 287 of 288
		{"one more", list(7, kernels) + "ex 7 21 299", false},
		{"one old chunk", list(20, func(i uint64) (uint64, uint64) { return 7, 2 + i }), false},
		{"one new chunk", list(20, func(i uint64) (uint64, uint64) { return i, 5 }), false},
		{"metadata chunks", list(20, func(i uint64) (uint64, uint64) { return i, 1 + 33*i }), false},
		{"a damaged end", list(20, kernels) + "ex 20 7 0", true},
		{"hidden exceptions", list(20, kernels) + "ex 25 75 27\nex 26 78 28", true},
		{"something else behind", list(20, kernels) + "raw 900 5a*100", false},
	} {
		image := storespec.MustCompile(t, "device 4000\nlayout chunk=1\nraw 100 01\n"+c.spec)
		r := report(t, check.Options{Device: devicetest.Of(image)})
		if found := count(r, "lost-header") == 1; found != c.found || !found && count(r, "foreign-content") != 1 {
			t.Errorf("%s: %v", c.name, rules(r))
		}
	}
	// A few are evidence where nothing but zeros is around them.
	for raw, found := range map[string]bool{
		"": true, "raw 100 01": false, "raw 900 07": false,
		"ex 20 60 5\nex 21 63 6\nex 22 66 7\nex 23 69 8\nex 24 72 9": true, "ex 20 60 5\nex 21 63 6\nex 22 66 7\nex 23 69 8": false, // 8 with the hidden ones, and 7
	} {
		spec := "device 4000\nlayout chunk=1\nfill 3\n" + raw
		if r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))}); (count(r, "lost-header") == 1) != found {
			t.Errorf("3 exceptions and %q: %v", raw, rules(r))
		}
	}
}

// TestLongestList: where lists of several chunk sizes lie on a device, the longest is the
// store's; of two that are as long, the one with the smaller chunks.
func TestLongestList(t *testing.T) {
	for _, c := range []struct{ small, large, want int }{{9, 8, 1}, {8, 9, 8}, {9, 9, 1}} {
		spec := fmt.Sprintf("device 4000\nlayout chunk=1\nfill %d\nlayout chunk=8\nfill %d", c.small, c.large)
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
		said := first(t, r, "lost-header").Message()
		if want := fmt.Sprintf("a store with %d-sector chunks has left 9 plausible exceptions in 1 area", c.want); !strings.Contains(said, want) {
			t.Errorf("%q: %s", spec, said)
		}
	}
}

// TestLargestChunk: the list of a store with chunks of a gigabyte is found, too.
func TestLargestChunk(t *testing.T) {
	d := devicetest.New(12 << 30)
	d.Put(1<<30, storespec.MustCompile(t, "device 40\nlayout chunk=1\nfill 10")[512:1024])
	r := report(t, check.Options{Device: d})
	if said := first(t, r, "zeroed-header").Message(); !strings.Contains(said, "2097152-sector chunks has left 10 plausible exceptions") {
		t.Error(said)
	}
}

// TestProbe: what speaks for a store is found whatever its header says; what cannot be read is said, and visit's
// error stops it.
func TestProbe(t *testing.T) {
	bad, stop := errors.New("bad sector"), errors.New("stop")
	on := func(format.AreaIndex) error { return nil }
	d := devicetest.Of(storespec.MustCompile(t, "device 4000\nlayout chunk=8\nfill 300\nheader chunk=9"))
	if e, err := check.Probe(d, on); err != nil || e == nil || e.Exceptions != 300 || e.Areas != 2 || e.Geometry.ChunkSectors() != 8 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := check.Probe(d, func(format.AreaIndex) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	d.Fault = devicetest.BadByte(258*4096, bad)
	if _, err := check.Probe(d, on); !errors.Is(err, bad) {
		t.Error(err)
	}
	if e, err := check.Probe(devicetest.New(2<<20), on); e != nil || err != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestFarChunk: an exception that was damaged, and names a chunk that no bitmap knows, does not hide the
// list of a store that lost its header, on a device that has that chunk.
func TestFarChunk(t *testing.T) {
	d := devicetest.New(1<<32*512 + 512)
	d.Put(0, storespec.MustCompile(t, "device 4000\nlayout chunk=1\nfill 20\nex 5 15 0x100000000"))
	r := report(t, check.Options{Device: d})
	if said := first(t, r, "lost-header").Message(); !strings.Contains(said, "1-sector chunks has left 19 plausible exceptions") {
		t.Error(said)
	}
}

// TestSurvivingHeader: the other fields are evidence of a header without its magic by
// themselves; and what is written back keeps them.
func TestSurvivingHeader(t *testing.T) {
	for spec, rule := range map[string]string{
		"header chunk=8 magic=0":                             "lost-header",
		"header chunk=8 magic=0 valid=0":                     "lost-header",
		"header chunk=8 magic=0 valid=2":                     "foreign-content",
		"header chunk=8 magic=0 version=2":                   "foreign-content",
		"header chunk=9 magic=0":                             "foreign-content",
		"header chunk=2097152 magic=0":                       "foreign-content", // which does not fit
		"header chunk=8 magic=0\nraw 300 01":                 "foreign-content",
		"header chunk=8 magic=0 valid=0\nfill 20\nraw 90 01": "lost-header",
	} {
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, "device 4000\n"+spec))})
		if got := rules(r); !slices.Equal(got, []string{rule}) {
			t.Errorf("%q: %v, want %s", spec, got, rule)
		}
	}
	r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, "device 4000\nheader chunk=8 magic=0x50 valid=0\nfill 9"))})
	if said := first(t, r, "bad-magic").Remedy(); !strings.Contains(said, "keep the other fields") || !strings.Contains(said, "8-sector chunks, valid 0") {
		t.Error(said)
	}
	r = report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, "device 4000\nheader chunk=9"))})
	if said := first(t, r, "bad-chunk-size").Remedy(); !strings.Contains(said, "find out which one") {
		t.Error(said)
	}
	r = report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, "device 4000\nlayout chunk=8\nheader chunk=9 valid=0\nfill 9"))})
	if said := first(t, r, "bad-chunk-size").Remedy(); !strings.Contains(said, "with 8-sector chunks, valid 0") {
		t.Error(said)
	}
}

// TestUnreadableEvidence: what the search for a list could not read is said.
func TestUnreadableEvidence(t *testing.T) {
	bad := errors.New("bad sector")
	image := storespec.MustCompile(t, "device 4000\nlayout chunk=8\nfill 300 0")
	for _, at := range []int64{4096, 4096 + 100, 258*4096 + 700} {
		d := devicetest.Of(image)
		d.Fault = devicetest.BadByte(at, bad)
		r, err := check.Make(check.Options{Device: d})
		if err == nil && (len(r.Unread) == 0 || !errors.Is(r.Unread[0], bad)) {
			t.Errorf("byte %d: %v, %v", at, r.Unread, rules(r))
		}
	}
}
