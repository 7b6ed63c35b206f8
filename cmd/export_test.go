package cmd

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
)

// TestExportOfTheKernelsStores exports every store that the kernel made: the image is what the
// kernel has shown, in a file and in a stream, and so is the digest that is told.
func TestExportOfTheKernelsStores(t *testing.T) {
	for name, s := range corpus.Load(t) {
		t.Run(name, func(t *testing.T) {
			cow, origin := storeFiles(t, s)
			file := filepath.Join(t.TempDir(), "image")
			if s.Status == "Invalid" {
				expect(t, 8, "export", cow, "--origin", origin, file)
				expect(t, 0, "export", "--invalid-ok", cow, "--origin", origin, file)
				return
			}
			said, _ := expect(t, 0, "export", "--hash", "sha256", cow, "--origin", origin, file)
			image, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if s.ViewSHA256 != "" && corpus.Digest(image) != s.ViewSHA256 {
				t.Error("it is not what the kernel shows")
			}
			if want := corpus.Digest(image) + "  " + file + "\n"; said != want {
				t.Errorf("it said %q, want %q", said, want)
			}
			if stream, _ := expect(t, 0, "export", cow, "--origin", origin, "-"); stream != string(image) {
				t.Error("the stream is another")
			}
			if fileDigest(t, cow) != s.COWSHA256 || fileDigest(t, origin) != s.OriginSHA256 {
				t.Error("COW or origin has changed")
			}
			checkDiff(t, cow, origin, image, s)
		})
	}
}

// checkDiff holds what diff says of a store to a comparison of the bytes.
func checkDiff(t *testing.T, cow, origin string, image []byte, s corpus.Store) {
	t.Helper()
	base, chunk := s.Origin(t), int(s.ChunkSectors)*sector
	saved := map[int]bool{}
	for _, r := range naive.Of(s.COW(t)).List() {
		saved[int(r.Old)] = true
	}
	var all, different strings.Builder
	for _, c := range []struct {
		to   *strings.Builder
		want func(old int) bool
	}{
		{&all, func(old int) bool { return saved[old] }},
		{&different, func(old int) bool {
			end := min(len(image), (old+1)*chunk)
			return !bytes.Equal(image[old*chunk:end], base[old*chunk:end])
		}},
	} {
		fmt.Fprint(c.to, "offset,length\n")
		for old := 0; old*chunk < len(image); old++ {
			first := old
			for old*chunk < len(image) && c.want(old) {
				old++
			}
			if old > first {
				fmt.Fprintf(c.to, "%d,%d\n", first*chunk, min(len(image), old*chunk)-first*chunk)
			}
		}
	}
	if got, _ := expect(t, 0, "diff", "--output", "csv", cow, "--origin", origin); got != all.String() {
		t.Errorf("diff:\n%s\nwant:\n%s", got, &all)
	}
	if got, _ := expect(t, 0, "diff", "--output", "csv", "--content", cow, "--origin", origin); got != different.String() {
		t.Errorf("diff --content:\n%s\nwant:\n%s", got, &different)
	}
}

// TestExportDigests: the other digests are right, too.
func TestExportDigests(t *testing.T) {
	cow, origin := storeFiles(t, corpus.Load(t)["odd-origin"])
	image, _ := expect(t, 0, "export", cow, "--origin", origin)
	a, b := sha1.Sum([]byte(image)), md5.Sum([]byte(image))
	for name, want := range map[string][]byte{"sha1": a[:], "md5": b[:]} {
		file := filepath.Join(t.TempDir(), name)
		if got, _ := expect(t, 0, "export", "--hash", name, cow, "--origin", origin, file); got != hex.EncodeToString(want)+"  "+file+"\n" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestExportByName exports the snapshots of LVM in images of disks, by their names: each is what
// the kernel has shown.
func TestExportByName(t *testing.T) {
	views := 0
	for _, group := range lvmGroups {
		facts, disks := lvmImages(t, group)
		var pv []string
		for _, d := range disks {
			pv = append(pv, "--pv", d)
		}
		for name, s := range facts.Snapshots {
			if s.State != "valid" || s.View == "" {
				continue
			}
			views++
			image, _ := expect(t, 0, append([]string{"export", name}, pv...)...)
			if corpus.Digest([]byte(image)) != s.View {
				t.Errorf("%s: %s is not what the kernel has shown", group, name)
			}
			other := filepath.Join(t.TempDir(), "other")
			devicetest.WriteFile(t, other, make([]byte, s.OriginSectors*sector+4096))
			if _, stderr := expect(t, 8, append([]string{"export", name, "--origin", other}, pv...)...); !strings.Contains(stderr, "refused: it has") {
				t.Errorf("an origin of another size: %s", stderr)
			}
			stdout, _ := expect(t, 0, append([]string{"diff", "--output", "json", "--content", name}, pv...)...)
			if !strings.Contains(stdout, fmt.Sprintf(`"origin":%q`, s.Origin)) {
				t.Errorf("%s: diff of %s: %.200s", group, name, stdout)
			}
		}
	}
	if views < 5 {
		t.Errorf("%d snapshots", views)
	}
}

// endless is an export that will take very long, of a huge origin without content.
type endless struct {
	*listening
	dir string
}

// startEndless starts an export to a file, and returns when it is at work.
func startEndless(t *testing.T) *endless {
	t.Helper()
	e := &endless{dir: t.TempDir()}
	cow, origin := filepath.Join(e.dir, "cow"), filepath.Join(e.dir, "origin")
	image := storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 20\ndata 9")
	if err := errors.Join(os.WriteFile(cow, image, 0o666), os.WriteFile(origin, nil, 0o666), os.Truncate(origin, 8<<40)); err != nil {
		t.Fatal(err)
	}
	e.listening = listen(t, exec.Command("dmcow", "export", "-v", cow, "--origin", origin, filepath.Join(e.dir, "image")))
	// What it says first tells that it minds signals; what it says when it is asked, that it has
	// come somewhere.
	for line := ""; !strings.Contains(line, "iB of at most "); {
		line = e.upTo(t, '\n')
		if err := e.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// TestExportCutOff: of an export that is killed, or interrupted, nothing is left.
func TestExportCutOff(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{syscall.SIGKILL: -1, syscall.SIGTERM: 32} {
		e := startEndless(t)
		if err := e.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		said := e.rest(t)
		if got := e.ProcessState.ExitCode(); got != want {
			t.Errorf("%v: exit status %d: %s", signal, got, said)
		}
		if signal == syscall.SIGTERM && !strings.Contains(said, "interrupted: no part of it is kept; run the same command again") {
			t.Errorf("it said %s", said)
		}
		files, err := filepath.Glob(filepath.Join(e.dir, "*"))
		hidden, _ := filepath.Glob(filepath.Join(e.dir, ".*"))
		if err != nil || len(files) != 2 || len(hidden) != 0 {
			t.Errorf("%v: there are %q %q", signal, files, hidden)
		}
	}
}

// TestExportWithoutRoom: where the file system is full, that is said, and nothing is left.
func TestExportWithoutRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a small file system takes root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("small", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no small file system: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	cow, origin := storeFiles(t, corpus.Load(t)["lvm-ext4"])
	file := filepath.Join(dir, "image")
	if _, stderr := expect(t, 8, "export", cow, "--origin", origin, file); !strings.Contains(stderr, "no space left on device") || !strings.Contains(stderr, file) {
		t.Error(stderr)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%v, there are %v", err, files)
	}
}

// TestDiffPicture: the picture is XML that a decoder takes, and paints what differs.
func TestDiffPicture(t *testing.T) {
	cow, origin := storeFiles(t, corpus.Load(t)["origin-and-snapshot-writes"])
	odd := filepath.Join(filepath.Dir(cow), "<&\"\xff>")
	if err := os.Rename(cow, odd); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "picture")
	out, _ := expect(t, 0, "diff", "--output", "json", odd, "--origin", origin, "--svg", file)
	var d struct {
		Chunks uint64 `json:"chunks"`
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var picture struct {
		Rects []struct {
			Width  int    `xml:"width,attr"`
			Height int    `xml:"height,attr"`
			Fill   string `xml:"fill,attr"`
		} `xml:"rect"`
	}
	if err := xml.Unmarshal(text, &picture); err != nil {
		t.Fatal(err)
	}
	const cell, full = 8, "#a63603" // what is painted of a chunk, which a cell is here
	var painted uint64
	for _, r := range picture.Rects {
		if r.Fill == full && r.Height == cell {
			painted += uint64(r.Width / cell)
		}
	}
	if painted != d.Chunks {
		t.Errorf("%d cells are painted, of %d", painted, d.Chunks)
	}
}
