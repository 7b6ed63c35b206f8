package cmd

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/storespec"
)

// TestKernelLoadsThePrintedTables has the snapshot shown on a read-only COW
// device, as an examiner would, and merged on a writable one.
func TestKernelLoadsThePrintedTables(t *testing.T) {
	kernellab.Require(t)
	for _, chunk := range []uint64{1, 16} {
		sectors := 100*chunk - chunk/2
		origin := kernellab.LoopOf(t, kernellab.Pattern(0, sectors, 0))
		file := kernellab.File(t, "cow", 400*chunk)
		cow := kernellab.Loop(t, file)
		before := kernellab.MustDigest(t, origin)
		s := kernellab.NewSnapshot(t, origin, cow, "P", chunk)
		overwrite(t, s.Origin.Path, chunk, span(10, 100))
		s.Down(t)

		readOnly := kernellab.Loop(t, file, kernellab.ReadOnly())
		lines := tableLines(t, origin, readOnly)
		for _, line := range lines[:2] {
			view := kernellab.Create(t, "printed", line, true)
			if got := view.Table(t); got != line {
				t.Errorf("printed %q, the kernel has it as %q", line, got)
			}
			if kernellab.MustDigest(t, view.Path) != before {
				t.Errorf("%q does not show the snapshot", line)
			}
			view.Remove(t)
		}
		kernellab.Detach(t, readOnly) // the kernel would merge under its cache
		mergeTable(t, tableLines(t, origin, cow)[2])
		if kernellab.MustDigest(t, origin) != before {
			t.Error("the merge did not bring back what the origin held")
		}
	}
}

// tableLines are the lines that are no comments: of a snapshot P, of a
// snapshot PO, and of a merge.
func tableLines(t *testing.T, origin, cow string) (lines []string) {
	t.Helper()
	stdout, _ := expect(t, 0, "usage", "--table", "--origin", origin, cow)
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	if len(lines) != 3 || !strings.Contains(lines[0], " P ") || !strings.Contains(lines[1], " PO ") {
		t.Fatalf("tables: %q", lines)
	}
	return lines
}

// mergeTable loads the table of a merge and waits for its end.
func mergeTable(t *testing.T, line string) {
	t.Helper()
	merge := kernellab.Create(t, "printed", line, false)
	if got := merge.Table(t); got != line {
		t.Errorf("printed %q, the kernel has it as %q", line, got)
	}
	if _, last := merge.Merged(t, nil); !strings.Contains(last, "/") {
		t.Fatalf("the merge ended with %q", last)
	}
}

// TestKernelReadersWriteNothing goes through the command lines of
// TestReadersLeaveNoTrace, on devices.
func TestKernelReadersWriteNothing(t *testing.T) {
	kernellab.Require(t)
	const chunk = 8
	cow := blankLoop(t, 800)
	s := kernellab.NewSnapshot(t, blankLoop(t, 400), cow, "P", chunk)
	overwrite(t, s.Origin.Path, chunk, span(3, 40))
	before, events := kernellab.MustDigest(t, cow), watch(t, cow)
	for _, args := range readers {
		dmcow(onDevice(args, cow)...)
	}
	if got := events(); got&unix.IN_OPEN == 0 || got&(unix.IN_MODIFY|unix.IN_CLOSE_WRITE) != 0 {
		t.Errorf("inotify events %#x", got)
	}
	if kernellab.MustDigest(t, cow) != before {
		t.Error("the COW device of an active snapshot has changed")
	}
	for name, spec := range evidence {
		file := filepath.Join(t.TempDir(), "cow")
		devicetest.WriteFile(t, file, storespec.MustCompile(t, spec))
		readOnly := kernellab.Loop(t, file, kernellab.ReadOnly())
		for _, args := range readers {
			status, _, _ := dmcow(onDevice(args, file)...)
			if got, _, stderr := dmcow(onDevice(args, readOnly)...); got != status {
				t.Errorf("%s, %q: exit status %d on a file, %d on a read-only device; %s", name, args, status, got, stderr)
			}
		}
	}
}

// onDevice puts the device's path into a command line of readers.
func onDevice(args []string, path string) []string {
	return strings.Split(strings.ReplaceAll(strings.Join(args, "\x00"), "%COW", path), "\x00")
}

// TestKernelReadErrorInAnArea has a store whose area 1 cannot be read from its
// fifth sector on.
func TestKernelReadErrorInAnArea(t *testing.T) {
	kernellab.Require(t)
	const chunk, sectors, area1 = 8, 4800, 258 * 8 // sectors
	disk := kernellab.LoopOf(t, storespec.MustCompile(t, fmt.Sprintf("device %d\nheader chunk=8\nfill 500", sectors)))
	const slotsOfASector = kernellab.SectorSize / 16
	for name, c := range map[string]struct{ good, exceptions uint64 }{
		"from its start":        {area1, 256},
		"from its fifth sector": {area1 + 4, 256 + 4*slotsOfASector},
	} {
		t.Run(name, func(t *testing.T) {
			cow := kernellab.Create(t, "bad", strings.Join([]string{
				fmt.Sprintf("0 %d linear %s 0", c.good, disk),
				fmt.Sprintf("%d 1 error", c.good),
				fmt.Sprintf("%d %d linear %s %d", c.good+1, sectors-c.good-1, disk, c.good+1),
			}, "\n"), true)
			want := fmt.Sprintf("area 1 at chunk 258, byte %d: input/output error; %d exceptions were read before it\n",
				c.good*kernellab.SectorSize, c.exceptions)
			rows, stderr := expect(t, 8, "dump", "--output", "csv", cow.Path)
			if !strings.HasSuffix(stderr, want) {
				t.Errorf("said %q, expected %q", stderr, want)
			}
			last := fmt.Sprintf("%d,%d,", (c.exceptions-1)/256, (c.exceptions-1)%256)
			lines := strings.Split(strings.TrimSpace(rows), "\n")
			if uint64(len(lines)-1) != c.exceptions || !strings.HasPrefix(lines[len(lines)-1], last) {
				t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
			}
			var all []struct {
				Exceptions uint64
				State      string
				Status     *string
			}
			stdout, _ := expect(t, 8, "usage", "--output", "json", cow.Path)
			if err := json.Unmarshal([]byte(stdout), &all); err != nil || all[0].Exceptions != c.exceptions || all[0].Status != nil || all[0].State != "unreadable" {
				t.Errorf("usage: %v %s", err, stdout)
			}
			checkNothingPromised(t, cow.Path)
		})
	}
}

// checkNothingPromised: of a store whose list could not be read to its end,
// nobody is told that it is well, how full it is, or how far it can be shrunk.
func checkNothingPromised(t *testing.T, path string) {
	t.Helper()
	stdout, _ := expect(t, 8, "usage", "--output", "json", path)
	var all []map[string]any
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || len(all) != 1 {
		t.Fatal(err, stdout)
	}
	for _, figure := range []string{"allocated_sectors", "percent", "next_free_chunk", "free_chunks", "leaked_chunks", "minimum_sectors"} {
		if v, ok := all[0][figure]; !ok || v != nil {
			t.Errorf("%s is %v", figure, v)
		}
	}
	if stdout, _ = expect(t, 3, "usage", "--warn", "80", "--crit", "90", path); !strings.HasPrefix(stdout, "COW UNKNOWN - "+path+": area 1 at chunk 258") {
		t.Errorf("the plugin says %q", stdout)
	}
	stdout, _ = expect(t, 8, "usage", "--output", "prometheus", path)
	if !strings.Contains(stdout, fmt.Sprintf("dmcow_device_readable{device=%q} 0\n", path)) || strings.Contains(stdout, "dmcow_snapshot") {
		t.Errorf("prometheus is told %s", stdout)
	}
	if stdout, _ = expect(t, 8, "usage", path); strings.Contains(stdout, "shrink") || strings.Contains(stdout, "left") {
		t.Errorf("people are told %s", stdout)
	}
}
