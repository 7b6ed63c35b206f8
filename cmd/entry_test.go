package cmd

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// withEntry builds the program as the Makefile does, where it begins with an entry of our own.
func withEntry(t *testing.T) (program string) {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("there is no entry of our own on ", runtime.GOARCH)
	}
	program = filepath.Join(t.TempDir(), "dmcow")
	build := exec.Command("go", "build", "-ldflags", "-E dmcow_entry", "-o", program, "dmcow")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// TestLittleAddressSpace: where the Go runtime cannot even begin, the program says so itself.
func TestLittleAddressSpace(t *testing.T) {
	program := withEntry(t)
	for limit, want := range map[string]int{"200000": 8, "1000000": 8, "unlimited": 0} {
		var said bytes.Buffer
		c := exec.Command("sh", "-c", "ulimit -v "+limit+"; exec \"$0\" --version", program)
		c.Stderr = &said
		_ = c.Run()
		if got := c.ProcessState.ExitCode(); got != want || (want == 8) != strings.Contains(said.String(), "needs 1.5 GiB of address space") {
			t.Errorf("ulimit -v %s: exit status %d: %s", limit, got, &said)
		}
	}
}

// TestClosedOutput: what was to be printed where standard output is closed is an error, wherever something
// was to be; a /dev/null that was given is not taken for a closed one, however it was opened.
func TestClosedOutput(t *testing.T) {
	program := withEntry(t)
	s := grown(rand.New(rand.NewPCG(19, 0)), 8, 20, 3)
	p := &unmerged{8, s.origin, s.Image}
	origin, cow := p.files(t)
	for line, closed := range map[string]bool{
		"export cow --origin origin - >&-":           true,
		"check cow >&-":                              true,
		"dump --output csv cow >&-":                  true,
		"usage --output json cow >&-":                true,
		"diff cow --origin origin >&-":               true,
		"create - --origin origin --from origin >&-": true,
		"initialize --dry-run --force cow >&-":       true,
		"--version >&-":                              true,
		"check cow <&- >&-":                          true,
		"check cow </dev/null >&-":                   true,
		"check --quiet cow >&-":                      false, // there is nothing to print
		"merge cow --into origin --keep --yes >&-":   false,
		"check cow >/dev/null":                       false,
		"check cow 1<>/dev/null":                     false,
		"check cow <>/dev/null >&0":                  false,
		"check cow <&- >/dev/null":                   false,
	} {
		var said bytes.Buffer
		c := exec.Command("sh", "-c", strings.NewReplacer(" cow", " "+cow, " origin", " "+origin).Replace("exec \"$0\" "+line), program)
		c.Stderr = &said
		_ = c.Run()
		want := 0
		if closed {
			want = int(statusFailed)
		}
		if got := c.ProcessState.ExitCode(); got != want || closed != (said.String() == "dmcow: standard output: is closed\n") {
			t.Errorf("%s: exit status %d: %s", line, got, &said)
		}
	}
}
