package dump

import (
	"encoding/binary"
	"testing"
)

func TestMagicText(t *testing.T) {
	for text, want := range map[string]string{
		"SnAp": "SnAp", "LVM2": "LVM2",
		"\x00\x00\x00\x00": "0x00000000",
		"a~!z":             "0x7a217e61",
		"a b!":             "0x21622061", // blanks could not be told from what stands around
		`ab"c`:             "0x63226261",
		`ab\c`:             "0x635c6261",
		"abc\x7f":          "0x7f636261",
		"\xe4bcd":          "0x646362e4",
	} {
		if got := magicText(binary.LittleEndian.Uint32([]byte(text))); got != want {
			t.Errorf("magic %q is shown as %q, want %q", text, got, want)
		}
	}
}
