package cmd

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/snapshot"
)

// lookingOut looks at snapshots at moments that a test gives.
type lookingOut struct {
	*testing.T
	lookout snapshot.Lookout
	tracks  snapshot.Tracks
	now     time.Duration
}

func (l *lookingOut) after(d time.Duration) {
	l.Helper()
	l.now += d
	seen, err := l.lookout.Look(l.now)
	kernellab.Must(l, err)
	l.tracks.Add(l.now, seen)
}

func (l *lookingOut) named(name string) *snapshot.Tracked {
	l.Helper()
	for _, x := range l.tracks.All {
		if strings.HasSuffix(x.Name, "-"+name) { // the lab makes names unique
			return x
		}
	}
	l.Fatalf("%s is not seen", name)
	return nil
}

// TestKernelWatchFills writes to a snapshot's origin at known rates. The kernel's status is enough to know how many
// chunks are left, and after a minute the time left is within a tenth of the truth; that is when the kernel drops the snapshot.
func TestKernelWatchFills(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		chunk, perSecond, room uint64 // sectors; chunks; chunks that are stored in all
	}{{1, 7, 700}, {8, 3, 320}, {16, 20, 2000}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			origin, cow := blankLoop(t, (c.room+100)*c.chunk), blankLoop(t, (c.room+1+c.room/(16*c.chunk*512/512)+2)*c.chunk)
			s := kernellab.NewSnapshot(t, origin, cow, "P", c.chunk)
			defer s.Down(t)
			l := &lookingOut{T: t}
			defer l.lookout.Close()
			l.after(time.Hour)
			next := uint64(0)
			promised := time.Duration(0)
			for x := l.named("snap"); !x.Lost(); l.after(time.Second) {
				if u := usageOf(t, cow); x.Usage.Free() != *u.FreeChunks || x.Usage.End.Exceptions != *u.Exceptions {
					t.Fatalf("after %d chunks: %d left, %d stored; the store says %d and %d", next, x.Usage.Free(), x.Usage.End.Exceptions, *u.FreeChunks, *u.Exceptions)
				}
				if f := x.Forecast(); l.now == time.Hour+time.Minute {
					want := float64(x.Usage.Free()) / float64(c.perSecond)
					if !f.Ever || math.Abs(f.Left.Seconds()-want) > want/10 {
						t.Fatalf("after a minute: %+v, expected %.0f s", f, want)
					}
					promised = l.now + f.Left
				}
				overwrite(t, s.Origin.Path, c.chunk, span(next, next+c.perSecond))
				next += c.perSecond
			}
			if off := (l.now - promised).Abs(); promised == 0 || off > (promised-time.Hour)/10 {
				t.Errorf("lost at %v, promised for %v", l.now, promised)
			}
		})
	}
}

// TestKernelWatchComesAndGoes has snapshots come, go and be merged while they are watched.
func TestKernelWatchComesAndGoes(t *testing.T) {
	kernellab.Require(t)
	const chunk = 8
	l := &lookingOut{T: t}
	l.lookout.Names = []string{"dmcow-*"} // LVM's records are not looked for, which takes long
	defer l.lookout.Close()
	l.after(time.Second)
	origin, cow := blankLoop(t, 5000*chunk), blankLoop(t, 2000*chunk)
	s := kernellab.NewSnapshot(t, origin, cow, "P", chunk)
	l.after(time.Second)
	if x := l.named("snap"); !x.Active || x.Merging || x.State != "valid" || x.Usage.End.Exceptions != 0 {
		t.Errorf("a new snapshot: %+v", x.Seen)
	}
	var apart []uint64 // a step of the merge for each
	for n := range uint64(1500) {
		apart = append(apart, 3*n)
	}
	overwrite(t, s.View.Path, chunk, apart)
	s.Down(t)
	l.after(time.Second)
	if x := l.named("snap"); !x.Gone {
		t.Errorf("a snapshot that was removed: %+v", x.Seen)
	}
	l.after(2 * time.Minute)
	if len(l.tracks.All) > 0 {
		t.Errorf("what is gone is watched for ever: %+v", l.tracks.All)
	}
	// A disk on which each write takes a while keeps the merge under way for many seconds: it is left there.
	slow := kernellab.Create(t, "slow", fmt.Sprintf("0 %d delay %s 0 0 %[2]s 0 10", kernellab.Size(t, origin), origin), false)
	defer slow.Remove(t)
	seen := 0
	kernellab.Merge(t, slow.Path, cow, "P", chunk, func(uint64) bool {
		l.after(20 * time.Second)
		for _, x := range l.tracks.All {
			if f := x.Forecast(); x.Merging && x.State == "valid" && f.Ever {
				seen++
				if x.ToMerge > 1500 || x.Usage.End.Exceptions > x.ToMerge {
					t.Errorf("%d of %d are left to merge", x.Usage.End.Exceptions, x.ToMerge)
				}
			}
		}
		return seen == 3
	})
	if seen < 3 {
		t.Error("no look was in mid-merge, with the time that is left")
	}
}

// TestKernelWatchUntil has the command end by itself, when the kernel has stored as much as it waits for, or has
// dropped the snapshot.
func TestKernelWatchUntil(t *testing.T) {
	kernellab.Require(t)
	const chunk = 8
	origin, cow := blankLoop(t, 2000*chunk), blankLoop(t, 500*chunk)
	s := kernellab.NewSnapshot(t, origin, cow, "P", chunk)
	defer s.Down(t)
	for _, c := range []struct {
		until []string
		first uint64
		end   uint64
		says  string
	}{
		{[]string{"--until", "50"}, 0, 300, ": 6"},
		{[]string{"--until-left", "1s"}, 300, 600, ": lost: invalid"},
	} {
		said, status := watched(t, append([]string{"watch", s.View.Name, "--output", "csv", "--interval", "100ms"}, c.until...), func() {
			overwrite(t, s.Origin.Path, chunk, span(c.first, c.end))
		})
		if status != int(statusReached) || !strings.Contains(said, c.says) {
			t.Errorf("%v: status %d: %s", c.until, status, said)
		}
	}
}

// watched runs dmcow, does something once it has told of its first look, and returns what it says and ends with.
func watched(t *testing.T, args []string, do func()) (said string, status int) {
	t.Helper()
	out, in, err := os.Pipe()
	kernellab.Must(t, err)
	defer out.Close()
	var stderr strings.Builder
	done := make(chan int)
	go func() {
		defer in.Close()
		done <- Main(args, in, &stderr)
	}()
	p := make([]byte, 4096)
	for text := ""; strings.Count(text, "\n") < 2; {
		n, err := out.Read(p)
		kernellab.Must(t, err)
		text += string(p[:n])
	}
	go func() {
		for {
			if _, err := out.Read(p); err != nil {
				return
			}
		}
	}()
	do()
	status = <-done
	return stderr.String(), status
}

// TestKernelLongWatchMany: what 200 snapshots cost.
func TestKernelLongWatchMany(t *testing.T) {
	kernellab.Require(t)
	devicetest.Long(t)
	const many, chunk, size = 200, 8, 64
	origin, cow := blankLoop(t, size), blankLoop(t, many*size)
	for i := range many {
		slice := kernellab.Create(t, fmt.Sprintf("cow%d", i), fmt.Sprintf("0 %d linear %s %d", size, cow, i*size), false)
		kernellab.Create(t, fmt.Sprintf("snap%d", i), fmt.Sprintf("0 %d snapshot %s %s P %d", size, origin, slice.Path, chunk), false)
	}
	l := &lookingOut{T: t}
	l.lookout.Names = []string{"dmcow-*-snap*"} // LVM's records are not looked for
	defer l.lookout.Close()
	l.after(time.Second)
	const looks = 120 // two minutes
	before := processorTime(t)
	for range looks {
		l.after(time.Second)
	}
	took := processorTime(t) - before
	if len(l.tracks.All) != many {
		t.Errorf("%d are seen, expected %d", len(l.tracks.All), many)
	}
	t.Logf("a look at %d snapshots takes %v of a processor", many, took/looks)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	kernellab.Must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
