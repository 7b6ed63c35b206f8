package corpus

import (
	"bytes"
	"strings"

	"dmcow/internal/kernellab"
)

// writes ends the log and tells what is in it.
func (b *rig) writes() (writes []Write) {
	b.Helper()
	b.unload()
	for _, e := range b.log.End(b) {
		w := Write{Sector: e.Sector, Sectors: e.Sectors, Mark: e.Mark, Flags: flagNames(e)}
		if len(e.Data) > 0 {
			w.SHA256 = Digest(e.Data)
			w.Zero = len(bytes.Trim(e.Data, "\x00")) == 0
		}
		writes = append(writes, w)
	}
	return writes
}

func flagNames(e kernellab.LogEntry) string {
	var names []string
	for _, f := range []struct {
		set  bool
		name string
	}{{e.Flush, "FLUSH"}, {e.FUA, "FUA"}, {e.Discard, "DISCARD"}, {e.Metadata, "METADATA"}} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, "+")
}
