package inuse

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

const guardUUID = "DMCOW-"

// Guard keeps LVM from activating a volume, by the name of its device-mapper device
// ("vg0-snap-cow"), until it is released or the process ends, in whatever way: a device of that
// name is there already, which holds nothing. (A process that is killed in the moment between
// making the device and opening it leaves it behind; dmsetup remove takes it away.) Several who guard the same name have one together.
// Where something else has the name, the error is a [*BusyError].
func Guard(name string) (release func(), err error) {
	const tries = 10 // another's guard may go before it is shared
	for range tries {
		release, err = newGuard(name)
		if !errors.Is(err, unix.ENXIO) && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep LVM from activating %s: %w", name, words.Pathless(err))
	}
	return release, nil
}

// newGuard makes a guard, or shares the one that is there. The error is ENXIO or
// [fs.ErrNotExist] where that has just gone.
func newGuard(name string) (release func(), err error) {
	uuid := fmt.Sprintf("%s%d-%s", guardUUID, os.Getpid(), name)
	uuid = uuid[:min(len(uuid), uuidMost)]
	n, err := createMapped(name, uuid)
	if errors.Is(err, unix.EBUSY) {
		n, uuid, err = statusMapped(name)
		if err == nil && !strings.HasPrefix(uuid, guardUUID) {
			err = &BusyError{By: []string{fmt.Sprintf("%s (dm-%d)", name, n.Minor)}}
		}
	}
	if err != nil {
		return nil, err
	}
	return holdGuard(n, uuid)
}

// holdGuard opens a guard, and has it go when nobody has it open any more. The kernel shows a
// device no earlier than there is a table for it, if only one that is not in use.
func holdGuard(n Number, uuid string) (release func(), err error) {
	var f *os.File
	if err = loadMapped(uuid); err == nil {
		f, err = os.Open(fmt.Sprint("/dev/dm-", n.Minor))
	}
	if err == nil {
		err = removeMapped(uuid, flagDeferredRemove) // the number may be another's by now; the UUID is not
	}
	release = sync.OnceFunc(func() {
		f.Close()
		_ = removeMapped(uuid, 0) // at once, and not when the kernel comes to it
	})
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}
