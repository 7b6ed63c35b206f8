package ext

import (
	"fmt"
	"iter"

	"dmcow/fs"
)

// orphanMagic ends each block of the file of orphans.
const orphanMagic = 0x0b10ca04

// Orphans are the inodes that recovery would delete or cut: those in the list that begins in the superblock, and those
// in the file of orphans.
func (f *FS) Orphans() iter.Seq2[fs.Ino, error] {
	return func(yield func(fs.Ino, error) bool) {
		seen := map[fs.Ino]bool{}
		for n := f.lastOrphan; n != 0; {
			if seen[n] {
				yield(0, &fs.DamageError{What: "list of orphans", At: f.at + 0xe8, Why: fmt.Sprintf("inode %d is there twice", n)})
				break
			}
			seen[n] = true
			i, err := f.inode(n)
			if err != nil {
				yield(n, fmt.Errorf("list of orphans: %w", err))
				break
			}
			if !yield(n, nil) {
				return
			}
			n = fs.Ino(i.slot.u32(0x14)) // where others have the time of their deletion
		}
		if f.orphanFile != 0 {
			f.orphansInFile(yield)
		}
	}
}

func (f *FS) orphansInFile(yield func(fs.Ino, error) bool) {
	i, err := f.inode(f.orphanFile)
	if err != nil {
		yield(0, fmt.Errorf("file of orphans: %w", err))
		return
	}
	for r, err := range i.runs(0, false) {
		if err != nil && !yield(0, err) {
			return
		}
		if err != nil || r.logical >= f.blocksOf(i.attr.Size) {
			continue
		}
		for n := range min(r.count, f.blocksOf(i.attr.Size)-r.logical) {
			if !f.orphanBlock(i, r.physical+n, yield) {
				return
			}
		}
	}
}

func (f *FS) orphanBlock(i *inode, n uint64, yield func(fs.Ino, error) bool) bool {
	b, err := f.dev.block(n, "file of orphans")
	if err != nil {
		return yield(0, err)
	}
	entries, tail := b[:len(b)-8], b[len(b)-8:]
	damage := &fs.DamageError{What: "file of orphans", At: int64(n) * f.blockSize}
	if tail.u32(0) != orphanMagic {
		damage.Why = fmt.Sprintf("its magic number is 0x%08x", tail.u32(0))
		return yield(0, damage)
	}
	if got, want := tail.u32(4), checksum(checksum64(i.seed, n), entries); f.hasCsum() && got != want {
		damage.Why = fmt.Sprintf("the checksum is 0x%08x, expected 0x%08x", got, want)
		return yield(0, damage)
	}
	for ; len(entries) > 0; entries = entries[4:] {
		if n := fs.Ino(entries.u32(0)); n != 0 && !yield(n, nil) {
			return false
		}
	}
	return true
}
