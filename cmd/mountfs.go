package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dmcow/store"
	"dmcow/view"
)

// mounted is a file system that is served.
type mounted interface {
	Wait()
	Unmount() error
}

// transfer is how much the kernel reads or writes at once, in bytes. More is slower: it does
// not stay in the processor's cache on its way.
const transfer = 128 << 10

// ahead is how much the kernel reads ahead, in bytes: so it asks for several transfers at once.
const ahead = 4 * transfer

// mount mounts the snapshot on a directory, and serves it as a file.
func (c *mountCmd) mount(s *snapshot, dir string) (mounted, *snapshotFile, error) {
	f := &snapshotFile{snapshot: s, writable: c.Writable, since: time.Now()}
	never := time.Duration(1<<63 - 1) // nothing changes
	o := &fs.Options{
		MountOptions: fuse.MountOptions{
			FsName: s.path, Name: "dmcow", AllowOther: c.AllowOther, MaxWrite: transfer, MaxReadAhead: ahead,
			DisableXAttrs: true, Logger: log.New(fuseLog{s}, "", 0),
		},
		EntryTimeout: &never, AttrTimeout: &never,
	}
	if os.Geteuid() == 0 {
		o.DirectMountStrict, o.DirectMountFlags = true, syscall.MS_NOSUID|syscall.MS_NODEV
	}
	if c.AllowOther {
		o.Options = append(o.Options, "default_permissions")
	}
	if !c.Writable {
		if o.DirectMountFlags |= syscall.MS_RDONLY; !o.DirectMountStrict {
			o.Options = append(o.Options, "ro")
		}
	}
	m, err := fs.Mount(dir, &snapshotDir{file: f}, o)
	return m, f, err
}

// snapshotDir is the directory, with the one file in it.
type snapshotDir struct {
	fs.Inode
	file *snapshotFile
}

var _ = (interface {
	fs.NodeOnAdder
	fs.NodeGetattrer
	fs.NodeStatfser
	fs.NodeFsyncer
	fs.NodeUnlinker
	fs.NodeRenamer
})((*snapshotDir)(nil))

// OnAdd puts the file in the directory.
func (d *snapshotDir) OnAdd(ctx context.Context) {
	d.AddChild("snapshot", d.NewPersistentInode(ctx, d.file, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

// Getattr has the directory be of whoever mounted it.
func (d *snapshotDir) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = syscall.S_IFDIR|0o555, 2
	d.file.times(out)
	return fs.OK
}

// Statfs tells the snapshot's size in chunks, and how many can still be written for the first
// time.
func (d *snapshotDir) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	v := d.file.view
	chunk := uint64(v.Geometry().ChunkBytes())
	out.Bsize, out.Frsize, out.NameLen = uint32(chunk), uint32(chunk), 255
	out.Blocks, out.Files = (uint64(v.Size())+chunk-1)/chunk, 1
	if d.file.writable {
		out.Bfree = v.Usage().Free()
		out.Bavail = out.Bfree
	}
	return fs.OK
}

// Fsync makes durable what was written to the file.
func (d *snapshotDir) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return d.file.sync()
}

// Unlink refuses to take the file away, which the library would do by itself.
func (d *snapshotDir) Unlink(context.Context, string) syscall.Errno { return syscall.EROFS }

// Rename refuses to, as creating a file is refused.
func (d *snapshotDir) Rename(context.Context, string, fs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EROFS
}

// snapshotFile is the file. It may be used by several goroutines at once.
type snapshotFile struct {
	fs.Inode
	*snapshot
	writable bool
	since    time.Time

	mu   sync.Mutex
	told map[string]bool // errors that were told
	bad  status          // what they come to

	moving atomic.Pointer[failure] // somebody may be writing to what is read
}

var _ = (interface {
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFlusher
	fs.NodeFsyncer
})((*snapshotFile)(nil))

// times has all of it be of whoever mounted it, and as old as the mount.
func (f *snapshotFile) times(out *fuse.AttrOut) {
	out.Uid, out.Gid = uint32(os.Getuid()), uint32(os.Getgid())
	out.SetTimes(&f.since, &f.since, &f.since)
}

// Getattr has the file be as large as the snapshot.
func (f *snapshotFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = syscall.S_IFREG|0o444, 1
	if f.writable {
		out.Mode = syscall.S_IFREG | 0o644
	}
	out.Size, out.Blocks = uint64(f.view.Size()), uint64(f.view.Size())/512
	f.times(out)
	return fs.OK
}

// Setattr changes nothing: the snapshot has its size. Times are nobody's concern.
func (f *snapshotFile) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok && size != uint64(f.view.Size()) {
		return syscall.EPERM
	}
	if in.Valid&(fuse.FATTR_MODE|fuse.FATTR_UID|fuse.FATTR_GID) != 0 {
		return syscall.EPERM
	}
	return f.Getattr(ctx, h, out)
}

// Open has the kernel keep what it has cached: nobody else changes it.
func (f *snapshotFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, fs.OK
}

func (f *snapshotFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	if f.moving.Load() != nil {
		return nil, syscall.EIO
	}
	n, err := f.view.ReadAt(dest, offset)
	if err != nil && err != io.EOF {
		f.tell(err)
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(dest[:n]), fs.OK
}

func (f *snapshotFile) Write(_ context.Context, _ fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	if f.moving.Load() != nil { // it would take the rest of a chunk from the origin
		return 0, syscall.EIO
	}
	size := f.view.Size()
	if offset >= size {
		return 0, syscall.EFBIG
	}
	n, err := f.view.WriteAt(data[:min(int64(len(data)), size-offset)], offset)
	switch {
	case err == nil, n > 0: // the rest of a short write is tried again
		return uint32(n), fs.OK
	case errors.Is(err, store.ErrNoRoom):
		f.tell(err)
		return 0, syscall.ENOSPC
	case errors.Is(err, view.ErrReadOnly):
		return 0, syscall.EROFS
	}
	f.tell(err)
	return 0, errno(err)
}

// errno is what whoever uses the file is told.
func errno(err error) syscall.Errno {
	if errors.Is(err, syscall.ENOSPC) {
		return syscall.ENOSPC
	}
	return syscall.EIO
}

// Fsync makes durable what was written.
func (f *snapshotFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return f.sync() }

// Flush is for who closes the file: what was written is durable then.
func (f *snapshotFile) Flush(context.Context, fs.FileHandle) syscall.Errno { return f.sync() }

func (f *snapshotFile) sync() syscall.Errno {
	if err := f.view.Sync(); err != nil {
		f.tell(err)
		return errno(err)
	}
	return fs.OK
}

// watch looks whether somebody has come to use what is read, who may write to it. From then on
// nothing can be read: it may be of several moments.
func (f *snapshotFile) watch() {
	var by *failure
	if f.moving.Load() == nil && errors.As(f.quiet(), &by) {
		f.moving.Store(by)
		f.tell(fmt.Errorf("%s: %w; there are I/O errors from now on", printable(by.device), by.err))
	}
}

// worst is the status of all errors that were told.
func (f *snapshotFile) worst() status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bad
}

// mostTold is how many different errors are told.
const mostTold = 100

// tell tells of an error, once: the kernel asks again and again. Of chunks that are not certain for
// one reason it names the first.
func (f *snapshotFile) tell(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, is := err.Error(), statusFailed
	key := text
	if u := (*view.UncertainError)(nil); errors.As(err, &u) {
		key, is = u.Why, f.outcomes.damaged
	}
	f.bad |= is
	switch {
	case f.told[key] || len(f.told) > mostTold:
	case len(f.told) == mostTold:
		f.told[key] = true
		f.say(f.path, "there are more errors, which are not told")
	default:
		if f.told == nil {
			f.told = map[string]bool{}
		}
		f.told[key] = true
		f.say(f.path, "%s", text)
	}
}

// fuseLog takes what the FUSE library has to say.
type fuseLog struct{ *snapshot }

func (l fuseLog) Write(line []byte) (int, error) {
	l.verbose(l.path, "%s", strings.TrimSpace(string(line)))
	return len(line), nil
}
