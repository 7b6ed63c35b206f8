package cmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"dmcow/format"
	"dmcow/internal/device"
)

// refuseCopyName refuses a file in which no copy can be made.
func (c *repairCmd) refuseCopyName() error {
	if c.CopyTo == "" || c.CopyTo == "-" {
		return nil
	}
	err := device.Creatable(string(c.CopyTo))
	if errors.Is(err, fs.ErrExist) {
		err = errors.New("exists, expected the name of a new file")
	}
	if err != nil {
		return &failure{string(c.CopyTo), statusFailed, err}
	}
	return nil
}

// refuseCopy refuses what cannot be copied: somebody may write to it meanwhile, or a stream takes one
// plan alone.
func (m *mending) refuseCopy() error {
	if by := m.device.Writers(); len(by) > 0 {
		return &failure{m.path, statusFailed, fmt.Errorf("in use by %s, who may write to it while it is copied", strings.Join(by, ", "))}
	}
	if _, err := m.device.Claim(); err != nil {
		return &failure{m.path, statusFailed, err}
	}
	if m.CopyTo == "-" {
		read := []*device.Device{m.device}
		if origin, ok := m.options.Content.(*device.Device); ok {
			read = append(read, origin)
		}
		if err := m.apartFromOutput(read...); err != nil {
			return err
		}
	}
	if m.CopyTo == "-" && m.plan.More {
		return &failure{m.path, statusFailed, errors.New("there is more to mend than one plan holds: expected a file for --copy-to")}
	}
	return nil
}

// mendCopy makes a copy of the store, and mends that. It gets its name when it is whole
// and durable; cut off, nothing is left of it.
func (m *mending) mendCopy() error {
	if m.CopyTo == "-" {
		return m.stream()
	}
	name := string(m.CopyTo)
	d, err := device.NewDraft(name, m.device.Size(), private)
	if err != nil {
		return &failure{name, statusFailed, err}
	}
	defer d.Close()
	p := m.newProgress(m.path, "byte", uint64(m.size()), true)
	defer p.end()
	err = m.copyData(m.device, p, func(b []byte, at int64) error {
		if isZero(b) {
			return nil
		}
		_, err := d.WriteMany([][]byte{b}, []int64{at})
		return err
	})
	p.end()
	if err != nil {
		return m.copyFailed(name, err)
	}
	return m.mendDraft(d)
}

// stream writes what the store would be, mended, to standard output.
func (m *mending) stream() error {
	p := m.newProgress(m.path, "byte", uint64(m.size()), true)
	defer p.end()
	err := m.copyData(m.plan.Result(), p, func(b []byte, _ int64) error {
		_, err := m.stdout.Write(b)
		return err
	})
	p.end()
	if err != nil {
		return m.copyFailed("-", err)
	}
	if err := quietDevice(m.device); err != nil {
		return err
	}
	r, err := m.judge(m.plan.Result(), "-")
	if err != nil {
		return err
	}
	return m.conclude(r, "-")
}

// copyFailed says of which copy, and why.
func (m *mending) copyFailed(name string, err error) error {
	switch {
	case errors.As(err, new(*failure)), errors.As(err, new(*outputError)):
		return err
	case errors.Is(err, errInterrupted):
		return &failure{m.path, statusInterrupted, fmt.Errorf("%w: nothing is left of the copy", err)}
	}
	return &failure{name, statusFailed, pathless(err)}
}

// mendDraft mends a copy, which then gets its name.
func (m *mending) mendDraft(draft *device.Draft) error {
	name := string(m.CopyTo)
	d, err := draft.Writable()
	if err != nil {
		return &failure{name, statusFailed, err}
	}
	for {
		if err := m.apply(d, "nothing is left of the copy"); err != nil {
			return err
		}
		if !m.plan.More {
			break
		}
		m.before = m.sum()
		if err := m.makePlan(&d.Device); err != nil {
			return err
		}
		if len(m.plan.Steps) == 0 {
			break
		}
	}
	r, err := m.judge(&d.Device, name)
	if err != nil {
		return err
	}
	if err := quietDevice(m.device); err != nil {
		return err
	}
	if err := draft.KeepNew(); err != nil {
		return &failure{name, statusFailed, err}
	}
	return m.conclude(r, name)
}

// copyData hands out all of a store, piece by piece, in order.
func (m *mending) copyData(from io.ReaderAt, p *progress, deliver func(b []byte, at int64) error) error {
	const piece = 64 << 10
	var buffers device.Buffers
	defer buffers.Free()
	buf, size := buffers.New(piece), m.device.Size()
	for at := int64(0); at < size; {
		b := buf[:min(piece, size-at)]
		if got, err := from.ReadAt(b, at); got < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return m.unreadable(m.path, fmt.Errorf("byte %d: %w", at+int64(got), err))
		}
		if err := deliver(b, at); err != nil {
			return err
		}
		at += int64(len(b))
		if err := p.bytes(format.Bytes(at)); err != nil {
			return err
		}
	}
	return nil
}
