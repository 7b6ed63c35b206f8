package device

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"dmcow/internal/raw"
	"dmcow/internal/words"
)

// Stream is a pipe or the like that is read: its reader may be told meanwhile to end.
type Stream struct {
	file *os.File
	// Visit is called whenever the other side has written nothing for a while. Its error ends the read.
	Visit func() error
}

// pipeBytes is how much the kernel is asked to hold of a pipe, so that who writes it and who reads it seldom wait for each
// other, and pollTime is how long one waits for data, in milliseconds.
const (
	pipeBytes = 1 << 20
	pollTime  = 100
)

// StreamOf reads an open file.
func StreamOf(f *os.File, visit func() error) *Stream {
	_, _ = unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, pipeBytes) // or it stays as large as it is
	return &Stream{f, visit}
}

// OpenStream opens a pipe or the like to be read.
func OpenStream(path string, visit func() error) (*Stream, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0) // a pipe that nobody writes yet is waited for by Read
	if err != nil {
		return nil, err
	}
	return StreamOf(os.NewFile(uintptr(fd), path), visit), nil
}

// Read is an io.Reader's.
func (s *Stream) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if err := s.wait(); err != nil {
			return 0, err
		}
		err := raw.Uninterrupted(func() (err error) {
			n, err = unix.Read(int(s.file.Fd()), p)
			return err
		})
		switch {
		case errors.Is(err, unix.EAGAIN): // another reader was faster
		case err != nil:
			return 0, words.Pathless(err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// wait waits until there is something to read, or the end.
func (s *Stream) wait() error {
	for {
		ready := 0
		err := raw.Uninterrupted(func() (err error) {
			ready, err = unix.Poll([]unix.PollFd{{Fd: int32(s.file.Fd()), Events: unix.POLLIN}}, pollTime)
			return err
		})
		if err != nil || ready > 0 {
			return words.Pathless(err)
		}
		if err := s.Visit(); err != nil {
			return err
		}
	}
}

// Close closes it.
func (s *Stream) Close() error { return s.file.Close() }
