package runlog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/dump"
	"dmcow/internal/runlog"
)

func line(version string) []byte { return dump.Run{Version: "dmcow " + version}.Line() }

// TestLog: a log grows by a line a run, and is nobody else's to read.
func TestLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	for _, version := range []string{"1", "2"} {
		l, err := runlog.Open(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Append(line(version)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if want := string(line("1")) + string(line("2")); err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestRefused: what is something else stays as it is, and nothing is made.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"image": strings.Repeat("\x00", 8192), "text": "{\n", "cut": "{", "empty": ""} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("empty", in("link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		others []string
		why    string
	}{
		{"image", nil, "is not a run log"},
		{"text", nil, "is not a run log"},
		{"cut", nil, "is not a run log"},
		{"empty", []string{in("empty")}, "the run works on it"},
		{"link", []string{in("text"), in("empty")}, "the run works on it"},
		{"new", []string{in("new")}, "the run works on it"},
		{"", nil, "a regular file"},
		{"none/log", nil, "no such file or directory"},
	} {
		if _, err := runlog.Open(in(c.name), c.others); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 5 {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := runlog.Open(in("empty"), []string{in("text")}); err != nil {
		t.Error(err)
	}
}

// TestCutOff: behind a line that was cut off, as by a power cut, the next one begins anew.
func TestCutOff(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	const torn, line = `{"version":"dmcow 1, and then`, `{"version":"dmcow 2"}` + "\n"
	if err := os.WriteFile(name, []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := runlog.Open(name, nil)
	if err == nil {
		err = l.Append([]byte(line))
	}
	if got, _ := os.ReadFile(name); err != nil || string(got) != torn+"\n"+line {
		t.Errorf("%v: %s", err, got)
	}
}
