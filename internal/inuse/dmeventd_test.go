package inuse

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDmeventd asks a daemon that a test plays, which first answers a question of somebody else's.
func TestDmeventd(t *testing.T) {
	dir := t.TempDir()
	d := dmeventd{filepath.Join(dir, "pid"), filepath.Join(dir, "server"), filepath.Join(dir, "client"), 20 * time.Second}
	if yes, err := d.watches("LVM-a"); yes || err != nil {
		t.Errorf("no daemon: %v, %v", yes, err)
	}
	pid, err := os.Create(d.pid)
	if err != nil {
		t.Fatal(err)
	}
	defer pid.Close()
	if yes, err := d.watches("LVM-a"); yes || err != nil {
		t.Errorf("a daemon that is gone: %v, %v", yes, err)
	}
	for _, path := range []string{d.server, d.client} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The lock of this process would not be seen by itself: one of an open file is.
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(pid.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	for uuid, want := range map[string]bool{"LVM-a": true, "LVM-b": false} {
		asked := playDmeventd(t, d, map[string]int32{"LVM-a": 0, "LVM-b": -int32(unix.ENOENT)})
		if yes, err := d.watches(uuid); yes != want || err != nil {
			t.Errorf("%s: %v, %v", uuid, yes, err)
		}
		if question := <-asked; !strings.HasSuffix(question, " - "+uuid+" 0 0\x00") && !strings.Contains(question, "- "+uuid+" 0 0") {
			t.Errorf("%q was asked", question)
		}
	}
	d.patience = time.Millisecond
	if _, err := d.watches("LVM-a"); err != errSilent {
		t.Errorf("a daemon that does not answer: %v", err)
	}
	asks, err := os.OpenFile(d.client, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer asks.Close()
	full := asks.SetWriteDeadline(time.Now().Add(time.Millisecond))
	for full == nil {
		_, full = asks.Write(make([]byte, 512))
	}
	if _, err := d.watches("LVM-a"); err != errSilent {
		t.Errorf("a daemon that takes no question: %v", err)
	}
}

// playDmeventd answers one question.
func playDmeventd(t *testing.T, d dmeventd, known map[string]int32) <-chan string {
	t.Helper()
	asks, err := os.OpenFile(d.client, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := os.OpenFile(d.server, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	go func() {
		defer asks.Close()
		defer answers.Close()
		head := make([]byte, 8)
		if readWhole(asks, head) != nil || binary.BigEndian.Uint32(head) != getRegistered {
			asked <- "not that"
			return
		}
		text := make([]byte, binary.BigEndian.Uint32(head[4:]))
		if readWhole(asks, text) != nil {
			asked <- "no text"
			return
		}
		words := strings.Fields(string(text))
		for _, id := range []string{"1:1", words[0]} {
			answer := id + " dso " + words[2] + "\x00"
			p := binary.BigEndian.AppendUint32(nil, uint32(known[words[2]]))
			p = binary.BigEndian.AppendUint32(p, uint32(len(answer)))
			if _, err := answers.Write(append(p, answer...)); err != nil {
				asked <- err.Error()
				return
			}
		}
		asked <- string(text)
	}()
	return asked
}
