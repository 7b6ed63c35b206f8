package merge

import (
	"dmcow/format"
	"dmcow/internal/raw"
)

// What can be done where the origin is an image file.

// shareLeast is the least stretch that is worth sharing, in bytes: a file of many
// small extents is slow to read, and each takes longer to share than to copy.
const shareLeast = 64 << 10

// markShared marks what is not read but shared: stretches that are as long on both
// devices.
func (c *copier) markShared(w *window) {
	if !c.shares.Load() {
		return
	}
	long := map[format.Bytes]format.Bytes{} // lengths, by place in the window
	_ = w.runs(wanted, func(first piece, length format.Bytes) error {
		if length >= shareLeast {
			long[first.at] = length
		}
		return nil
	}, c.source, c.target)
	end := format.Bytes(0)
	for i := range w.all {
		p := &w.all[i]
		if length, ok := long[p.at]; ok {
			end = p.at + length
		}
		if p.at < end {
			p.state = shared
		}
	}
}

// share shares what was marked. Where the devices cannot, it is read, and written
// with the rest.
func (c *copier) share(w *window) error {
	cannot := false
	err := w.runs(shared, func(first piece, length format.Bytes) error {
		if cannot {
			return nil
		}
		done, err := c.Share(int64(c.source(first)), int64(c.target(first)), int64(length))
		switch {
		case err != nil:
			return c.writeError(c.target(first), err)
		case done:
			c.result.Shared += length
		default:
			cannot = true
		}
		return nil
	}, c.source, c.target)
	if err != nil || !cannot {
		return err
	}
	c.shares.Store(false)
	for i := range w.all {
		w.all[i].state = wanted
	}
	return c.readSingly(w, false)
}

// makeHoles makes holes on the origin where blocks of the data are zero, and returns
// the rest.
func (c *copier) makeHoles(bufs [][]byte, offsets []int64) (rest [][]byte, at []int64, err error) {
	for i, data := range bufs {
		for start := 0; start < len(data); {
			n, zero := raw.Stretch(data[start:])
			end := start + n
			offset := offsets[i] + int64(start)
			if !zero {
				rest, at = append(rest, data[start:end]), append(at, offset)
			} else if err := c.Hole(offset, int64(end-start)); err != nil {
				return nil, nil, c.writeError(format.Bytes(offset), err)
			} else {
				c.result.Holes += format.Bytes(end - start)
			}
			start = end
		}
	}
	return rest, at, nil
}
