package stdio_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"dmcow/internal/stdio"
)

// TestMain is the program that is started with streams of all kinds.
func TestMain(m *testing.M) {
	switch os.Getenv("DMCOW_STREAM") {
	case "":
		os.Exit(m.Run())
	case "1":
		if stdio.Closed(os.Stdout) {
			os.Exit(3)
		}
	}
	os.Exit(4)
}

// TestClosed has a shell start a program with a standard output that is closed, and with others.
func TestClosed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	for streams, closed := range map[string]bool{
		">&-":                         true,
		"<&- >&- 2>&-":                true,
		"</dev/null >&-":              true,
		"":                            false,
		">/dev/null":                  false,
		">" + file:                    false,
		"<>/dev/null >&0 2>&0":        false, // a daemon
		">/dev/full":                  false,
		"| cat":                       false,
		">/dev/null 2>/dev/null <&-":  false,
		"3<>/dev/null >&3 2>&3":       false,
		"3<>/dev/null <&3 >&3 2>err":  false,
		"</dev/null >/dev/null 2>&-":  false,
		"<&- >/dev/null 2>/dev/null":  false,
		"3>/dev/null >&3 2>&3 <&-":    false,
		"</dev/null 2>/dev/null >&- ": true,
	} {
		c := exec.Command("/bin/sh", "-c", "{ "+self+"; echo $? >"+file+".status; } "+streams)
		c.Env, c.Dir = append(os.Environ(), "DMCOW_STREAM=1"), t.TempDir()
		if err := c.Run(); err != nil {
			t.Fatalf("%s: %v", streams, err)
		}
		status, err := os.ReadFile(file + ".status")
		if err != nil {
			t.Fatal(err)
		}
		want := "4\n"
		if closed {
			want = "3\n"
		}
		if string(status) != want {
			t.Errorf("%s: exit status %swant %s", streams, status, want)
		}
	}
}
