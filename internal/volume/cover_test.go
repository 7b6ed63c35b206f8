package volume_test

import (
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
)

// TestCovers: of a disk that has to be opened first, or a partition of one, it is said how.
func TestCovers(t *testing.T) {
	luks := append([]byte("LUKS\xba\xbe\x00\x02"), make([]byte, 8192)...)
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"luks":      {luks, "luks: is encrypted with LUKS: open it first"},
		"bitlocker": {append([]byte("\xeb\x58\x90-FVE-FS-"), make([]byte, 8192)...), "bitlocker: is encrypted with BitLocker: open it first"},
		"parts":     {partitioned(luks), "parts: no LVM physical volume on it, or in a partition of it; partition 1 is encrypted with LUKS: open it first"},
		"qcow2":     {append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 8192)...), "qcow2: is a file of the format qcow2"},
		"zeros":     {make([]byte, 8192), "zeros: no LVM physical volume on it, or in a partition of it"},
	} {
		path := filepath.Join(t.TempDir(), name)
		devicetest.WriteFile(t, path, c.content)
		s, err := look(t, []string{path})
		if err != nil || len(s.Empty) != 1 || !strings.Contains(s.Empty[0].Error(), c.want) {
			t.Errorf("%s: %v, %v; want %s", name, err, s.Empty, c.want)
		}
	}
}
