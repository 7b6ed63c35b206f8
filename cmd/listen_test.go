package cmd

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what dmcow is to say or do. A test of words that have changed fails then,
// and says what it has read so far.
const patience = time.Minute

// listening is a dmcow that runs, and what it has said so far on standard error.
type listening struct {
	*exec.Cmd
	pipe *os.File
	from *bufio.Reader
	said strings.Builder
}

// listen starts a command, which is killed when the test has ended.
func listen(t *testing.T, c *exec.Cmd) *listening {
	t.Helper()
	pipe, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	limit(t, pipe)
	return &listening{Cmd: c, pipe: pipe.(*os.File), from: bufio.NewReader(pipe)}
}

// upTo reads up to a byte, and returns what it has read.
func (l *listening) upTo(t *testing.T, last byte) string {
	t.Helper()
	text, err := l.from.ReadString(last)
	l.said.WriteString(text)
	if err != nil {
		t.Fatalf("%q: %v; it said %s", l.Args, err, &l.said)
	}
	return text
}

// until reads up to a text.
func (l *listening) until(t *testing.T, text string) {
	t.Helper()
	limit(t, l.pipe)
	for before := l.said.Len(); !strings.Contains(l.said.String()[before:], text); {
		l.upTo(t, text[len(text)-1])
	}
}

// rest reads what it says until it ends, waits for that, and returns all that it has said.
func (l *listening) rest(t *testing.T) string {
	t.Helper()
	limit(t, l.pipe)
	text, err := io.ReadAll(l.from)
	l.said.Write(text)
	if err != nil {
		t.Fatalf("%q: %v; it said %s", l.Args, err, &l.said)
	}
	_ = l.Wait() // the status tells
	return l.said.String()
}

// limit bounds how long what is read from a pipe may be waited for, from now on.
func limit(t *testing.T, pipe io.Reader) {
	t.Helper()
	if err := pipe.(*os.File).SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}
