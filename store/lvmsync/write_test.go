package lvmsync_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/store/delta"
	"dmcow/store/lvmsync"
)

// TestWrite: the banner, and a record for each chunk, which is short at the device's end.
func TestWrite(t *testing.T) {
	source := make([]byte, 5*1024+512)
	for i := range source {
		source[i] = byte(i / 512)
	}
	w := &lvmsync.Writer{Source: bytes.NewReader(source), Size: format.Bytes(len(source)), Chunk: 1024, Chunks: slices.Values([]format.OldChunk{0, 1, 5})}
	seen := format.Bytes(0)
	w.Visit = func(n format.Bytes) error { seen = n; return nil }
	want := []byte("lvmsync PROTO[3]\n")
	for _, at := range []int{0, 1024, 5120} {
		end := min(at+1024, len(source))
		want = binary.BigEndian.AppendUint64(want, uint64(at))
		want = binary.BigEndian.AppendUint32(want, uint32(end-at))
		want = append(want, source[at:end]...)
	}
	var got bytes.Buffer
	if err := w.Stream(&got); err != nil || !bytes.Equal(got.Bytes(), want) || seen != 2560 {
		t.Errorf("%v, %d bytes seen: %q", err, seen, got.Bytes())
	}
	if n := lvmsync.StreamSize(3, 2560); n != format.Bytes(len(want)) {
		t.Errorf("the stream has %d bytes, not %d", len(want), n)
	}
}

// TestWriteFails: errors of reading say so, those of writing and of Visit come back.
func TestWriteFails(t *testing.T) {
	broken := errors.New("broken")
	w := lvmsync.Writer{Source: bytes.NewReader(make([]byte, 1<<20)), Size: 1 << 21, Chunk: 1 << 20, Chunks: slices.Values([]format.OldChunk{0, 1})}
	if err := w.Stream(io.Discard); !errors.As(err, new(*delta.SideError)) {
		t.Error(err)
	}
	w.Size = 1 << 20
	w.Chunks = slices.Values([]format.OldChunk{0})
	if err := w.Stream(failingWriter{broken}); err != broken {
		t.Error(err)
	}
	w.Visit = func(format.Bytes) error { return broken }
	if err := w.Stream(io.Discard); err != broken {
		t.Error(err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
