package cmd

import (
	"strings"
	"testing"
)

// FuzzPiece: what is taken for a piece begins with the file's name, and has a size.
func FuzzPiece(f *testing.F) {
	for _, word := range []string{"a:0:8s", "a:b:4k:8s", "a:0", ":0:8s", "a:0:0", "a::8s", "a:8:8", "::", ""} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		var p piece
		if p.parse(word) != nil {
			return
		}
		rest, ok := strings.CutPrefix(word, string(p.file)+":")
		if !ok || p.file == "" || strings.Count(rest, ":") != 1 || p.size == 0 || p.size%512 != 0 || p.offset%512 != 0 {
			t.Errorf("%q: %+v", word, p)
		}
	})
}
