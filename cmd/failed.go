package cmd

import (
	"fmt"
	"io"
	"path/filepath"

	"dmcow/format"
	"dmcow/store/merge"
)

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
	return c.failedList(j).write(func(w io.Writer) error {
		for _, x := range r.Failed {
			if _, err := fmt.Fprintf(w, "%d,%d,%d,%d\n", x.Old, x.New, sectorOf(x.Old, chunk), chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

// failedList is the list of chunks that could not be read.
func (c *mergeCmd) failedList(j *job) textFile {
	return textFile{j.app, c.Failed, "old_chunk,new_chunk,origin_sector,sectors\n"}
}

func sectorOf(old format.OldChunk, chunk format.Sectors) format.Sectors {
	return format.Sectors(old) * chunk
}

// refuseFailed refuses a file for the list that holds something else.
func (c *mergeCmd) refuseFailed(j *job) error {
	return c.failedList(j).refuse(c.Undo, c.COW, c.Into)
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
