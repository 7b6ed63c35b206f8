package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dmcow/internal/device/devicetest"
)

// needs skips a test where a program is missing, unless all have to run.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("there is no %s", program)
	}
	t.Skipf("there is no %s (Debian: apt-get install %[1]s)", program)
}

// shells makes a directory with the completions, the program in PATH, and a disk with vg0/snap.
func shells(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := writeCompletions(dir); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "dmcow"), "dmcow").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	if err := os.MkdirAll(filepath.Join(dir, "work", "dir"), 0o777); err != nil {
		t.Fatal(err)
	}
	devicetest.WriteFile(t, filepath.Join(dir, "work", "disk.img"), devicetest.Unzip(t, "../../testdata/lvm/linear.0.gz"))
	return dir
}

type completionCase struct{ line, has, not string }

// completions are command lines, the last word of which is being typed, with some words that complete it and some
// that do not.
var completions = []completionCase{
	{"dmcow ", "dump usage check merge merge-step list help", "--dry-run"},
	{"dmcow mer", "merge merge-step", "mount dump"},
	{"dmcow check --", "--output --origin --pv --list-rules --yes", "--rebuild"},
	{"dmcow repair --", "--rebuild --truncate-list", "--list-rules"},
	{"dmcow check --output ", "human json", "csv"},
	{"dmcow dump --output ", "human csv json", "prometheus"},
	{"dmcow repair --hidden ", "keep drop", "first"},
	{"dmcow repair --valid ", "0 1", "keep"},
	{"dmcow export --hash ", "sha256 sha1 md5", ""},
	{"dmcow check --pv d", "disk.img", "vg0/snap"},
	{"dmcow check --pv disk.img v", "vg0/snap vg0/origin", "disk.img"},
	{"dmcow merge --pv disk.img --into v", "vg0/origin", "disk.img"},
	{"dmcow merge --pv disk.img --lose-snapshot v", "vg0/snap", "disk.img"},
	{"dmcow check --log d", "disk.img", "vg0/snap"},
	{"dmcow mount cow.img ", "dir", "disk.img"},
	{"dmcow help me", "merge merge-step", "mount"},
}

func TestBash(t *testing.T) {
	needs(t, "bash")
	dir := shells(t)
	for _, c := range completions {
		words := append([]string{"--norc", source(t, "complete.bash"), filepath.Join(dir, "dmcow.bash")}, strings.Split(c.line, " ")...)
		c.holds(t, strings.Fields(shell(t, dir, "bash", words...)))
	}
	// An equals sign is a word of its own in bash.
	got := shell(t, dir, "bash", source(t, "complete.bash"), filepath.Join(dir, "dmcow.bash"), "dmcow", "check", "--output", "=", "j")
	if strings.TrimSpace(got) != "json" {
		t.Errorf("--output=j: %q", got)
	}
}

func TestFish(t *testing.T) {
	needs(t, "fish")
	dir := shells(t)
	for _, c := range completions {
		var got []string
		script := "source " + filepath.Join(dir, "dmcow.fish") + "; complete -C '" + c.line + "'"
		for line := range strings.Lines(shell(t, dir, "fish", "--no-config", "-c", script)) {
			word, _, _ := strings.Cut(line, "\t")
			got = append(got, strings.TrimSuffix(strings.TrimSpace(word), "/"))
		}
		c.not = strings.ReplaceAll(c.not, "disk.img", "none") // it offers what has the letter anywhere, and directories last
		c.holds(t, got)
	}
}

func TestZsh(t *testing.T) {
	needs(t, "zsh")
	dir := shells(t)
	for _, c := range completions {
		has := strings.Fields(c.has)
		slices.Sort(has) // as it shows them: when the last is there, all are
		t.Run(c.line, func(t *testing.T) {
			got := shell(t, dir, "zsh", "-f", source(t, "complete.zsh"), dir, c.line, has[len(has)-1])
			for _, word := range has {
				if !strings.Contains(got, word) {
					t.Errorf("%q: no %s in %q", c.line, word, got)
				}
			}
		})
	}
}

func (c completionCase) holds(t *testing.T, got []string) {
	t.Helper()
	for _, word := range strings.Fields(c.has) {
		if !slices.Contains(got, word) {
			t.Errorf("%q: no %s in %q", c.line, word, got)
		}
	}
	for _, word := range strings.Fields(c.not) {
		if slices.Contains(got, word) {
			t.Errorf("%q: %s in %q", c.line, word, got)
		}
	}
}

// source is a file of testdata, by a name that holds in any directory.
func source(t *testing.T, name string) string {
	t.Helper()
	abs, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// shell runs a program in the directory with the disk.
func shell(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = filepath.Join(dir, "work")
	cmd.Env = append(os.Environ(), "HOME="+dir, "TERM=dumb")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}
