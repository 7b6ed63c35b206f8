package store_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store"
)

// TestManyInFlight has many goroutines prepare, copy, look up and commit at
// once, until the store is full: each is told once, and what it was told is so.
func TestManyInFlight(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 3000\nheader chunk=1"))
	s := open(t, d)
	var next, told, committed, refused atomic.Int64
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for {
				old := format.OldChunk(next.Add(1))
				p, err := s.PrepareException(old)
				if errors.Is(err, store.ErrNoRoom) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				_, err = d.WriteAt(content(s.Geometry(), old), int64(s.Geometry().Offset(p.New)))
				if n, ok := s.Lookup(old); !ok || n != p.New || err != nil {
					t.Errorf("%v: lookup gives %d, %v; %v", p, n, ok, err)
				}
				s.Usage()
				copied := old%10 != 0
				s.CommitException(p, copied, func(err error) {
					told.Add(1)
					switch {
					case err == nil && copied:
						committed.Add(1)
						s.Status() // what calls back may call in
					case errors.Is(err, store.ErrCopyFailed) && !copied:
						refused.Add(1)
					default:
						t.Errorf("%v, copied %v: %v", p, copied, err)
					}
				})
			}
		})
	}
	workers.Wait()
	found := list(t, d)
	if int64(len(found)) != committed.Load() || told.Load() != committed.Load()+refused.Load() || len(found) < 2000 {
		t.Errorf("told of %d, %d of them committed and %d not; %d are there", told.Load(), committed.Load(), refused.Load(), len(found))
	}
	seen := map[format.OldChunk]bool{}
	for _, x := range found {
		data := make([]byte, 512)
		d.Peek(data, int64(s.Geometry().Offset(x.New)))
		if seen[x.Old] || string(data) != string(content(s.Geometry(), x.Old)) {
			t.Errorf("%v: twice, or other data", x)
		}
		seen[x.Old] = true
	}
}

// oneArea is a device of which all areas are kept in one place, so that a store
// of any length fits into memory.
type oneArea struct {
	*devicetest.Memory
	area []byte
}

func (d *oneArea) WriteAt(p []byte, _ int64) (int, error) { return copy(d.area, p), nil }
func (d *oneArea) WriteDurable(p []byte, _ int64) error {
	copy(d.area, p)
	return nil
}

// endless is an empty store with room for any number of exceptions.
func endless(b *testing.B, table bool) *store.Store {
	d := devicetest.New(1 << 50)
	g := geometry(b, 8)
	if err := store.Initialize(d, g, nil); err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(&oneArea{d, make([]byte, g.ChunkBytes())}, store.Options{Table: table})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkCommit commits exceptions that are in flight an area at a time, and
// tells how many a second.
func BenchmarkCommit(b *testing.B) {
	for name, table := range map[string]bool{"without a table": false, "with a table": true} {
		b.Run(name, func(b *testing.B) {
			s := endless(b, table)
			batch := s.Geometry().ExceptionsPerArea()
			pending := make([]store.Pending, 0, batch)
			told := func(err error) {
				if err != nil {
					b.Error(err)
				}
			}
			n := 0
			for b.Loop() {
				for range batch {
					p, err := s.PrepareException(format.OldChunk(n))
					if err != nil {
						b.Fatal(err)
					}
					n++
					pending = append(pending, p)
				}
				for _, p := range pending {
					s.CommitException(p, true, told)
				}
				pending = pending[:0]
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "exceptions/s")
		})
	}
}

// BenchmarkTable tells how many bytes of memory the table takes for each
// exception.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1e5, 1e6, 4e6} {
		s := endless(b, true)
		before := heap()
		for i := range n {
			p, err := s.PrepareException(format.OldChunk(i * 7))
			if err != nil {
				b.Fatal(err)
			}
			s.CommitException(p, true, func(error) {})
		}
		b.ReportMetric(float64(heap()-before)/float64(n), fmt.Sprintf("B/exception:%d", n))
		runtime.KeepAlive(s)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
