package ahead_test

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"dmcow/internal/ahead"
)

type square struct{ of, is int }

// TestOrder: jobs are taken in order, whoever did them, each with its own work; no more of them are there than
// was asked for.
func TestOrder(t *testing.T) {
	for _, workers := range []int{1, 3, 20} {
		for _, jobs := range []int{1, 2, 16, 40} {
			var atOnce, most, made atomic.Int32
			l := ahead.New(workers, func(s *square) {
				n := atOnce.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				s.is = s.of * s.of
				atOnce.Add(-1)
			})
			given, seen := 0, map[*square]bool{}
			var got, want []int
			for i := range 100 {
				want = append(want, i*i)
			}
			for {
				l.Fill(jobs, func(s *square) bool {
					if given == 100 {
						return false
					}
					if !seen[s] {
						seen[s] = true
						made.Add(1)
					}
					s.of, s.is = given, -1
					given++
					return true
				})
				if l.Len() > jobs {
					t.Errorf("%d jobs are on their way", l.Len())
				}
				s := l.Take()
				if s == nil {
					break
				}
				got = append(got, s.is)
			}
			l.Close()
			if !slices.Equal(got, want) || int(most.Load()) > workers || int(made.Load()) > jobs {
				t.Errorf("%d workers, %d jobs: %v; %d at once, of %d", workers, jobs, got, most.Load(), made.Load())
			}
		}
	}
}

// TestInOrder: one worker does the jobs in their order.
func TestInOrder(t *testing.T) {
	var done []int
	l := ahead.New(1, func(s *square) { done = append(done, s.of) })
	n := 0
	for range 10 {
		l.Fill(4, func(s *square) bool { s.of = n; n++; return n <= 20 })
		l.Take()
	}
	l.Close() // after which nobody writes to done
	if !slices.IsSorted(done) || len(done) < 10 {
		t.Errorf("%v", done)
	}
}

// TestClose: what has begun is waited for, and is not taken; what has not is left undone.
func TestClose(t *testing.T) {
	var began, done atomic.Int32
	first, closing := make(chan struct{}, 8), make(chan struct{})
	l := ahead.New(2, func(*square) {
		began.Add(1)
		first <- struct{}{}
		<-closing
		done.Add(1)
	})
	l.Fill(8, func(*square) bool { return true })
	<-first
	<-first // both workers are at work
	go func() {
		for !l.IsClosing() {
			runtime.Gosched()
		}
		close(closing)
	}()
	l.Close()
	if began.Load() != 2 || done.Load() != 2 || l.Take() != nil {
		t.Errorf("%d jobs were begun, %d are done", began.Load(), done.Load())
	}
}

// TestGiven: jobs that were given are used, and no others where they are enough.
func TestGiven(t *testing.T) {
	given := []*square{{}, {}, {}}
	l := ahead.New(1, func(*square) {}, given...)
	defer l.Close()
	n := 0
	for range 9 {
		l.Fill(3, func(s *square) bool {
			if n++; !slices.Contains(given, s) {
				t.Error("a new one")
			}
			return true
		})
		l.Take()
	}
}
