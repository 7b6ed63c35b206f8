package xfs_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"dmcow/fs"
	"dmcow/fs/xfs"
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
		if f, err := xfs.Open(v); err == nil {
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

// seals are where blocks of metadata have their checksums, by what they begin with.
var seals = map[string]int{
	"XFSB": 224, "XAGF": 216, "XAGI": 312, "XAFL": 32, "AB3B": 52, "AB3C": 52, "IAB3": 52, "FIB3": 52, "RMB3": 52, "R3FC": 52, "BMA3": 64,
	"XDB3": 4, "XDD3": 4, "XARM": 12, "XSLM": 12, "IN": 100, "\x3b\xee": 12, "\x3e\xbe": 12,
}

// sealed mends the checksum of p, which is a block, a sector or an inode.
func sealed(p []byte) bool {
	at, ok := seals[string(p[:4])]
	if !ok {
		if at, ok = seals[string(p[:2])]; !ok {
			if at, ok = seals[string(p[8:10])]; !ok {
				return false
			}
		}
	}
	clear(p[at : at+4])
	binary.LittleEndian.PutUint32(p[at:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return true
}

// FuzzSealed changes some bytes of an image, and mends the checksums: as somebody would who means harm.
func FuzzSealed(f *testing.F) {
	all := image(f, "v5")
	f.Add([]byte{0, 0, 4, 0x58, 5, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, changes []byte) {
		v := append([]byte(nil), all...)
		for ; len(changes) >= 5; changes = changes[5:] {
			at := int(binary.BigEndian.Uint32(changes)) % len(v)
			v[at] = changes[4]
			for _, size := range []int{512, 1024} {
				if start := at / size * size; sealed(v[start : start+size]) {
					break
				}
			}
		}
		if f, err := xfs.Open(inMemory(v)); err == nil {
			everything(t, f)
		}
	})
}
