package fuse

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Check is why no file system can be mounted through FUSE; it is nil where that may be
// done.
func Check() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return errors.New("cannot mount: /dev/fuse is missing: FUSE is not loaded (modprobe fuse)")
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := fusermount(); err != nil {
		return errors.New("cannot mount: FUSE needs root, or fusermount3 (Debian: fuse3)")
	}
	return nil
}

// IsMounted reports whether a directory is itself where a FUSE file system is mounted.
func IsMounted(dir string) bool {
	var what unix.Statfs_t
	var here, above unix.Stat_t
	return unix.Statfs(dir, &what) == nil && what.Type == unix.FUSE_SUPER_MAGIC &&
		unix.Stat(dir, &here) == nil && unix.Stat(filepath.Join(dir, ".."), &above) == nil && here.Dev != above.Dev
}

// fusermount is the program that mounts for who is not root.
func fusermount() (path string, err error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", err
}

// Detach unmounts a directory where it is in use: who has files of it open keeps them.
func Detach(dir string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(dir, unix.MNT_DETACH)
	}
	program, err := fusermount()
	if err != nil {
		return err
	}
	out, err := exec.Command(program, "-u", "-z", dir).CombinedOutput()
	if err != nil && len(out) > 0 {
		err = fmt.Errorf("%s", strings.TrimSpace(string(out)))
	}
	return err
}
