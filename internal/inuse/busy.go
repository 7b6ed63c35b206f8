package inuse

import "strings"

// BusyError says that a device cannot be had for oneself.
type BusyError struct {
	// By is who uses it: "vg-snap (dm-3)", "a file system mounted on /mnt",
	// "dmcow (process 1234)", "swap". It is empty where that is not known.
	By []string
}

const asSwap = "swap"

func (e *BusyError) Error() string {
	if len(e.By) == 0 {
		return "in use by another program"
	}
	var uses []string
	for _, who := range e.By {
		if who == asSwap {
			uses = append(uses, "as swap")
		} else {
			uses = append(uses, "by "+who)
		}
	}
	return "in use " + strings.Join(uses, ", ")
}
