package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store/merge"
)

// failedHead is the first line of a list of chunks that could not be read.
const failedHead = "old_chunk,new_chunk,origin_sector,sectors\n"

// shownFailed is how many of them are named on standard error.
const shownFailed = 10

// tellFailed names the chunks that could not be read, and writes them to the file
// that was asked for.
func (c *mergeCmd) tellFailed(j *job, r merge.Result) error {
	chunk := j.id.Geometry.ChunkSectors()
	for i, x := range r.Failed {
		if i == shownFailed {
			j.say(j.path, "and %d chunks more cannot be read", len(r.Failed)-i)
			break
		}
		j.say(j.path, "chunk %d cannot be read: sectors %d to %d of the origin are not merged",
			x.New, sectorOf(x.Old, chunk), min(sectorOf(x.Old+1, chunk), j.originSize().Sectors())-1)
	}
	if c.Failed == "" {
		return nil
	}
	if err := writeFailed(string(c.Failed), r.Failed, chunk); err != nil {
		return &failure{string(c.Failed), statusFailed, err}
	}
	return nil
}

func sectorOf(old format.OldChunk, chunk format.Sectors) format.Sectors {
	return format.Sectors(old) * chunk
}

// refuseFailed is the failure of a file for the list that holds something else.
func (c *mergeCmd) refuseFailed() error {
	if c.Failed == "" {
		return nil
	}
	f, err := device.Open(string(c.Failed))
	if errors.Is(err, fs.ErrNotExist) {
		err = c.creatableFailed()
	} else if err == nil {
		defer f.Close()
		head := make([]byte, len(failedHead))
		if n, _ := f.ReadAt(head, 0); f.Size() > 0 && string(head[:n]) != failedHead {
			err = errors.New("holds something else than such a list, and is not written over")
		}
	}
	if err != nil {
		return &failure{string(c.Failed), statusFailed, err}
	}
	return nil
}

// creatableFailed is why there can be no new file for the list.
func (c *mergeCmd) creatableFailed() error {
	if err := device.Creatable(string(c.Failed)); err != nil {
		return err
	}
	if place(string(c.Failed)) == place(string(c.Undo)) {
		return errors.New("is the file of --undo")
	}
	return nil
}

// place is a path without symbolic links on the way to its last name.
func place(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Join(dir, filepath.Base(path))
}

// writeFailed writes a list, in place of an older one when it is whole.
func writeFailed(path string, all []format.Exception, chunk format.Sectors) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprint(w, failedHead)
	for _, x := range all {
		fmt.Fprintf(w, "%d,%d,%d,%d\n", x.Old, x.New, sectorOf(x.Old, chunk), chunk)
	}
	if err := errors.Join(w.Flush(), f.Chmod(0o644), f.Sync()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
