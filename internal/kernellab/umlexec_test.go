package kernellab_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// inside runs umlexec with the arguments and more environment.
func inside(umlexec string, env []string, args ...string) (stdout, stderr string, status int) {
	var out, errs strings.Builder
	cmd := exec.Command(umlexec, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestUmlexecPassesOutputAndStatus(t *testing.T) {
	umlexec := kernellab.Umlexec(t)
	dir := t.TempDir()
	stdout, stderr, status := inside(umlexec, []string{"DMCOW_LAB_OUT=" + dir, "DMCOW_WORD=hello"},
		"sh", "-c", `echo $DMCOW_WORD; id -u; pwd; echo oops >&2; echo kept >"$DMCOW_LAB_OUT/file"; exit 7`)
	here, err := os.Getwd()
	kernellab.Must(t, err)
	if want := "hello\n0\n" + here + "\n"; stdout != want {
		t.Errorf("standard output %q, want %q", stdout, want)
	}
	if stderr != "oops\n" {
		t.Errorf("standard error %q", stderr)
	}
	if status != 7 {
		t.Errorf("exit status %d, want 7", status)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "file")); string(b) != "kept\n" {
		t.Errorf("the file that it wrote: %q, %v", b, err)
	}
}

func TestUmlexecTellsWhenTheProgramDidNotEnd(t *testing.T) {
	umlexec := kernellab.Umlexec(t)
	for name, c := range map[string]struct {
		env  string
		args []string
		want string
	}{
		"no such program": {"", []string{"/no/such/program"}, "no such file"},
		"too slow":        {"DMCOW_LAB_TIMEOUT=5s", []string{"sleep", "60"}, "no end after 5s"},
		"power off":       {"", []string{"sh", "-c", "echo o >/proc/sysrq-trigger; sleep 60"}, "did not reach the program's end"},
		"no kernel":       {"PATH=/nowhere", []string{"true"}, "install user-mode-linux"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, status := inside(umlexec, []string{c.env}, c.args...)
			if status != 125 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit status %d, want 125; standard error %q, want %q in it", status, stderr, c.want)
			}
		})
	}
}

func TestUmlexecMakesBlockDevicesOfImages(t *testing.T) {
	umlexec := kernellab.Umlexec(t)
	image := kernellab.File(t, "image", 16)
	stdout, stderr, status := inside(umlexec, []string{"DMCOW_LAB_IMAGES=" + image},
		"sh", "-c", "blockdev --getsz /dev/ubda; echo written >/dev/ubda; sync")
	if stdout != "16\n" || status != 0 {
		t.Fatalf("exit status %d, %q %q", status, stdout, stderr)
	}
	if b, err := os.ReadFile(image); !strings.HasPrefix(string(b), "written\n") {
		t.Errorf("the image holds %.20q, %v", b, err)
	}
}
