package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dmcow/format"
	"dmcow/internal/device"
)

// refuseOutput is the failure of a file in which no copy can be made.
func (m *mending) refuseOutput() error {
	name := string(m.Output)
	if err := device.Creatable(name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = errors.New("exists, expected the name of a new file")
		}
		return &failure{name, statusFailed, err}
	}
	return nil
}

// mendCopy makes a copy of the store, and mends that. It gets its name when it is whole
// and durable; until then it has one that only such copies have.
func (m *mending) mendCopy() error {
	name := string(m.Output)
	part := name + ".dmcow-part"
	if err := removeLeft(part); err != nil {
		return &failure{part, statusFailed, err}
	}
	err := m.copyTo(part)
	if err == nil {
		err = m.mendFile(part, name)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}

// removeLeft removes what a run that was killed has left, if nobody works on it.
func removeLeft(part string) error {
	d, err := device.OpenWritable(part)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	defer d.Close()
	return os.Remove(part)
}

// mendFile mends a copy, which then gets its name.
func (m *mending) mendFile(part, name string) error {
	d, err := device.OpenWritable(part)
	if err != nil {
		return &failure{part, statusFailed, err}
	}
	defer d.Close()
	for {
		if err := m.apply(d, "the copy is removed"); err != nil {
			return err
		}
		if !m.plan.More {
			break
		}
		m.before += m.faults()
		if err := m.makePlan(&d.Device); err != nil {
			return err
		}
		if len(m.plan.Steps) == 0 {
			break
		}
	}
	if err := device.Rename(part, name); err != nil {
		return &failure{name, statusFailed, err}
	}
	return m.conclude(&d.Device, name)
}

// copyTo copies the store to a new file, durably.
func (m *mending) copyTo(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err == nil {
		defer f.Close()
		err = f.Truncate(m.device.Size())
	}
	if err == nil {
		err = m.copyData(f)
	}
	if err == nil {
		err = f.Sync()
	}
	var made *failure
	var p *fs.PathError
	switch {
	case err == nil || errors.As(err, &made):
		return err
	case errors.As(err, &p):
		err = p.Err
	}
	return &failure{name, statusFailed, err}
}

// copyData copies what is not zero.
func (m *mending) copyData(f *os.File) error {
	p := m.newProgress(m.path, "byte", uint64(m.size()), true)
	defer p.end()
	const size = 64 << 10
	buf, zeros := make([]byte, size), make([]byte, size)
	for at := int64(0); at < m.device.Size(); {
		n := min(size, m.device.Size()-at)
		if got, err := m.device.ReadAt(buf[:n], at); got < int(n) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return m.unreadable(m.path, fmt.Errorf("byte %d: %w", at+int64(got), err))
		}
		if !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += n
		if err := p.bytes(format.Bytes(at)); err != nil {
			return &failure{m.path, statusInterrupted, fmt.Errorf("%w: the copy is removed", err)}
		}
	}
	return nil
}
