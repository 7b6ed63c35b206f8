package snapshot

import (
	"fmt"
	"io"
	"io/fs"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/memory"
	"dmcow/internal/raw"
	"dmcow/internal/words"
)

// Private is the mode of a file that holds what a volume did.
const Private fs.FileMode = 0o600

const nothingLeft = "nothing is left of the copy"

// mendCopy makes a copy of the store, and mends that. It gets its name when it is whole and durable;
// cut off, nothing is left of it.
func (m *Repair) mendCopy() (Mended, error) {
	name := m.request.CopyTo
	d, err := device.NewDraft(name, m.COW.Device.Size(), Private)
	if err != nil {
		return Mended{}, refuse(name, Unable, err)
	}
	defer d.Close()
	err = m.copyData(m.COW.Device, func(b []byte, at int64) error {
		if raw.IsZero(b) {
			return nil
		}
		_, err := d.WriteMany([][]byte{b}, []int64{at})
		return failed(name, Unable, words.Pathless(err))
	})
	if err != nil {
		return Mended{}, err
	}
	return m.mendDraft(d)
}

// stream writes what the store would be, mended, to a stream.
func (m *Repair) stream() (Mended, error) {
	err := m.copyData(m.Plan.Result(), func(b []byte, _ int64) error {
		_, err := m.request.Stream.Write(b)
		return err
	})
	if err == nil {
		err = checkQuiet(m.COW.Device)
	}
	if err != nil {
		return Mended{}, err
	}
	return m.conclude(m.Plan.Result(), "-")
}

// mendDraft mends a copy, which then gets its name.
func (m *Repair) mendDraft(draft *device.Draft) (done Mended, err error) {
	name := m.request.CopyTo
	d, err := draft.Writable()
	if err != nil {
		return done, refuse(name, Unable, err)
	}
	for {
		if err := m.planned.apply(d, nothingLeft); err != nil {
			return done, err
		}
		if !m.Plan.More {
			break
		}
		m.before = m.sum()
		if err := m.makePlan(&d.Device); err != nil {
			return done, err
		}
		if len(m.Plan.Steps) == 0 {
			break
		}
	}
	if done, err = m.conclude(&d.Device, name); err != nil {
		return done, err
	}
	if err := checkQuiet(m.COW.Device); err != nil {
		return done, err
	}
	return done, failed(name, Unable, draft.KeepNew())
}

// copyData hands out all of a store, piece by piece, in order. The error is a refusal, or deliver's.
func (m *Repair) copyData(from io.ReaderAt, deliver func(b []byte, at int64) error) error {
	const most = 64 << 10
	w := m.planned.session.watch(m.COW.Text, Bytes, uint64(m.COW.Size()))
	defer w.end()
	var buffers memory.Buffers
	defer buffers.Free()
	buf, size := buffers.New(most), m.COW.Device.Size()
	for at := int64(0); at < size; {
		b := buf[:min(most, size-at)]
		if got, err := from.ReadAt(b, at); got < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return refuse(m.COW.Text, Unreadable, fmt.Errorf("byte %d: %w", at+int64(got), err))
		}
		if err := deliver(b, at); err != nil {
			return err
		}
		at += int64(len(b))
		if err := w.bytes(format.Bytes(at)); err != nil {
			return failed(m.COW.Text, Unable, err, nothingLeft)
		}
	}
	return nil
}
