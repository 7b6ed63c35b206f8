package check_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
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
				if !strings.Contains(told, fmt.Sprintf("with chunks of %d sectors has left %d plausible exception", chunk, n)) {
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
		n := len(list(image))
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
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{
		"mkfs.ext4 -q -d DIR", "mkfs.ext4 -q -b 1024 -d DIR", "mkfs.ext2 -q -b 4096 -d DIR", "mkswap -q", "mkfs.xfs -q -f",
		"mkfs.btrfs -q -f -r DIR", "mkfs.vfat", "mkfs.f2fs -q", "mkfs.minix", "mkfs.cramfs DIR",
	} {
		path := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
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
