// Package deltatest makes deltas for tests.
package deltatest

import (
	"bytes"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/store/delta"
)

// Differ are the chunks, of so many sectors, in which two images differ.
func Differ(sectors uint32, base, source []byte) (all []format.OldChunk) {
	chunk := int(sectors) * format.SectorSize
	for at := 0; at < len(source); at += chunk {
		end := min(at+chunk, len(source))
		if !bytes.Equal(base[at:end], source[at:end]) {
			all = append(all, format.OldChunk(at/chunk))
		}
	}
	return all
}

// Make is the delta of a kind that makes source of base, of chunks of so many sectors; a full one is of zeros.
func Make(t testing.TB, kind delta.Kind, sectors uint32, base, source []byte) []byte {
	t.Helper()
	g, err := format.NewGeometry(sectors)
	if err != nil {
		t.Fatal(err)
	}
	if kind == delta.Full {
		base = make([]byte, len(source))
	}
	differ := Differ(sectors, base, source)
	h := delta.Head{Kind: kind, Geometry: g, Size: format.Bytes(len(source)), Count: uint64(len(differ))}
	h.Base, h.Source = delta.Side{Name: "vg0/monday"}, delta.Side{Name: "vg0/root"}
	for _, old := range differ {
		h.Bytes += h.ContentSize(old)
	}
	w := delta.Writer{Head: h, Base: bytes.NewReader(base), Source: bytes.NewReader(source), Chunks: slices.Values(differ)}
	var b bytes.Buffer
	if err := w.Stream(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
