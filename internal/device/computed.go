package device

import "io"

// Computed is a device of so many bytes, which content computes from joined devices ([Join]). They are open as
// long as it is used, and count as what it is on. It can be read, by several goroutines at once, as content must be
// able to be, and others can be joined from it, but none that is written.
func Computed(name string, size int64, content io.ReaderAt, of ...*Device) *Device {
	m := &medium{block: SectorSize, content: content, of: of, aio: newAIO()}
	for _, d := range of {
		m.block = max(m.block, d.LogicalBlockSize())
	}
	d, err := Join(name, []Part{{Length: size, Stripes: []Stripe{{On: &Device{path: name, medium: m, size: size}}}}})
	if err != nil {
		return Nothing() // it has no bytes
	}
	return d
}

// Within is a joined device in one piece, so that others can be joined from it. It can be written where the
// joined device can be.
func Within(d *Device) *Device {
	c := Computed(d.path, d.size, d, d)
	for m := range c.media() {
		m.inner = d
	}
	return c
}

// within is the joined device that the medium is, to be written; nil where it is none.
func (m *medium) within() *Writable {
	if m.inner == nil {
		return nil
	}
	return &Writable{Device: *m.inner}
}

// Zeros is a device that reads as zeros.
func Zeros(name string, size int64) *Device { return Computed(name, size, zeros{}) }

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
