package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/stdio"
	"dmcow/internal/storespec"
	"dmcow/store/delta"
	"dmcow/store/delta/deltatest"
)

// countdown is done when it was asked so many times whether it is.
type countdown struct {
	context.Context
	left int
}

var done = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (c *countdown) Done() <-chan struct{} {
	if c.left--; c.left < 0 {
		return done
	}
	return nil
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestInterruptedAnywhere ends each command the N-th time that it looks whether it is to end, for
// every N. Then it says so, or has ended already; what it writes is whole or not there, and
// the same command run again ends as if nothing had been.
func TestInterruptedAnywhere(t *testing.T) {
	const spec = "device 4000\nheader chunk=1\nfill 200\ndata 9\n"
	image := storespec.MustCompile(t, spec)
	files := map[string][]byte{
		"cow": image, "origin": make([]byte, 1<<20), "invalid": storespec.MustCompile(t, strings.Replace(spec, "chunk=1", "chunk=1 valid=0", 1)),
		"few":  storespec.MustCompile(t, strings.Replace(spec, "fill 200", "fill 12", 1)),
		"disk": twoOrigins(t, 20),
		"gap":  storespec.MustCompile(t, strings.Replace(spec, "fill 200", "fill 200 0", 1)+"ex 70 0 0\n"),
	}
	large := deltas(t)
	for _, c := range []struct {
		name  string
		args  string
		first string // what is done before
		looks int    // how often it looks, at least
	}{
		{"check", "check cow --origin origin", "", 3},
		{"dump", "dump cow --output csv", "", 3},
		{"usage", "usage cow", "", 3},
		{"export", "export cow --origin origin image", "", 7},
		{"send", "send cow --origin origin image --continue --yes", "", 7},
		{"diff", "diff cow --origin origin --content", "", 5},
		{"create", "create new --origin origin --from other --yes", "", 1},
		{"initialize", "initialize cow --force --yes", "", 2},
		{"merge", "merge cow --into origin --yes", "", 7},
		{"merge with a log", "merge cow --into origin --undo log --yes", "", 7},
		{"merge on with a log", "merge cow --into origin --undo log --yes", "merge-step cow --into origin --undo log --steps 20 --yes", 12},
		{"merge two", "merge vg0/one-snap vg0/two-snap --pv disk --yes", "", 6},
		{"take back", "merge log --into origin --yes", "merge cow --into origin --undo log --keep --yes", 17},
		{"receive", "receive copy delta --yes", "", 8},
		{"receive with a log", "receive copy delta --undo log --yes", "", 8},
		{"receive a new file", "receive new full --yes", "", 8},
		{"receive to a store", "receive --to-store kept delta", "", 4},
		{"receive --check", "receive --check delta", "", 3},
		{"merge-step", "merge-step few --into origin --steps 300 --yes", "", 10},
		{"repair", "repair gap --rebuild --origin origin --no-undo --yes", "", 10},
		{"repair a copy", "repair gap --rebuild --copy-to mended --yes", "", 10},
		{"revalidate", "revalidate invalid --assume-origin-unchanged --yes", "", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := files
			if strings.HasPrefix(c.args, "receive ") {
				given = large
			}
			fresh := func() {
				t.Chdir(t.TempDir())
				for name, content := range given {
					devicetest.WriteFile(t, name, content)
				}
				other := bytes.Clone(files["origin"])
				other[77777] = 1
				devicetest.WriteFile(t, "other", other)
				if c.first != "" {
					expect(t, 0, strings.Fields(c.first)...)
				}
			}
			args := strings.Fields(c.args)
			fresh()
			interrupted(t, 1<<30, args)
			want := allFiles(t)
			for n := 0; ; n++ {
				fresh()
				untouched := allFiles(t)
				status := interrupted(t, n, args)
				if status&^statusMended == 0 {
					if n < c.looks {
						t.Errorf("it has looked %d times whether it is to end, expected %d at least", n, c.looks)
					}
					return
				}
				if status&statusInterrupted == 0 {
					t.Fatalf("look %d: exit status %d", n, status)
				}
				for name := range allFiles(t) {
					if _, known := want[name]; !known && untouched[name] == nil && name != "image.part" { // which send goes on with
						t.Errorf("look %d: it has left %s", n, name)
					}
				}
				if status := interrupted(t, 1<<30, args); status&^statusMended != 0 {
					t.Fatalf("look %d, and again: exit status %d", n, status)
				}
				for name, content := range allFiles(t) {
					if name != "log" && !bytes.Equal(content, want[name]) {
						t.Fatalf("look %d, and again: %s is something else", n, name)
					}
				}
			}
		})
	}
}

// interrupted runs a command that is to end when it has looked for that so many times.
func interrupted(t *testing.T, looks int, args []string) status {
	t.Helper()
	var said bytes.Buffer
	a := &app{ctx: &countdown{t.Context(), looks}, stdout: stdio.NewOutput(io.Discard, false), stderr: stdio.NewErrors(&said)}
	defer a.end()
	a.fail(a.run(args))
	a.tell()
	if a.status&statusInterrupted != 0 && !strings.Contains(said.String(), "interrupted") {
		t.Errorf("look %d: it says %q", looks, &said)
	}
	return a.status
}

// allFiles are the files of the current directory.
func allFiles(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	names, err := filepath.Glob("*")
	for _, name := range names {
		content, e := os.ReadFile(name)
		all[name], err = content, errors.Join(err, e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// deltas are a copy, and a delta and a full one that change all of it, in two windows.
func deltas(t *testing.T) map[string][]byte {
	base, changed := make([]byte, 5<<19), devicetest.Numbered(5<<19)
	return map[string][]byte{
		"copy": base, "delta": deltatest.Make(t, delta.Forward, 8, base, changed), "full": deltatest.Make(t, delta.Full, 8, nil, changed),
	}
}
