package inuse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dmeventd is how device-mapper's event daemon is asked (libdevmapper-event): through two pipes, of which that to the
// client is locked by who asks.
type dmeventd struct {
	pid, server, client string        // files
	patience            time.Duration // with a daemon that does not answer
}

var theDmeventd = dmeventd{"/run/dmeventd.pid", "/run/dmeventd-server", "/run/dmeventd-client", time.Second}

// getRegistered asks whether a device is registered (DM_EVENT_CMD_GET_REGISTERED_DEVICE).
const getRegistered = 4

// mostAnswer is more than an answer has, in bytes.
const mostAnswer = 4096

// IsMonitored reports whether dmeventd watches the device-mapper device of a UUID, and extends it where LVM's
// configuration says so. The error says why that is not known. The daemon is not started.
func IsMonitored(uuid string) (bool, error) { return theDmeventd.watches(uuid) }

func (d dmeventd) watches(uuid string) (bool, error) {
	running, err := d.runs()
	if err != nil || !running {
		return false, err
	}
	answers, err := os.OpenFile(d.server, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer answers.Close()
	end := time.Now().Add(d.patience)
	if err := lockUntil(answers, end); err != nil {
		return false, err
	}
	asks, err := os.OpenFile(d.client, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer asks.Close()
	id := fmt.Sprintf("%d:%d ", os.Getpid(), end.UnixNano()&0xffffff)
	text := id + "- " + uuid + " 0 0\x00"
	head := binary.BigEndian.AppendUint32(nil, getRegistered)
	head = binary.BigEndian.AppendUint32(head, uint32(len(text)))
	if err := asks.SetWriteDeadline(end); err != nil {
		return false, err
	}
	if _, err := asks.Write(append(head, text...)); err != nil {
		return false, silent(err)
	}
	return readAnswer(answers, id, end)
}

// runs reports whether the daemon runs: it has its file locked then.
func (d dmeventd) runs() (bool, error) {
	f, err := os.Open(d.pid)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return false, err
	}
	return lock.Type != unix.F_UNLCK, nil
}

// ErrSilent says that dmeventd has not answered, and need not be asked again: each time would cost as much patience.
var ErrSilent = errors.New("dmeventd does not answer")

func lockUntil(f *os.File, end time.Time) error {
	for {
		err := lockAtOnce(f)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(end) {
			return ErrSilent // somebody else waits for it
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// readAnswer reads answers until one is to this question: one that somebody else did not wait for may be before it.
func readAnswer(from *os.File, id string, end time.Time) (bool, error) {
	if err := from.SetReadDeadline(end); err != nil {
		return false, err
	}
	head := make([]byte, 8)
	for {
		if err := readWhole(from, head); err != nil {
			return false, err
		}
		size := binary.BigEndian.Uint32(head[4:])
		if size > mostAnswer {
			return false, ErrSilent
		}
		text := make([]byte, size)
		if err := readWhole(from, text); err != nil {
			return false, err
		}
		if answer, ours := strings.CutPrefix(string(text), id); ours {
			return isRegistered(int32(binary.BigEndian.Uint32(head)), answer)
		}
	}
}

// watchedEvents are the events that a device is watched for (DM_EVENT_ERROR_MASK, DM_EVENT_STATUS_MASK).
const watchedEvents = 0xffff00

// isRegistered is what an answer says. Its code is 0, or an error's number below it; its text ends with the events that
// the device is watched for. Of a device that dmeventd is about to give up, there are none.
func isRegistered(code int32, text string) (bool, error) {
	switch errno := syscall.Errno(-code); {
	case errno == unix.ENOENT, errno == unix.ENODEV:
		return false, nil
	case code != 0:
		return false, fmt.Errorf("dmeventd answers: %w", errno)
	}
	words := strings.Fields(strings.TrimRight(text, "\x00"))
	if len(words) == 0 {
		return false, errors.New("dmeventd answers nothing")
	}
	events, err := strconv.ParseUint(words[len(words)-1], 10, 32)
	if err != nil {
		return false, fmt.Errorf("dmeventd answers %q", text)
	}
	return events&watchedEvents != 0, nil
}

// silent is ErrSilent for an error of a deadline.
func silent(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrSilent
	}
	return err
}

func readWhole(from *os.File, p []byte) error {
	for done := 0; done < len(p); {
		n, err := from.Read(p[done:])
		done += n
		if err != nil {
			return silent(err)
		}
	}
	return nil
}
