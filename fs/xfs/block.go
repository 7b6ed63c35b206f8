package xfs

import (
	"fmt"
	"sync"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// blocks reads a volume, and keeps some blocks of metadata.
type blocks struct {
	fs.Volume

	mu    sync.Mutex
	kept  map[int64][]byte // by where they lie
	order []int64          // as they came
	bytes int
}

// keptBytes is how much metadata is kept in memory.
const keptBytes = 4 << 20

// read reads metadata: not to be changed.
func (b *blocks) read(at int64, size int, what string) (record, error) {
	b.mu.Lock()
	p, ok := b.kept[at]
	b.mu.Unlock()
	if ok && len(p) == size {
		return p, nil
	}
	p = make([]byte, size)
	if err := raw.ReadFull(b, p, at); err != nil {
		return nil, &fs.ReadError{What: what, At: at, Err: err}
	}
	b.keep(at, p)
	return p, nil
}

func (b *blocks) keep(at int64, p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.kept[at]; ok {
		return
	}
	if b.kept == nil {
		b.kept = map[int64][]byte{}
	}
	for b.bytes+len(p) > keptBytes && len(b.order) > 0 {
		b.bytes -= len(b.kept[b.order[0]])
		delete(b.kept, b.order[0])
		b.order = b.order[1:]
	}
	b.kept[at] = p
	b.order = append(b.order, at)
	b.bytes += len(p)
}

// seal is where a block of metadata has its checksum and what else proves that it is the one that was looked for.
type seal struct {
	crc, uuid int
	block     int    // the number of its first sector; -1 for none
	owner     int    // of 8 bytes; -1 for none
	belongs   uint64 // the owner
}

// checkSeal returns what is wrong with a block of version 5.
func (s *super) checkSeal(b record, at int64, k seal) string {
	if got, want := b.stored(k.crc), checksum(b, k.crc); got != want {
		return fmt.Sprintf("the checksum is 0x%08x, expected 0x%08x", got, want)
	}
	if string(b[k.uuid:k.uuid+16]) != string(s.metaUUID[:]) {
		return fmt.Sprintf("it belongs to the file system %x", b[k.uuid:k.uuid+16])
	}
	if k.block >= 0 && b.u64(k.block) != uint64(at/512) {
		return fmt.Sprintf("it is meant for sector %d, and lies in %d", b.u64(k.block), at/512)
	}
	if k.owner >= 0 && b.u64(k.owner) != k.belongs {
		return fmt.Sprintf("its owner is inode %d, expected %d", b.u64(k.owner), k.belongs)
	}
	return ""
}
