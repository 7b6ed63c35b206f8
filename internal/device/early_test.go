package device

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// slowDisk stands in for the kernel: it begins to write when it is let.
type slowDisk struct {
	asked, let chan string
}

func newSlowDisk(e *early) *slowDisk {
	s := &slowDisk{make(chan string), make(chan string)}
	e.syncFileRange = func(fd int, offset, length int64, flags int) error {
		s.asked <- fmt.Sprint(fd, offset, length, flags)
		<-s.let
		return errors.New("the next sync tells of it")
	}
	return s
}

// TestEarly: whoever writes does not wait for the disk; what is written meanwhile is
// begun together. Who closes the file does wait, for what has been begun alone: its
// descriptor may be another file's then.
func TestEarly(t *testing.T) {
	w := manyFile(t, 1)
	e := w.early
	disk := newSlowDisk(e)
	e.begin(7, 100, 200)
	if got := <-disk.asked; got != "7 100 100 2" {
		t.Errorf("asked for %s", got)
	}
	e.begin(7, 400, 500)
	e.begin(7, 50, 60)
	e.begin(7, 300, 600)
	disk.let <- ""
	if got := <-disk.asked; got != "7 50 550 2" {
		t.Errorf("asked for %s", got)
	}
	e.begin(7, 0, 1)
	closed := make(chan bool)
	go func() {
		w.Close()
		close(closed)
	}()
	giveUp := time.Now().Add(time.Minute)
	for left := true; left; { // until Close waits
		if time.Now().After(giveUp) {
			t.Fatal("Close does not wait")
		}
		e.mu.Lock()
		left = e.start != e.end
		e.mu.Unlock()
	}
	select {
	case <-closed:
		t.Error("closed too soon")
	default:
	}
	disk.let <- ""
	<-closed
}

// TestEarlyOfMany: after many writes through the page cache the disk is asked for the
// stretch that they lie in, of a section too.
func TestEarlyOfMany(t *testing.T) {
	w := manyFile(t, 8)
	w.direct = false
	var asked []string
	w.early.syncFileRange = func(fd int, offset, length int64, _ int) error {
		asked = append(asked, fmt.Sprint(offset, length))
		return nil
	}
	section, err := w.Section(1024, 3072)
	if err != nil {
		t.Fatal(err)
	}
	p, at := manyBlocks(2)
	write := func(w *Writable, p [][]byte) {
		t.Helper()
		if _, err := w.WriteMany(p, at); err != nil {
			t.Error(err)
		}
		w.early.mu.Lock()
		for w.early.busy {
			w.early.idle.Wait()
		}
		w.early.mu.Unlock()
	}
	write(w, p)
	at = []int64{2048, 512}
	write(section, p)
	write(w, nil)
	w.direct = true // passes for it
	write(w, p)
	if want := []string{"0 1024", "1536 2048"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}
