package ext_test

import (
	"encoding/binary"
	"testing"

	"dmcow/fs"
	"dmcow/fs/ext"
)

// FuzzOpen changes some bytes of an image, five bytes of the input for each: where, and what it becomes. Whatever that is,
// reading ends, and nothing panics. The image without checksums shows what comes behind them.
func FuzzOpen(f *testing.F) {
	var all [][]byte
	for _, name := range imageNames() {
		all = append(all, image(f, name))
		f.Add(uint8(len(all)), []byte{0, 0, 4, 0x58, 5, 0, 1, 2, 3, 4})
	}
	f.Fuzz(func(t *testing.T, which uint8, changes []byte) {
		v := patched{Volume: inMemory(all[int(which)%len(all)])}
		for ; len(changes) >= 5; changes = changes[5:] {
			v.at = append(v.at, int64(binary.BigEndian.Uint32(changes))%v.Size())
			v.to = append(v.to, changes[4])
		}
		if f, err := ext.Open(v, ext.Options{}); err == nil {
			everything(t, f)
		}
	})
}

// patched is a volume of which some bytes were changed.
type patched struct {
	fs.Volume
	at []int64
	to []byte
}

func (p patched) ReadAt(b []byte, offset int64) (int, error) {
	n, err := p.Volume.ReadAt(b, offset)
	for k, at := range p.at {
		if at >= offset && at < offset+int64(n) {
			b[at-offset] = p.to[k]
		}
	}
	return n, err
}
