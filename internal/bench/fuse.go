package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dmcow/format"
)

// passThrough mounts a directory with one file, which has what another file has, but for the pieces
// that are elsewhere.
func passThrough(path string, elsewhere *pieces, dir string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	never := time.Duration(1<<63 - 1)
	server, err := fs.Mount(dir, &bareDir{file: &bareFile{file: f, size: format.Bytes(info.Size()), elsewhere: elsewhere}}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true}, EntryTimeout: &never, AttrTimeout: &never,
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "mounted on", dir)
	server.Wait()
	return nil
}

type bareDir struct {
	fs.Inode
	file *bareFile
}

func (d *bareDir) OnAdd(ctx context.Context) {
	d.AddChild("snapshot", d.NewPersistentInode(ctx, d.file, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

type bareFile struct {
	fs.Inode
	file *os.File
	size format.Bytes

	elsewhere *pieces // nil for none
}

func (f *bareFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = syscall.S_IFREG|0o444, uint64(f.size)
	return fs.OK
}

func (f *bareFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, fs.OK
}

func (f *bareFile) Read(_ context.Context, _ fs.FileHandle, p []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	n, err := f.elsewhere.readAt(f.file, p, offset)
	if n == 0 && err != nil {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(p[:n]), fs.OK
}

// pieces are chunks that have another file in place of the first one.
type pieces struct {
	file *os.File
	at   []format.Bytes // where each chunk is there; 0 for one that is not
}

// pieces are those that the store has.
func (m mergeable) pieces(store string) (*pieces, error) {
	f, err := os.Open(store)
	if err != nil {
		return nil, err
	}
	p := &pieces{f, make([]format.Bytes, m.chunks())}
	for i, old := range m.old() {
		p.at[old] = geometry().Offset(geometry().DataChunk(uint64(i)))
	}
	return p, nil
}

// readAt reads from first what has no piece. Offset and length are whole chunks, as the kernel asks.
func (p *pieces) readAt(first *os.File, b []byte, offset int64) (n int, err error) {
	if p == nil {
		return first.ReadAt(b, offset)
	}
	size := int(geometry().ChunkBytes())
	for n < len(b) && err == nil {
		from, at, end := first, offset+int64(n), n+size
		if here := p.piece(at); here != 0 {
			from, at = p.file, int64(here)
		} else {
			for end < len(b) && p.piece(offset+int64(end)) == 0 {
				end += size
			}
		}
		var got int
		got, err = from.ReadAt(b[n:min(end, len(b))], at)
		n += got
	}
	return n, err
}

// piece is where the chunk at an offset is, 0 if it has no piece.
func (p *pieces) piece(offset int64) format.Bytes {
	if chunk := uint64(offset) / uint64(geometry().ChunkBytes()); chunk < uint64(len(p.at)) {
		return p.at[chunk]
	}
	return 0
}
