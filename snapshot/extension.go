package snapshot

import (
	"os"
	"strings"

	"dmcow/internal/inuse"
	"dmcow/internal/volume"
	"dmcow/lvm"
)

// Extension is whether an active LVM snapshot is extended by itself before it is full.
type Extension struct {
	Name      string // VG/LV
	Monitored bool   // by dmeventd
	Threshold uint64 // how full it is then, in per cent; 100 for never
}

// Works reports whether it is.
func (e Extension) Works() bool { return e.Monitored && e.Threshold < 100 }

// Extension finds out about a store's; nil where it is no active snapshot of LVM, or that is not known. Nothing waits
// for long, and dmeventd is not started.
func (s *Session) Extension(u *Used) *Extension {
	uuid, name := u.mappedUUID()
	if uuid == "" {
		return nil
	}
	host, err := volume.ReadHost()
	if err != nil {
		return nil
	}
	monitored, err := inuse.IsMonitored(uuid)
	if err != nil {
		s.detail(u.COW.Text, "whether dmeventd monitors it is not known: %v", err)
		return nil
	}
	return &Extension{name, monitored, host.AutoextendThreshold}
}

// mappedUUID is the device-mapper UUID of an active snapshot of LVM, and its name; empty for others.
func (u *Used) mappedUUID() (uuid, name string) {
	var m inuse.Mapping
	if v := u.COW.Volume; v != nil && v.Active != nil {
		m = *v.Active
	} else if info, err := os.Stat(u.COW.Text); err == nil && v == nil {
		for _, x := range inuse.Mappings() {
			if x.Number == inuse.NumberOf(info) {
				m = x
			}
		}
	}
	uuid, ok := strings.CutSuffix(m.UUID, "-cow")
	vg, lv, _, named := lvm.MappedName(m.Name)
	if !ok || !named || !lvm.Mapped(uuid) {
		return "", ""
	}
	return uuid, vg + "/" + lv
}
