package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// killed starts dmcow, waits until it says what it is going to do, kills it after
// that time, and reports whether it was still running. Without a time it runs to its
// end. It returns how long it ran from then on.
func killed(t *testing.T, after *time.Duration, args ...string) (ran time.Duration, was bool) {
	t.Helper()
	cmd := exec.Command("dmcow", args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 4096)
	limit(t, stderr)
	n, err := stderr.Read(said)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%q says nothing", args)
	}
	if err := stderr.(*os.File).SetReadDeadline(time.Time{}); err != nil { // a merge may take long
		t.Fatal(err)
	}
	start := time.Now()
	if after != nil {
		defer time.AfterFunc(*after, func() { _ = cmd.Process.Kill() }).Stop()
	}
	rest, _ := io.ReadAll(stderr)
	err = cmd.Wait()
	ran = time.Since(start)
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	was = status.Signaled() && status.Signal() == syscall.SIGKILL
	if err != nil && !(was && after != nil) {
		t.Fatalf("%q: %v: %s%s", args, err, said[:n], rest)
	}
	return ran, was
}

// killing is a merge that is killed again and again, each time from its beginning.
type killing struct {
	unmerged
	*rand.Rand
	// What dmcow is given, and the block devices that the kernel is, which are empty
	// where dmcow is given files: then they are made each time.
	originDev, cowDev, originLoop, cowLoop string
	lab                                    bool // the kernel is there
	view                                   string
	end                                    mergedTo
	runs                                   int           // to the end
	took                                   time.Duration // the shortest of them
	landed                                 map[string]int
}

// TestMergeKilled kills merges of image files at random moments. Each time the snapshot is
// what it was, and the same command run again ends the merge as if nothing had been. With an
// undo log, the origin can then be had back, also where that in its turn is killed.
func TestMergeKilled(t *testing.T) { mergeKilled(t, 12) }

// TestLongMergeKilled does so twice as often: with those it is a hundred times.
func TestLongMergeKilled(t *testing.T) {
	devicetest.Long(t)
	mergeKilled(t, 24)
}

func mergeKilled(t *testing.T, times int) {
	for _, c := range []killCase{
		{1, 19000, 17500, 60, "files", false, times}, // two batches
		{8, 2000*8 - 3, 1800, 40, "files", false, times},
		{8, 900*8 - 3, 700, 20, "files", true, times},
	} {
		t.Run(c.name(), func(t *testing.T) { c.run(t, false) })
	}
}

// TestKernelMergeKilled is the same beside the kernel, which shows the snapshot, ends
// merges, and takes them back; also on block devices.
func TestKernelMergeKilled(t *testing.T) {
	kernellab.Require(t)
	kernelMergeKilled(t, 1)
}

// TestKernelLongMergeKilled does so twice as often.
func TestKernelLongMergeKilled(t *testing.T) {
	devicetest.Long(t)
	kernellab.Require(t)
	kernelMergeKilled(t, 2)
}

func kernelMergeKilled(t *testing.T, times int) {
	for _, c := range []killCase{
		{1, 19000, 17500, 60, "loops", false, 3 * times},
		{8, 2000*8 - 3, 1800, 40, "slow", false, 3 * times},
		{1, 800, 500, 20, "slow", true, 4 * times}, // every way of taking back
		{8, 900*8 - 3, 700, 20, "files", true, 4 * times},
	} {
		t.Run(c.name(), func(t *testing.T) { c.run(t, true) })
	}
}

// killCase is a store and how often its merge is killed.
type killCase struct {
	chunk, origin uint64 // sectors
	n, longest    int
	on            string
	undo          bool
	times         int
}

func (c killCase) name() string { return fmt.Sprintf("chunk %d, %s, undo %v", c.chunk, c.on, c.undo) }

func (c killCase) run(t *testing.T, lab bool) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(15, seed))
	k := &killing{
		unmerged: scattered(t, rng, c.chunk, c.origin, c.n, c.longest), Rand: rng, lab: lab, landed: map[string]int{},
	}
	k.prepare(t, c.on)
	for n := range c.times {
		k.once(t, n, c.undo)
	}
	t.Logf("of %d kills in %v: %v", c.times, k.took, k.landed)
	if k.landed["at the end"] == c.times {
		t.Error("none found it at work")
	}
}

// prepare makes the devices, and finds out what is to be. On a slow COW device a kill
// comes between two of the writes that clear exceptions.
func (k *killing) prepare(t *testing.T, on string) {
	t.Helper()
	if k.lab {
		k.originLoop, k.cowLoop, k.end = k.byKernel(t)
		k.view = viewOf(t, k.originLoop, k.cowLoop, k.chunk)
	} else {
		view, cleared := k.expected(t)
		k.end = mergedTo{corpus.Digest(view), corpus.Digest(cleared)}
		k.view = k.end.origin
	}
	k.originDev, k.cowDev = k.originLoop, k.cowLoop
	switch on {
	case "files":
		k.originDev, k.cowDev = k.files(t)
		k.originLoop, k.cowLoop = "", ""
	case "slow":
		table := fmt.Sprintf("0 %d delay %s 0 0 %[2]s 0 10", len(k.cow)/kernellab.SectorSize, k.cowLoop)
		k.cowDev = kernellab.Create(t, "slow", table, false).Path
	}
}

// restart makes the devices what they were before.
func (k *killing) restart(t *testing.T) {
	t.Helper()
	if k.originLoop == "" {
		k.reset(t, k.originDev, k.cowDev)
	} else {
		k.reset(t, k.originLoop, k.cowLoop)
	}
}

// devices are block devices of both, until done is called.
func (k *killing) devices(t *testing.T) (origin, cow string, done func()) {
	t.Helper()
	if k.originLoop != "" {
		return k.originLoop, k.cowLoop, func() {}
	}
	origin, cow = kernellab.Loop(t, k.originDev), kernellab.Loop(t, k.cowDev)
	return origin, cow, func() {
		kernellab.Detach(t, origin)
		kernellab.Detach(t, cow)
	}
}

// once kills it once.
func (k *killing) once(t *testing.T, n int, withUndo bool) {
	t.Helper()
	k.restart(t)
	args := []string{"merge", "--yes", "--memory=1M", k.cowDev, "--into", k.originDev}
	undo := filepath.Join(t.TempDir(), "undo")
	if withUndo {
		args = append(args, "--undo", undo)
	}
	for k.runs < 3 { // the first may be a slow one
		took, _ := killed(t, nil, args...)
		if k.runs++; k.took == 0 || took < k.took {
			k.took = took
		}
		k.end.want(t, k.originDev, k.cowDev)
		k.restart(t)
		_ = os.Remove(undo)
	}
	after := time.Duration(k.Float64() * k.Float64() * float64(k.took)) // more often early: the end is idle
	if n == 0 {
		after = 0 // one at least finds it at work
	}
	killed(t, &after, args...)
	k.landed[k.checkList(t)]++
	byKernel := k.lab && !withUndo && n%2 == 0
	k.look(t, byKernel)
	undone := withUndo && n%4 >= 2 // from where it was killed
	if !byKernel && !undone {
		expect(t, 0, args...)
	}
	if !undone {
		got := mergedTo{kernellab.MustDigest(t, k.originDev), corpus.Digest(k.withoutLeftovers(kernellab.MustRead(t, k.cowDev)))}
		k.end.equal(t, got)
	}
	if withUndo {
		k.takeBack(t, undo, n%2 == 1, k.lab && (n%4 == 0 || n%4 == 3))
	}
	if t.Failed() {
		t.Fatalf("time %d: killed after %v", n, after)
	}
}

// look wants the snapshot to show what it did, and has the kernel go on with the merge
// if it is to.
func (k *killing) look(t *testing.T, goOn bool) {
	t.Helper()
	got := ""
	if !k.lab {
		now := unmerged{k.chunk, kernellab.MustRead(t, k.originDev), kernellab.MustRead(t, k.cowDev)}
		view, _ := now.expected(t)
		got = corpus.Digest(view)
	} else {
		origin, cow, done := k.devices(t)
		defer done()
		got = viewOf(t, origin, cow, k.chunk)
		if goOn {
			defer kernelMerges(t, origin, cow, k.chunk)
		}
	}
	if got != k.view {
		t.Error("the snapshot shows something else")
	}
}

// expected is what a merge makes of both devices.
func (u unmerged) expected(t *testing.T) (origin, cow []byte) {
	t.Helper()
	origin, err := u.store().View(u.origin)
	if err != nil {
		t.Fatal(err)
	}
	return origin, u.clearedFrom(0)
}

// clearedFrom is the COW device with the exceptions of the list from one on cleared.
func (u unmerged) clearedFrom(n int) []byte {
	s := unmerged{chunk: u.chunk, cow: bytes.Clone(u.cow)}.store()
	for end := len(s.List()); n < end; n++ {
		clear(s.Entry(n))
	}
	return s.Image
}

// withoutLeftovers clears what a merge that was killed has left of exceptions that are merged, in the
// areas behind the one in which the list ends: nobody reads those.
func (k *killing) withoutLeftovers(cow []byte) []byte {
	was, now := k.store(), unmerged{chunk: k.chunk, cow: cow}.store()
	slots, end := was.PerArea(), len(now.List())
	for n := range was.List() {
		if n/slots > end/slots && bytes.Equal(now.Entry(n), was.Entry(n)) {
			clear(now.Entry(n))
		}
	}
	return cow
}

// checkList wants the store to be what it was, but for exceptions from the list's end
// on, which are cleared. It says where the kill has landed.
func (k *killing) checkList(t *testing.T) string {
	t.Helper()
	left := unmerged{chunk: k.chunk, cow: k.withoutLeftovers(kernellab.MustRead(t, k.cowDev))}.store()
	all := len(k.store().List())
	end := min(all, len(left.List()))
	if !bytes.Equal(left.Image, k.clearedFrom(end)) {
		t.Errorf("the store is not its beginning up to exception %d of %d", end, all)
	}
	switch end {
	case all:
		return "before the first exception was cleared"
	case 0:
		return "at the end"
	}
	return "between"
}

// takeBack has an undo log merged by the kernel or by dmcow, perhaps after dmcow was
// killed at it. What was killed before it made a log has not written to the origin.
func (k *killing) takeBack(t *testing.T, undo string, afterKill, byKernel bool) {
	t.Helper()
	log, _ := os.ReadFile(undo)
	if bytes.HasPrefix(log, []byte("SnAp")) {
		args := []string{"merge", "--yes", "--memory=1M", undo, "--into", k.originDev}
		if afterKill {
			after := time.Duration(k.Float64() * float64(k.took) / 4) // there is less to do
			killed(t, &after, args...)
		}
		if byKernel {
			origin, _, done := k.devices(t)
			dev := kernellab.Loop(t, undo)
			kernelMerges(t, origin, dev, k.chunk)
			kernellab.Detach(t, dev)
			done()
		} else {
			expect(t, 0, args...)
		}
	}
	if kernellab.MustDigest(t, k.originDev) != corpus.Digest(k.origin) {
		t.Errorf("the origin is not what it was; taken back by the kernel: %v; killed at that: %v", byKernel, afterKill)
	}
}
