package extract

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"dmcow/fs"
)

// single copies what is no directory, or makes another name of what was copied.
func (x *Extractor) single(d *dir, i fs.Inode, name string) error {
	if err := x.checkReplaceable(d, i, name); err != nil {
		return err
	}
	a := i.Attr()
	if first, ok := x.first[a.Ino]; ok {
		if err := x.link(d, first, name); err == nil {
			x.Tally.Links++
			return nil
		}
	}
	var err error
	switch a.Type {
	case fs.TypeFile:
		err = x.file(d, i, name)
	case fs.TypeSymlink:
		err = x.symlink(d, i, name)
	case fs.TypeUnknown:
		err = fmt.Errorf("its type is not known, mode 0%o", a.Mode)
	default:
		err = x.special(d, i, name)
	}
	if err == nil && a.Links > 1 {
		x.first[a.Ino] = path.Join(d.path, name)
	}
	return err
}

// file copies a regular file.
func (x *Extractor) file(d *dir, i fs.Inode, name string) error {
	tmp := temporary()
	f, err := d.root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return destination(err)
	}
	defer f.Close()
	if err = x.write(f, i); err == nil {
		err = x.setAttributes(d, tmp, i, int(f.Fd()))
	}
	if err == nil {
		err = destination(f.Close())
	}
	if err = x.place(d, tmp, name, err); err != nil {
		return err
	}
	x.Tally.Files++
	return nil
}

// checkReplaceable refuses a name that exists, unless that may be replaced. A device is, by a device only: whoever names
// /dev/null does not want it to become a file.
func (x *Extractor) checkReplaceable(d *dir, i fs.Inode, name string) error {
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil
	case err != nil:
		return destination(err)
	case info.IsDir():
		return destination(errors.New("what exists there is a directory"))
	case !x.Force:
		return destination(ErrExists)
	case info.Mode()&iofs.ModeDevice != 0 && !isDevice(i):
		return destination(ErrDevice)
	case x.Keep == nil || !info.Mode().IsRegular():
		return nil
	}
	f, err := d.root.Open(name)
	if err != nil {
		return destination(err)
	}
	defer f.Close()
	return destination(x.Keep(f))
}

func isDevice(i fs.Inode) bool {
	t := i.Attr().Type
	return t == fs.TypeBlockDevice || t == fs.TypeCharDevice
}

// link makes another name of a file that was copied.
func (x *Extractor) link(d *dir, first, name string) error {
	tmp := temporary()
	if err := x.top.root.Link(first, path.Join(d.path, tmp)); err != nil {
		return err
	}
	return x.place(d, tmp, name, nil)
}

// place gives a file its name, or with an error removes it.
func (x *Extractor) place(d *dir, tmp, name string, err error) error {
	if err == nil {
		err = destination(x.rename(d, tmp, name))
	}
	if err != nil {
		_ = d.root.Remove(tmp) // what is wrong is told already
	}
	return err
}

func (x *Extractor) rename(d *dir, tmp, name string) error {
	if x.Force {
		return d.root.Rename(tmp, name)
	}
	fd := int(d.self.Fd())
	err := unix.Renameat2(fd, tmp, fd, name, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EEXIST):
		return ErrExists
	case !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS):
		return err
	}
	if _, err := d.root.Lstat(name); err == nil { // this file system cannot do both at once
		return ErrExists
	}
	return d.root.Rename(tmp, name)
}

// write writes the content of a file, without its holes.
func (x *Extractor) write(f *os.File, i fs.Inode) error {
	if i.Attr().Flags&fs.FlagEncrypted != 0 {
		return fs.ErrEncrypted
	}
	for e, err := range i.Data() {
		if err != nil {
			return err
		}
		for at, end := e.Offset, e.Offset+e.Len(); at < end; {
			if err := x.Interrupted(); err != nil {
				return err
			}
			n, err := x.read(i, at, end)
			if err != nil {
				return err
			}
			if _, err := f.WriteAt(x.buf[:n], at); err != nil {
				return destination(err)
			}
			at += int64(n)
			x.Tally.Bytes += int64(n)
		}
	}
	return destination(f.Truncate(i.Attr().Size))
}

// read reads a part of a file's content.
func (x *Extractor) read(i fs.Inode, at, end int64) (int, error) {
	p := x.buf[:min(int64(len(x.buf)), end-at)]
	n, err := i.ReadAt(p, at)
	if n == len(p) || err == io.EOF && n > 0 {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WriteTo writes the content of a file to a stream, which has no holes.
func WriteTo(w io.Writer, i fs.Inode, interrupted func() error) error {
	p := make([]byte, 1<<20)
	for at, size := int64(0), i.Attr().Size; at < size; {
		if err := interrupted(); err != nil {
			return err
		}
		n, err := i.ReadAt(p[:min(int64(len(p)), size-at)], at)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		if at += int64(n); at < size && (err != nil || n == 0) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// symlink copies a symbolic link.
func (x *Extractor) symlink(d *dir, i fs.Inode, name string) error {
	target, err := i.Target()
	if err != nil {
		return err
	}
	tmp := temporary()
	if err := d.root.Symlink(target, tmp); err != nil {
		return destination(err)
	}
	if err := x.place(d, tmp, name, x.setAttributes(d, tmp, i, -1)); err != nil {
		return err
	}
	x.Tally.Symlinks++
	return nil
}

// special copies a device, a pipe or a socket.
func (x *Extractor) special(d *dir, i fs.Inode, name string) error {
	a := i.Attr()
	tmp := temporary()
	kinds := map[fs.Type]uint32{fs.TypeCharDevice: unix.S_IFCHR, fs.TypeBlockDevice: unix.S_IFBLK, fs.TypeFIFO: unix.S_IFIFO, fs.TypeSocket: unix.S_IFSOCK}
	err := unix.Mknodat(int(d.self.Fd()), tmp, kinds[a.Type]|0o600, int(unix.Mkdev(a.Major, a.Minor)))
	if errors.Is(err, unix.EPERM) {
		return ErrRoot
	}
	if err != nil {
		return destination(err)
	}
	if err := x.place(d, tmp, name, x.setAttributes(d, tmp, i, -1)); err != nil {
		return err
	}
	x.Tally.Specials++
	return nil
}

// setAttributes gives a file that was just made its owner, mode, attributes and times. An attribute that cannot be read costs
// no more than itself. fd is -1 for what is not opened.
func (x *Extractor) setAttributes(d *dir, name string, i fs.Inode, fd int) error {
	a := i.Attr()
	mode := uint32(a.Mode) & 0o7777
	if x.Root {
		if err := d.root.Lchown(name, int(a.UID), int(a.GID)); err != nil {
			return destination(err)
		}
	} else {
		mode &^= unix.S_ISUID | unix.S_ISGID // they would be another user's
	}
	var lists []fs.Xattr
	for y, err := range i.Xattrs() {
		if err != nil {
			x.late = err
			continue
		}
		if strings.HasPrefix(y.Name, "system.posix_acl_") {
			lists = append(lists, y) // they say more than the mode, which would change them
			continue
		}
		x.setXattr(d, name, fd, y)
	}
	if a.Type != fs.TypeSymlink {
		if err := x.chmod(d, name, fd, mode); err != nil {
			return destination(err)
		}
	}
	for _, y := range lists {
		x.setXattr(d, name, fd, y)
	}
	return destination(setTimes(d, name, a))
}

func (x *Extractor) chmod(d *dir, name string, fd int, mode uint32) error {
	if fd >= 0 {
		return unix.Fchmod(fd, mode)
	}
	return unix.Fchmodat(int(d.self.Fd()), name, mode, 0)
}

// setXattr sets an extended attribute, or notes that it cannot be.
func (x *Extractor) setXattr(d *dir, name string, fd int, y fs.Xattr) {
	var err error
	switch {
	case !x.Root && !strings.HasPrefix(y.Name, "user.") && !strings.HasPrefix(y.Name, "system.posix_acl_"):
		err = errors.New("only root can set it")
	case fd >= 0:
		err = unix.Fsetxattr(fd, y.Name, y.Value, 0)
	default:
		err = unix.Lsetxattr(fmt.Sprintf("/proc/self/fd/%d/%s", d.self.Fd(), name), y.Name, y.Value, 0)
	}
	if err == nil {
		return
	}
	if x.Tally.Skipped++; x.Tally.Why == nil {
		x.Tally.Why = fmt.Errorf("%s: %w", y.Name, err)
	}
}

func setTimes(d *dir, name string, a fs.Attr) error {
	var times [2]unix.Timespec
	for n, t := range []fs.Time{a.Accessed, a.Modified} {
		var err error
		if times[n], err = unix.TimeToTimespec(t.Time()); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(int(d.self.Fd()), name, times[:], unix.AT_SYMLINK_NOFOLLOW)
}
