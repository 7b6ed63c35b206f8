package kernellab

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A Log reads what device-mapper logs from the moment that the Log is opened.
type Log struct{ fd int }

// OpenLog opens the kernel's log at its end.
func OpenLog(t testing.TB) *Log {
	t.Helper()
	fd, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	Must(t, os.NewSyscallError("open /dev/kmsg", err))
	_, err = syscall.Seek(fd, 0, io.SeekEnd)
	Must(t, os.NewSyscallError("seek /dev/kmsg", err))
	return &Log{fd}
}

// Lines returns device-mapper's lines since OpenLog or the last call, each
// without the "device-mapper: " before it.
func (l *Log) Lines() []string {
	var lines []string
	record := make([]byte, 8192) // a read gives one whole record, never part of one
	for {
		n, err := syscall.Read(l.fd, record)
		if err == syscall.EPIPE || err == syscall.EINTR {
			continue // records were overwritten before they were read
		}
		if err != nil || n == 0 {
			return lines
		}
		_, text, _ := strings.Cut(string(record[:n]), ";")
		text, _, _ = strings.Cut(text, "\n")
		if text, found := strings.CutPrefix(text, "device-mapper: "); found {
			lines = append(lines, text)
		}
	}
}

// Close closes the log.
func (l *Log) Close() { _ = syscall.Close(l.fd) }
