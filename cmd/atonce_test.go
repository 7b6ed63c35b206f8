package cmd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/naive"
)

// atOnce are commands that are run two at a time on one store and its origin, and what their output may
// be: what the store gives as it was, or as another of them makes it. out is the file that
// a command writes.
var atOnce = []string{
	"merge COW --into ORIGIN --yes",
	"merge COW --into ORIGIN --keep --undo OUT --yes",
	"merge-step COW --into ORIGIN --steps 1000 --yes",
	"export COW --origin ORIGIN OUT",
	"export COW --origin ORIGIN -",
	"diff COW --origin ORIGIN --content --output csv",
	"create OUT --origin ORIGIN --from IMAGE --yes",
	"create - --origin ORIGIN --from IMAGE",
	"repair COW --rebuild --no-undo --yes",
	"repair COW --rebuild --copy-to OUT --yes",
	"check COW --origin ORIGIN",
	"invalidate COW --yes",
}

// pairing is a store, its devices, and what it shows.
type pairing struct {
	unmerged
	cow, origin, image string
	view               []byte
}

// TestTwoAtOnce runs all pairs of commands at once, on image files, and some of them on loop devices: none
// ends well with bytes of two moments.
func TestTwoAtOnce(t *testing.T) {
	newPairing(t).meet(t, 1, true)
	onLoops(t).meet(t, 1, false)
}

// TestLongTwoAtOnce runs all pairs twice more, on image files and on loop devices.
func TestLongTwoAtOnce(t *testing.T) {
	devicetest.Long(t)
	newPairing(t).meet(t, 2, true)
	onLoops(t).meet(t, 2, true)
}

// onLoops is a pairing on loop devices.
func onLoops(t *testing.T) *pairing {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices take root")
	}
	p := newPairing(t)
	p.cow, p.origin = kernellab.Loop(t, p.cow), kernellab.Loop(t, p.origin)
	return p
}

// TestKernelTwoAtOnce is the same on devices of device-mapper. The lab is slow: each command meets itself or one
// other, drawn by chance.
func TestKernelTwoAtOnce(t *testing.T) {
	kernellab.Require(t)
	p := newPairing(t)
	mapped := func(name, file string, content []byte) string {
		loop := kernellab.Loop(t, file)
		return kernellab.Create(t, name, fmt.Sprintf("0 %d linear %s 0", len(content)/kernellab.SectorSize, loop), false).Path
	}
	p.cow, p.origin = mapped("pair-cow", p.cow, p.unmerged.cow), mapped("pair-origin", p.origin, p.unmerged.origin)
	p.meet(t, 1, false)
}

func newPairing(t *testing.T) *pairing {
	t.Helper()
	rng := rand.New(rand.NewPCG(18, devicetest.Seed(t)))
	s := grown(rng, 8, 500, 3)
	p := &pairing{unmerged: unmerged{8, s.origin, s.Image}, view: s.view()}
	p.origin, p.cow = p.files(t)
	p.image = filepath.Join(t.TempDir(), "image")
	put(t, p.image, p.view)
	return p
}

// meet runs each command beside itself and all that come after it in the list, or beside one that
// is drawn by chance, so many times.
func (p *pairing) meet(t *testing.T, rounds int, all bool) {
	rng := rand.New(rand.NewPCG(19, devicetest.Seed(t)))
	ended, refused := 0, 0
	for i, a := range atOnce {
		beside := []string{atOnce[rng.IntN(len(atOnce))]}
		if all {
			beside = atOnce[i:]
		}
		for _, b := range beside {
			for range rounds {
				p.reset(t, p.origin, p.cow)
				first, second := p.start(t, a), p.start(t, b)
				for _, r := range []*running{first, second} {
					if r.end(t) {
						ended++
						p.judge(t, r, a+" beside "+b)
					} else {
						refused++
					}
				}
				if t.Failed() {
					return
				}
			}
		}
	}
	t.Logf("%d commands have ended well, %d were refused", ended, refused)
	if all && refused == 0 || ended == 0 {
		t.Error("they have not met")
	}
}

// running is a command that runs beside another.
type running struct {
	*exec.Cmd
	line           string
	out            string // the file that it may write
	stdout, stderr bytes.Buffer
}

func (p *pairing) start(t *testing.T, line string) *running {
	t.Helper()
	r := &running{line: line, out: filepath.Join(t.TempDir(), "out")}
	words := strings.NewReplacer("COW", p.cow, "ORIGIN", p.origin, "OUT", r.out, "IMAGE", p.image)
	var args []string
	for _, word := range strings.Fields(line) {
		args = append(args, words.Replace(word))
	}
	r.Cmd = exec.Command("dmcow", args...)
	r.Stdout, r.Stderr = &r.stdout, &r.stderr
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for a command, and reports whether it has ended well.
func (r *running) end(t *testing.T) bool {
	t.Helper()
	_ = r.Wait()
	status := status(r.ProcessState.ExitCode())
	_, err := os.Stat(r.out)
	if left := err == nil; status&^isGood != 0 && left && !strings.Contains(r.line, "--undo") {
		t.Errorf("%s: exit status %d, and a file is left", r.line, status)
	}
	if status&^isGood != 0 && status != statusFailed && status != statusInvalid && status != statusDamaged {
		t.Errorf("%s: exit status %d: %s", r.line, status, &r.stderr)
	}
	return status&^isGood == 0
}

// judge wants what a command that has ended well has made to be of one moment.
func (p *pairing) judge(t *testing.T, r *running, pair string) {
	t.Helper()
	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	wrong := ""
	switch words := strings.Fields(r.line); words[0] {
	case "merge", "merge-step":
		if !bytes.Equal(kernellab.MustRead(t, p.origin), p.view) {
			wrong = "the origin is not what the snapshot showed"
		}
	case "export":
		got := r.stdout.Bytes()
		if words[len(words)-1] == "OUT" {
			got = read(r.out)
		}
		if !bytes.Equal(got, p.view) {
			wrong = "another view"
		}
	case "diff":
		if n := strings.Count(r.stdout.String(), "\n") - 1; n != 0 && r.stdout.String() != p.differences() {
			wrong = fmt.Sprintf("%d other differences", n)
		}
	case "create":
		got := naive.Store{Image: r.stdout.Bytes(), Chunk: 32 * kernellab.SectorSize}
		if words[1] == "OUT" {
			got.Image = read(r.out)
		}
		if view, err := got.View(p.unmerged.origin); len(got.List()) != 0 && (err != nil || !bytes.Equal(view, p.view)) {
			wrong = "a store of another view"
		}
	case "repair":
		if said := r.stdout.String(); !strings.Contains(said, ": sound: ") && !strings.Contains(said, ": invalid: the store is sound") {
			wrong = r.stdout.String()
		}
	}
	if wrong != "" {
		t.Errorf("%s: %s: %s", pair, r.line, wrong)
	}
}

// differences are those of the origin as it was.
func (p *pairing) differences() string {
	var b strings.Builder
	b.WriteString("offset,length\n")
	chunk := int(p.chunk) * kernellab.SectorSize
	differ := func(at int) bool {
		return at < len(p.view) && !bytes.Equal(p.view[at:at+chunk], p.unmerged.origin[at:at+chunk])
	}
	for at := 0; at < len(p.view); at += chunk {
		start := at
		for differ(at) {
			at += chunk
		}
		if at > start {
			fmt.Fprintf(&b, "%d,%d\n", start, at-start)
		}
	}
	return b.String()
}
