// Package runlog keeps a log of runs, for evidence: a line a run, in a file that only grows.
package runlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dmcow/internal/words"
)

// Log is a log that is open to be appended to.
type Log struct {
	file *os.File
}

// head is how every line begins, by which a log is known.
const head = `{"version":"dmcow`

// private is the mode of a log: names of files may tell something, too.
const private = 0o600

// Open opens a log, or makes one. It refuses a file that is something else, and one that is among those that the run
// works on: nothing is written to that, it is not even opened, and none is made.
func Open(name string, others []string) (*Log, error) {
	info, err := os.Stat(name)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil {
		err = check(info, others)
	}
	if err != nil && !fresh {
		return nil, words.Pathless(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, private)
	if err != nil {
		return nil, words.Pathless(err)
	}
	if info, err = f.Stat(); err == nil {
		err = errors.Join(check(info, others), checkHead(f)) // what was not there may be among the others now
	}
	if err != nil {
		f.Close()
		if fresh {
			_ = os.Remove(name)
		}
		return nil, words.Pathless(err)
	}
	return &Log{f}, nil
}

// check refuses what is not a regular file, and what the run works on.
func check(log os.FileInfo, others []string) error {
	if !log.Mode().IsRegular() {
		return errors.New("refused: a run log is a regular file")
	}
	for _, name := range others {
		if other, err := os.Stat(name); err == nil && os.SameFile(log, other) {
			return fmt.Errorf("refused: the run works on it, as %s", words.Printable(name))
		}
	}
	return nil
}

// checkHead refuses a file that holds something else than a log.
func checkHead(f io.ReaderAt) error {
	start := make([]byte, len(head))
	n, err := f.ReadAt(start, 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return words.Pathless(err)
	case n > 0 && string(start[:n]) != head:
		return errors.New("refused: it is there, and is not a run log")
	}
	return nil
}

// Append appends a line, makes it durable, and closes the log. A line before it that was cut off stays a line of its own.
func (l *Log) Append(line []byte) error {
	info, err := l.file.Stat()
	last := []byte{'\n'}
	if err == nil && info.Size() > 0 {
		_, err = l.file.ReadAt(last, info.Size()-1)
	}
	if last[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	if err == nil {
		_, err = l.file.Write(line)
	}
	if err == nil {
		err = l.file.Sync()
	}
	return words.Pathless(errors.Join(err, l.file.Close()))
}
