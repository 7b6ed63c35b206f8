package view

import (
	"bytes"
	"errors"
	"testing"

	"dmcow/check"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
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
		r := rigOf(cow, devicetest.Numbered(int64(sectors)*sector))
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
		store := naive.Store{Image: cow, Chunk: int(chunk)}
		named := map[uint64][]uint64{}
		for _, x := range store.List() {
			named[x.Old] = append(named[x.Old], x.New)
		}
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
				ok = ok || bytes.HasPrefix(store.Data(data), p)
			}
			if !ok {
				t.Fatalf("byte %d holds what neither the origin nor a data chunk of its exceptions (%d) does", at, news)
			}
		}
	})
}
