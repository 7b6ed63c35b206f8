package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// TestKernelShowScript: the script of usage shows what export writes, and takes all of it down again.
func TestKernelShowScript(t *testing.T) {
	kernellab.Require(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	devicetest.WriteFile(t, in("the cow"), corpus.Load(t)["lvm-ext4"].COW(t))
	devicetest.WriteFile(t, in("it's"), corpus.Load(t)["lvm-ext4"].Origin(t))
	devicetest.WriteFile(t, in("disk.img"), devicetest.Unzip(t, "../testdata/lvm/linear.0.gz"))
	for shown, snapshot := range map[string][]string{
		"/dev/mapper/dmcow-the-cow":  {in("the cow"), "--origin", in("it's")},
		"/dev/mapper/dmcow-vg0-snap": {"vg0/snap", "--pv", in("disk.img")},
	} {
		image := in("image" + filepath.Base(shown))
		expect(t, 0, append(append([]string{"export"}, snapshot...), image)...)
		text, _ := expect(t, 0, append([]string{"usage", "--table", "--script"}, snapshot...)...)
		script := in("script" + filepath.Base(shown))
		devicetest.WriteFile(t, script, []byte(text))
		loops, mapped := kernellab.Run(t, "losetup", "--all"), kernellab.Run(t, "dmsetup", "ls")
		for range 2 { // it can be shown again
			if out := kernellab.Run(t, "sh", script, "up"); strings.TrimSpace(out) != shown {
				t.Errorf("up says %q", out)
			}
			if err := exec.Command("sh", script, "up").Run(); err == nil {
				t.Error("it can be shown twice at once")
			}
			got, err := os.ReadFile(shown)
			want, werr := os.ReadFile(image)
			if err != nil || werr != nil || string(got) != string(want) {
				t.Errorf("%s shows %d bytes, which are not the %d of the snapshot: %v, %v", shown, len(got), len(want), err, werr)
			}
			kernellab.Run(t, "sh", script, "down")
			kernellab.Run(t, "sh", script, "down") // there is nothing left to take down
			if now := kernellab.Run(t, "losetup", "--all"); now != loops {
				t.Errorf("loop devices are left:\n%s", now)
			}
			if now := kernellab.Run(t, "dmsetup", "ls"); now != mapped {
				t.Errorf("devices are left:\n%s", now)
			}
		}
	}
}
