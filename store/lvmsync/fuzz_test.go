package lvmsync

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"dmcow/format"
	"dmcow/store/apply"
)

// FuzzRead reads whatever comes: each piece lies on the device, whole sectors, in order within its window, and the error
// is one of those that are promised.
func FuzzRead(f *testing.F) {
	f.Add(record(512, make([]byte, 512)))
	f.Add(append(record(4096, make([]byte, 1024)), record(512, make([]byte, 512))...))
	f.Add(record(1<<63, make([]byte, 512))[:100])
	f.Fuzz(func(t *testing.T, stream []byte) {
		const size = 8192
		r := NewReader(bytes.NewReader(stream), size)
		var w apply.Window
		defer w.Free()
		for {
			err := r.Next(&w)
			if err != nil {
				if err != io.EOF && !errors.As(err, new(*CutError)) && !errors.As(err, new(*RecordError)) {
					t.Error(err)
				}
				return
			}
			end := format.Bytes(0)
			for _, p := range w.Pieces {
				n := format.Bytes(len(p.Data))
				if p.Offset < end || n == 0 || p.Offset%512 != 0 || n%512 != 0 || p.Offset+n > size {
					t.Fatalf("a piece of %d bytes at byte %d", n, p.Offset)
				}
				end = p.Offset + n
			}
		}
	})
}
