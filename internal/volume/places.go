package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dmcow/internal/device"
	"dmcow/internal/words"
	"dmcow/lvm"
)

// IsPhysical reports whether a file or block device has the label of a physical volume, or a partition that has.
func IsPhysical(name string) bool {
	if !mayHaveLabel(name) {
		return false
	}
	d, err := device.OpenUnlocked(name)
	if err != nil {
		return false
	}
	defer d.Close()
	found, errs := lvm.FindIn(d, name, inArray)
	return len(found) > 0 || len(errs) > 0
}

// HasPhysical reports whether a device has a physical volume, also in a partition, or as a member of an array of md.
func HasPhysical(d *device.Device) bool {
	found, _ := lvm.FindIn(d, d.Path(), inArray)
	return len(found) > 0
}

// mayHaveLabel reports whether a name is one of a regular file or a block device.
func mayHaveLabel(name string) bool {
	info, err := os.Stat(name)
	return err == nil && (info.Mode().IsRegular() || info.Mode().Type() == fs.ModeDevice)
}

// places are the devices that a name given by the user stands for: itself, what is in it where it is a directory and
// has the label of a physical volume, or what it matches where nothing has the name. The error is an [*Error].
func places(name string) ([]string, error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return inDirectory(name)
	case !errors.Is(err, fs.ErrNotExist) || !strings.ContainsAny(name, "*?["):
		return []string{name}, nil
	}
	all, err := filepath.Glob(name)
	if err == nil && len(all) == 0 {
		err = errors.New("no file has such a name")
	}
	if err != nil {
		return nil, &Error{name, err}
	}
	return all, nil
}

func inDirectory(dir string) (all []string, err error) {
	entries, err := os.ReadDir(dir) // in the order of names
	if err != nil {
		return nil, &Error{dir, words.Pathless(err)}
	}
	for _, e := range entries {
		if name := filepath.Join(dir, e.Name()); IsPhysical(name) {
			all = append(all, name)
		}
	}
	if len(all) == 0 {
		return nil, &Error{dir, errors.New("no file or block device in this directory has a physical volume of LVM")}
	}
	return all, nil
}
