package corpus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// powerCut is made with chunks of one sector, whose areas fill quickly.
var powerCut = Scenario{Name: "power-cut", Chunk: 1, OriginSectors: 4000, COWSectors: 4500, Type: "P", Timed: true}

// The images of bootPowerCut inside. No machine but User-Mode Linux has disks
// of these names, so none can be switched off by mistake.
const (
	ubdOrigin = "/dev/ubda"
	ubdCOW    = "/dev/ubdb"
)

// The test runs itself inside two kernels, telling each by this variable what
// to do there.
const powerCutPart = "DMCOW_POWER_CUT"

// TestPowerCut has one kernel write to an origin until its power goes, and
// another one load what that left.
func TestPowerCut(t *testing.T) {
	switch os.Getenv(powerCutPart) {
	case "write":
		writeUntilPowerOff(t)
	case "ask":
		tellAboutPowerCut(t)
	default:
		makePowerCut(t)
	}
}

func makePowerCut(t *testing.T) {
	umlexec := kernellab.Umlexec(t)
	sc := powerCut
	shared := t.TempDir()
	var origin, cow string
	var out []byte
	// Once in a long while, on a machine that is busy with something else, the lab's kernel hangs: then another one
	// begins, with other images.
	err, missing := error(nil), os.ErrNotExist
	for try := 0; missing != nil && try < 3; try++ {
		origin, cow = kernellab.File(t, fmt.Sprint("origin", try), sc.OriginSectors), kernellab.File(t, fmt.Sprint("cow", try), sc.COWSectors)
		devicetest.WriteFile(t, origin, kernellab.Pattern(0, sc.OriginSectors, 0))
		out, err = bootPowerCut(umlexec, "write", origin, cow, shared)
		_, missing = os.Stat(filepath.Join(shared, "cut"))
	}
	if err == nil || missing != nil {
		t.Fatalf("the power did not go: %v\n%s", err, out)
	}
	if out, err := bootPowerCut(umlexec, "ask", origin, cow, shared); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stores, err := read(shared)
	kernellab.Must(t, err)
	s := stores[sc.Name]
	t.Logf("%s: %s", s.Name, s.Status)
	if s.ViewSHA256 != Digest(kernellab.Pattern(0, sc.OriginSectors, 0)) {
		t.Error("the snapshot lost what the origin held")
	}
	if updating() {
		save(t, s, s.COW(t), s.Origin(t))
	}
}

// bootPowerCut runs a part of this test in a kernel of its own, which has the
// images as ubdOrigin and ubdCOW.
func bootPowerCut(umlexec, part, origin, cow, shared string) (output []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(umlexec, self, "-test.run=^TestPowerCut$")
	cmd.Env = append(os.Environ(), powerCutPart+"="+part,
		"DMCOW_LAB_OUT="+shared, "DMCOW_LAB_IMAGES="+origin+":"+cow, "DMCOW_LAB_TIMEOUT=2m")
	return cmd.CombinedOutput()
}

// writeUntilPowerOff has eight writers keep many exceptions under way, so that
// some of them are half done when the power goes.
func writeUntilPowerOff(t *testing.T) {
	kernellab.Require(t)
	s := kernellab.NewSnapshot(t, ubdOrigin, ubdCOW, powerCut.Type, powerCut.Chunk)
	var writers sync.WaitGroup
	for i := range uint64(8) {
		writers.Go(func() {
			_, err := kernellab.WritePattern(s.Origin.Path, powerCut.Chunk, sample(30+i, int(powerCut.OriginSectors), 600), 6)
			if err != nil {
				t.Error(err)
			}
		})
	}
	for allocated, enough := uint64(0), uint64(1000); allocated < enough; {
		status := s.View.Status(t)
		if _, err := fmt.Sscanf(status, "%d/", &allocated); err != nil {
			t.Fatalf("status %q", status)
		}
	}
	devicetest.WriteFile(t, filepath.Join(os.Getenv("DMCOW_LAB_OUT"), "cut"), nil)
	t.Fatal(syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF))
}

// tellAboutPowerCut leaves the store and what the kernel makes of it for the
// part of the test outside.
func tellAboutPowerCut(t *testing.T) {
	kernellab.Require(t)
	cow, origin := kernellab.MustRead(t, ubdCOW), kernellab.MustRead(t, ubdOrigin)
	s := Store{Name: powerCut.Name, COWSHA256: Digest(cow), OriginSHA256: Digest(origin)}
	ask(t, &s, ubdOrigin, ubdCOW, powerCut.Type, powerCut.Chunk)
	s.Exceptions = nil // what was copied may not have been overwritten yet
	save(t, s, cow, origin)
}
