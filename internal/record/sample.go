package record

import (
	"dmcow/dump"
	"dmcow/snapshot"
)

// Sample is a store of which nothing is known but what it is.
func Sample(device string, l snapshot.Labels) dump.Sample {
	return dump.Sample{Device: device, VG: l.VG, LV: l.LV, UUID: l.UUID, Origin: l.Origin}
}
