package device

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStream reads a named pipe: it waits for who writes it, reads all, and ends where that one does.
func TestStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Skip("no named pipes: ", err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	waited := make(chan struct{})
	visits := 0
	s, err := OpenStream(path, func() error {
		if visits++; visits == 1 {
			close(waited)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	written := make(chan error, 1)
	go func() {
		<-waited // it was read before it was opened to be written
		written <- os.WriteFile(path, want, 0)
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want) || <-written != nil {
		t.Errorf("%d bytes, %v; expected %d", len(got), err, len(want))
	}
}

// TestStreamEnded: a reader that waits is told to end.
func TestStreamEnded(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	over := errors.New("over")
	s := StreamOf(r, func() error { return over })
	defer s.Close()
	if n, err := s.Read(make([]byte, 10)); n != 0 || err != over {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := w.WriteString("data"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 10)); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
