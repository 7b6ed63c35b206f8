package snapshot

import (
	"errors"
	"strings"

	"dmcow/internal/inuse"
	"dmcow/internal/volume"
	"dmcow/internal/words"
	"dmcow/lvm"
)

// Extension is whether an active LVM snapshot is extended by itself before it is full.
type Extension struct {
	Name      string // VG/LV
	Monitored bool   // by dmeventd
	Unknown   error  // why that is not known, nil where it is
	Threshold uint64 // how full it is then, in per cent; 100 for never
}

// Works reports whether it is, as far as that is known.
func (e Extension) Works() bool { return e.Monitored && e.Threshold < 100 }

// Extension finds out whether a snapshot is extended by itself. It is nil for all but active LVM snapshots, and if LVM's
// configuration cannot be read. Nothing waits for long, and dmeventd is not started.
func (s *Session) Extension(u *Used) *Extension {
	uuid, name := u.mappedUUID()
	if uuid == "" {
		return nil
	}
	if s.host == nil {
		host, err := volume.ReadHost()
		if err != nil {
			s.detail(u.COW.Text, "whether it is extended by itself is not known: %v", err)
			return nil
		}
		s.host = host
	}
	monitored, err := s.isMonitored(uuid)
	if err != nil {
		s.detail(u.COW.Text, "whether dmeventd monitors it is not known: %v", err)
	}
	return &Extension{name, monitored, words.Pathless(err), s.host.AutoextendThreshold}
}

// isMonitored asks dmeventd, but not again if it has not answered: all snapshots together wait no longer than one.
func (s *Session) isMonitored(uuid string) (bool, error) {
	if s.silent != nil {
		return false, s.silent
	}
	yes, err := askMonitored(uuid)
	if errors.Is(err, inuse.ErrSilent) {
		s.silent = err
	}
	return yes, err
}

var askMonitored = inuse.IsMonitored // tests play dmeventd

// mappedUUID is the device-mapper UUID of an active snapshot of LVM, and its name; empty for others.
func (u *Used) mappedUUID() (uuid, name string) {
	m := u.mapped()
	if m == nil {
		return "", ""
	}
	uuid, ok := strings.CutSuffix(m.UUID, "-cow")
	vg, lv, _, named := lvm.MappedName(m.Name)
	if !ok || !named || !lvm.Mapped(uuid) {
		return "", ""
	}
	return uuid, vg + "/" + lv
}
