// Package create writes a store of two images in one pass, with the header last, or streams it.
package create

import (
	"errors"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store"
)

// Creation makes a store whose snapshot of Base reads as Image: it holds the
// chunks in which they differ.
type Creation struct {
	Base, Image Source // of one size, of which the whole sectors count: a device has no others
	Geometry    format.Geometry
	// Visit, where set, is called now and then with the bytes that were compared
	// so far. It stops the creation with the error that it returns.
	Visit func(format.Bytes) error
	// Confirm, where set, is called when all was read, before there is a store. Its error
	// stops the creation.
	Confirm func() error
}

// ErrOtherSize says that the images are not of one size: the snapshot is as
// large as its origin.
var ErrOtherSize = errors.New("the image and the origin differ in size")

// Measure compares the images and returns the number of chunks in which they
// differ. It writes nothing.
func (c Creation) Measure() (chunks uint64, err error) {
	err = c.compare(func(format.OldChunk, []byte) error {
		chunks++
		return nil
	})
	return chunks, err
}

// Size is the size of a store of n exceptions, in bytes.
func (c Creation) Size(n uint64) format.Bytes {
	return c.Geometry.Offset(format.NewChunk(c.Geometry.ChunksFor(n, n)))
}

// size is how much of the images is compared, in bytes.
func (c Creation) size() int64 {
	return c.Image.Size() / format.SectorSize * format.SectorSize
}

// compare calls changed for each chunk in which the images differ, in order.
// data is the image's content of the chunk; it is short at the image's end, and
// only a part of it where a chunk is larger than what is read at a time.
func (c Creation) compare(changed func(old format.OldChunk, data []byte) error) error {
	if c.Base.Size() != c.Image.Size() {
		return ErrOtherSize
	}
	both := newComparison(c.Base, c.Image, c.size(), c.Geometry.ChunkBytes())
	defer both.line.Close()
	known := int64(-1) // the last chunk that was called changed: it may go on in the next window
	for {
		w, err := both.take()
		if w == nil {
			return err
		}
		image := w.data[1]
		for _, at := range w.differ {
			old := (w.offset + int64(at)) / int64(both.chunk)
			if old == known {
				continue
			}
			known = old
			if err := changed(format.OldChunk(old), image[at:min(at+both.chunk, len(image))]); err != nil {
				return err
			}
		}
		if c.Visit != nil {
			if err := c.Visit(format.Bytes(w.offset) + format.Bytes(len(image))); err != nil {
				return err
			}
		}
	}
}

// Write writes the store to d and returns the number of its exceptions. grow, where it is not nil, makes d
// larger: then it is a file, made as large as it has to be.
//
// First the header goes, durably, then everything else is written in one pass through the images, and when
// that is durable the header: whenever it is cut off, there is no store, but the mark of an unfinished one
// (see [look.Identity.Unfinished]). The error is [ErrOtherSize], [store.ErrNoRoom], a [*SourceError], one of
// writing, or Visit or Confirm's.
func (c Creation) Write(d store.WriteDevice, grow func(format.Bytes) error) (chunks uint64, err error) {
	if c.Base.Size() != c.Image.Size() {
		return 0, ErrOtherSize
	}
	b := newBuilder(d, c.Geometry, grow)
	if err := b.begin(); err != nil {
		return 0, err
	}
	err = c.compareAndConfirm(func(old format.OldChunk, data []byte) error {
		if c.Geometry.ChunkBytes() > mostWindow {
			return c.addLarge(b, old)
		}
		return b.add(old, data)
	})
	if err != nil {
		return b.count, err
	}
	return b.count, b.finish()
}

func (c Creation) compareAndConfirm(changed func(old format.OldChunk, data []byte) error) error {
	err := c.compare(changed)
	if err == nil && c.Confirm != nil {
		err = c.Confirm()
	}
	return err
}

func (c Creation) addLarge(b *builder, old format.OldChunk) error {
	if err := b.start(old); err != nil {
		return err
	}
	at := format.Bytes(old) * c.Geometry.ChunkBytes()
	end := min(at+c.Geometry.ChunkBytes(), format.Bytes(c.size()))
	for piece := make([]byte, mostWindow); at < end; at += mostWindow {
		piece = piece[:min(mostWindow, end-at)]
		if err := raw.ReadFull(c.Image, piece, at); err != nil {
			return &SourceError{Image: true, Offset: at, Err: err}
		}
		if err := b.append(piece); err != nil {
			return err
		}
	}
	return b.pad()
}
