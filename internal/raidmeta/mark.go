package raidmeta

import "encoding/binary"

// What writes images without the kernel marks the superblock of each in its last bytes, which the kernel fills with
// zeros each time it writes one (super_sync): so the mark stands as long as no kernel has seen to the array.
const (
	mark     = "dmcow: regions are marked"
	markAt   = sectorSize - 32
	syncedAt = 40
)

// Mark has the kernel bring in sync, when it activates the array next, all regions that have their bits set in the
// bitmap, in a superblock of 512 bytes. Bits alone do not: while the whole array counts as in sync, the kernel takes
// those that it finds for writes that were done, and clears them (md_bitmap_init_from_disk).
//
// All is in sync only up to the beginning, then. Anything else but that would have all that is behind it copied, bits
// or not (raid_preresume).
func Mark(superblock []byte) {
	binary.LittleEndian.PutUint64(superblock[syncedAt:], 0)
	copy(superblock[markAt:], mark)
}
