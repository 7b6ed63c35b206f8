// Package packaging holds the tests of what packages are made from.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVersion follows the version of a repository from its first commit on, and compares it with what a tarball of
// each commit says of itself.
func TestVersion(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dmcow")
	for _, name := range []string{".gitattributes", "packaging/version", "internal/version/archive.txt"} {
		content, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) string {
		return run(t, dir, "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)...)
	}
	git("init", "-q", ".")
	git("add", ".")
	tarball := func(want string) {
		t.Helper()
		if _, err := exec.LookPath("tar"); err != nil {
			t.Skip("no tar")
		}
		out := t.TempDir()
		git("archive", "-o", out+"/dmcow.tar", "HEAD")
		run(t, out, "tar", "-xf", "dmcow.tar")
		if got := run(t, out, "packaging/version"); got != want {
			t.Errorf("in the tarball: %s, want %s", got, want)
		}
	}
	for _, step := range []struct {
		tag, want string
	}{
		{"", "0.0.0-pre20261130193045"},
		{"v1.2.0-rc1", "1.2.0-rc1"},
		{"", "1.2.0-rc1+git1"},
		{"v1.2.0", "1.2.0"},
		{"other", "1.2.0+git1"},
		{"", "1.2.0+git2"},
	} {
		t.Setenv("GIT_COMMITTER_DATE", "1796067045 +0300")
		git("commit", "-q", "--allow-empty", "-m", "step")
		if step.tag != "" {
			git("tag", step.tag)
		}
		want := step.want + " " + git("rev-parse", "HEAD") + " 1796067045"
		if got := run(t, dir, "packaging/version"); got != want {
			t.Errorf("tag %q: %s, want %s", step.tag, got, want)
		}
		tarball(want)
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitattributes"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := run(t, dir, "packaging/version"); !strings.HasPrefix(got, "1.2.0+git2.modified ") {
		t.Errorf("with a file changed: %s", got)
	}
}

// run runs a program in a directory, and returns what it prints.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	if strings.Contains(program, "/") {
		program = filepath.Join(dir, program)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}
