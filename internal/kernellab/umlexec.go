package kernellab

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Umlexec builds umlexec for a test that boots kernels itself, and returns its
// path. It skips the test without linux.uml, but fails it with CI in
// the environment, where it must be installed.
func Umlexec(t testing.TB) string {
	t.Helper()
	if InLab() {
		t.Skip("boots kernels of its own: run it outside umlexec")
	}
	if _, err := exec.LookPath("linux.uml"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no linux.uml: install user-mode-linux")
		}
		t.Skip("no linux.uml: install user-mode-linux to run this test")
	}
	path := filepath.Join(t.TempDir(), "umlexec")
	Run(t, "go", "build", "-o", path, "dmcow/internal/kernellab/umlexec")
	return path
}
