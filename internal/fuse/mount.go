// Package fuse shows something that can be read as a file, through FUSE.
package fuse

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Source is what is shown. Its methods are called by several goroutines at once. The errors of who uses
// the file are the syscall.Errno in theirs, and else EIO.
type Source interface {
	io.ReaderAt
	io.WriterAt // a write may be short where it has an error
	Sync() error
	Size() int64       // in bytes
	ChunkBytes() int64 // that it is counted in, for statfs
	Free() uint64      // chunks that can still be written for the first time
}

// Options say how.
type Options struct {
	Name       string // of what is shown, for the list of mounts
	File       string // the file's name
	Writable   bool
	AllowOther bool // users, too
	Log        io.Writer
}

// Server is a mount that is served.
type Server interface {
	Wait()          // until it is unmounted
	Unmount() error // where nobody uses it
}

// transfer is how much the kernel reads or writes at once, in bytes. More is slower: it does
// not stay in the processor's cache on its way.
const transfer = 128 << 10

// ahead is how much the kernel reads ahead, in bytes: so it asks for several transfers at once.
const ahead = 4 * transfer

// Mount mounts a directory with one file in it, and serves that.
func Mount(dir string, source Source, o Options) (Server, error) {
	f := &file{source: source, writable: o.Writable, since: time.Now()}
	never := time.Duration(1<<63 - 1) // nothing changes
	options := &fs.Options{
		MountOptions: fuse.MountOptions{
			FsName: o.Name, Name: "dmcow", AllowOther: o.AllowOther, MaxWrite: transfer, MaxReadAhead: ahead,
			DisableXAttrs: true, Logger: log.New(o.Log, "", 0),
		},
		EntryTimeout: &never, AttrTimeout: &never,
	}
	if os.Geteuid() == 0 {
		options.DirectMountStrict, options.DirectMountFlags = true, syscall.MS_NOSUID|syscall.MS_NODEV
	}
	if o.AllowOther {
		options.Options = append(options.Options, "default_permissions")
	}
	if !o.Writable {
		if options.DirectMountFlags |= syscall.MS_RDONLY; !options.DirectMountStrict {
			options.Options = append(options.Options, "ro")
		}
	}
	return fs.Mount(dir, &directory{name: o.File, file: f}, options)
}

type directory struct {
	fs.Inode
	name string
	file *file
}

var _ = (interface {
	fs.NodeOnAdder
	fs.NodeGetattrer
	fs.NodeStatfser
	fs.NodeFsyncer
	fs.NodeUnlinker
	fs.NodeRenamer
})((*directory)(nil))

// OnAdd puts the file in the directory.
func (d *directory) OnAdd(ctx context.Context) {
	d.AddChild(d.name, d.NewPersistentInode(ctx, d.file, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

// Getattr has the directory be of whoever mounted it.
func (d *directory) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = syscall.S_IFDIR|0o555, 2
	d.file.times(out)
	return fs.OK
}

// Statfs tells the size in chunks, and how many can still be written for the first time.
func (d *directory) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	s := d.file.source
	chunk := uint64(s.ChunkBytes())
	out.Bsize, out.Frsize, out.NameLen = uint32(chunk), uint32(chunk), 255
	out.Blocks, out.Files = (uint64(s.Size())+chunk-1)/chunk, 1
	if d.file.writable {
		out.Bfree = s.Free()
		out.Bavail = out.Bfree
	}
	return fs.OK
}

// Fsync makes durable what was written to the file.
func (d *directory) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return d.file.sync()
}

// Unlink refuses to take the file away, which the library would do by itself.
func (d *directory) Unlink(context.Context, string) syscall.Errno { return syscall.EROFS }

// Rename refuses to, as creating a file is refused.
func (d *directory) Rename(context.Context, string, fs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EROFS
}

// file is the file. It may be used by several goroutines at once.
type file struct {
	fs.Inode
	source   Source
	writable bool
	since    time.Time
}

var _ = (interface {
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFlusher
	fs.NodeFsyncer
})((*file)(nil))

// times has all of it be of whoever mounted it, and as old as the mount.
func (f *file) times(out *fuse.AttrOut) {
	out.Uid, out.Gid = uint32(os.Getuid()), uint32(os.Getgid())
	out.SetTimes(&f.since, &f.since, &f.since)
}

// Getattr has the file be as large as what is shown.
func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = syscall.S_IFREG|0o444, 1
	if f.writable {
		out.Mode = syscall.S_IFREG | 0o644
	}
	out.Size, out.Blocks = uint64(f.source.Size()), uint64(f.source.Size())/512
	f.times(out)
	return fs.OK
}

// Setattr changes nothing: the file has its size. Times are nobody's concern.
func (f *file) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok && size != uint64(f.source.Size()) {
		return syscall.EPERM
	}
	if in.Valid&(fuse.FATTR_MODE|fuse.FATTR_UID|fuse.FATTR_GID) != 0 {
		return syscall.EPERM
	}
	return f.Getattr(ctx, h, out)
}

// Open has the kernel keep what it has cached: nobody else changes it.
func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, fs.OK
}

func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	n, err := f.source.ReadAt(dest, offset)
	if err != nil && err != io.EOF {
		return nil, errno(err)
	}
	return fuse.ReadResultData(dest[:n]), fs.OK
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	size := f.source.Size()
	if offset >= size {
		return 0, syscall.EFBIG
	}
	n, err := f.source.WriteAt(data[:min(int64(len(data)), size-offset)], offset)
	if err != nil && n == 0 { // the rest of a short write is tried again
		return 0, errno(err)
	}
	return uint32(n), fs.OK
}

// Fsync makes durable what was written.
func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return f.sync() }

// Flush is for who closes the file: what was written is durable then.
func (f *file) Flush(context.Context, fs.FileHandle) syscall.Errno { return f.sync() }

func (f *file) sync() syscall.Errno {
	if err := f.source.Sync(); err != nil {
		return errno(err)
	}
	return fs.OK
}

// errno is what whoever uses the file is told.
func errno(err error) syscall.Errno {
	if no := syscall.Errno(0); errors.As(err, &no) && (no == syscall.ENOSPC || no == syscall.EROFS) {
		return no
	}
	return syscall.EIO
}
