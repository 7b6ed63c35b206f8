package lvm

import (
	"regexp"
	"strings"
)

// isLVMName reports whether a text may be LVM's name of something: what else stands there is
// damage, and not to be put before a terminal.
func isLVMName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("+_.-:", r)
	})
}

// names are those that LVM gives volume groups and logical volumes; a group may be named
// by its UUID, too.
var names = regexp.MustCompile(`^([a-zA-Z0-9+_.#!-]+)/([a-zA-Z0-9+_.-]+)$`)

// SplitName takes VG/LV apart; ok is false for anything else.
func SplitName(s string) (group, volume string, ok bool) {
	m := names.FindStringSubmatch(s)
	if m == nil || m[1] == "." || m[1] == ".." || strings.HasPrefix(m[1], "-") {
		return "", "", false
	}
	return m[1], m[2], true
}

// MappedName takes a device-mapper name of LVM's apart: "my--vg-snap-cow" is the layer cow
// of snap in my-vg. A volume itself has no layer.
func MappedName(s string) (group, volume, layer string, ok bool) {
	const dash = "\x00" // no such name has that
	parts := strings.Split(strings.ReplaceAll(s, "--", dash), "-")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], dash, "-")
	}
	switch len(parts) {
	case 2:
		return parts[0], parts[1], "", true
	case 3:
		return parts[0], parts[1], parts[2], true
	}
	return "", "", "", false
}

// MapName is the opposite of [MappedName].
func MapName(group, volume, layer string) string {
	name := strings.ReplaceAll(group, "-", "--") + "-" + strings.ReplaceAll(volume, "-", "--")
	if layer != "" {
		name += "-" + layer
	}
	return name
}

// MappingUUID is how the device-mapper UUIDs of a logical volume, and of its layers, begin.
func MappingUUID(g *Group, v *Logical) string {
	return "LVM-" + strings.ReplaceAll(g.UUID+v.UUID, "-", "")
}

// Mapped reports whether a device-mapper UUID belongs to a logical volume, or to a layer of one.
func Mapped(s string) bool { return strings.HasPrefix(s, "LVM-") }

// MappedBy reports whether it is one of the volume group of a UUID.
func MappedBy(s, group string) bool {
	return isUUID(group) && strings.HasPrefix(s, "LVM-"+strings.ReplaceAll(group, "-", ""))
}

// MappedUUID is the UUID of the logical volume that a device-mapper UUID belongs to, or whose layer does, as LVM prints
// it; empty where it is none.
func MappedUUID(s string) string {
	const group, both = 32, 64
	rest, ok := strings.CutPrefix(s, "LVM-")
	if !ok || len(rest) < both {
		return ""
	}
	return dashed(rest[group:both])
}
