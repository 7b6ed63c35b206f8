package show

import (
	"errors"
	"testing"

	"dmcow/snapshot"
)

// TestExtension: what is said of a snapshot that is extended by itself, or is not, or of which that is not known.
func TestExtension(t *testing.T) {
	denied := errors.New("permission denied")
	for _, c := range []struct {
		e    snapshot.Extension
		want string
	}{
		{snapshot.Extension{Monitored: true, Threshold: 70}, "at 70%, by dmeventd"},
		{snapshot.Extension{Monitored: true, Threshold: 100}, "off (in lvm.conf, section activation: snapshot_autoextend_threshold = 70)"},
		{snapshot.Extension{Name: "vg0/snap", Threshold: 70}, "off (dmeventd does not monitor it: lvchange --monitor y vg0/snap)"},
		{snapshot.Extension{Unknown: denied, Threshold: 70}, "at 70%, if dmeventd monitors it, which is not known: permission denied"},
		{snapshot.Extension{Unknown: denied, Threshold: 100}, "off (in lvm.conf, section activation: snapshot_autoextend_threshold = 70)"},
	} {
		if rows := extension(&c.e); len(rows) != 1 || rows[0][1] != c.want {
			t.Errorf("%+v: %q", c.e, rows)
		}
	}
	if rows := extension(nil); rows != nil {
		t.Errorf("of none: %q", rows)
	}
}
