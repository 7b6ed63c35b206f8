package view

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"dmcow/check"
	"dmcow/internal/damaged"
	"dmcow/internal/storespec"
)

// FuzzView opens whatever there may be on a COW device, and reads all of it. Where the store is
// sound, it is what the format says; whatever it is, each byte that is handed out comes from its
// place on the origin, or from a data chunk that an exception names.
func FuzzView(f *testing.F) {
	for _, d := range damages {
		if image, err := storespec.Compile("device 200\nheader chunk=1\n" + d.spec + "\ndata 9"); err == nil {
			f.Add(image, uint16(256))
		}
	}
	for _, c := range damaged.Load(f) {
		if len(c.Image) <= 400*sector {
			f.Add(c.Image, uint16(256))
		}
	}
	f.Fuzz(func(t *testing.T, cow []byte, sectors uint16) {
		if len(cow) > 1<<20 || sectors == 0 {
			return
		}
		r := rigOf(cow, numbered(int(sectors)*sector))
		o := r.options()
		o.InvalidOK = true
		v, err := Open(o)
		if err != nil {
			return
		}
		defer v.Close()
		report := v.Report()
		sound := report.Count(check.Error) == 0 && len(report.Unread) == 0
		chunk := int64(v.geometry.ChunkBytes())
		named := namedBy(cow, chunk)
		for at := int64(0); at < v.Size(); at += chunk {
			p := make([]byte, min(chunk, v.Size()-at))
			n, err := v.ReadAt(p, at)
			if err != nil {
				var u *UncertainError
				if sound || !errors.As(err, &u) || n != 0 {
					t.Fatalf("byte %d: %d, %v", at, n, err)
				}
				continue
			}
			news := named[uint64(at/chunk)]
			ok := len(news) == 0 && bytes.Equal(p, r.originImage()[at:][:len(p)])
			for _, data := range news {
				ok = ok || data < uint64(len(cow))/uint64(chunk) && bytes.Equal(p, cow[int64(data)*chunk:][:len(p)])
			}
			if !ok {
				t.Fatalf("byte %d holds what neither the origin nor a data chunk of its exceptions (%d) does", at, news)
			}
		}
	})
}

// namedBy are the new chunks of each old chunk, as far as the list can be followed, and those that
// stand in areas that hold none are among them.
func namedBy(cow []byte, chunk int64) map[uint64][]uint64 {
	all := map[uint64][]uint64{}
	for n := int64(0); ; n++ {
		at := chunk + n/(chunk/16)*(chunk/16+1)*chunk + n%(chunk/16)*16
		if at+16 > int64(len(cow)) {
			return all
		}
		old, data := binary.LittleEndian.Uint64(cow[at:]), binary.LittleEndian.Uint64(cow[at+8:])
		if data == 0 {
			return all
		}
		all[old] = append(all[old], data)
	}
}
