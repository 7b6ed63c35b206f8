package persistent

import (
	"encoding/binary"
	"fmt"
)

const (
	arrayHeader = 24
	perBlock    = (BlockSize - arrayHeader) / 8
)

// NoRoomError says that an array has more values than the metadata can hold.
type NoRoomError struct{ Values, Blocks uint64 }

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("an array of %d values does not fit in metadata of %d blocks", e.Values, e.Blocks)
}

// Numbers calls use with each of so many numbers of eight bytes, which are an array's, in order. use ends it
// with an error. The error is use's, a [*DamageError], a [*NoRoomError], or one of reading.
func (s *Store) Numbers(root, count uint64, use func(i, number uint64) error) error {
	if count/perBlock > s.blocks {
		return &NoRoomError{count, s.blocks}
	}
	tree := s.NumberTree(root)
	for first := uint64(0); first < count; first += perBlock {
		at, found, err := tree.Number(first / perBlock)
		if err != nil {
			return err
		}
		if !found {
			return damaged(root, "the array that begins there has no values from %d on, and should have %d", first, count)
		}
		b, err := s.arrayBlock(at, min(count-first, perBlock))
		if err != nil {
			return err
		}
		for i := range min(count-first, perBlock) {
			if err := use(first+i, binary.LittleEndian.Uint64(b[8*i:])); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrayBlock are the values in a block, which must have so many.
func (s *Store) arrayBlock(block, count uint64) ([]byte, error) {
	b, err := s.block(block, arrayXOR, ownNumberOfArray)
	if err != nil {
		return nil, err
	}
	u32 := binary.LittleEndian.Uint32
	if room, used, size := u32(b[4:]), u32(b[8:]), u32(b[12:]); size != 8 || room != perBlock || used > room || uint64(used) < count {
		return nil, damaged(block, "%d of %d values of %d bytes, expected %d of %d with 8", used, room, size, count, uint64(perBlock))
	}
	return b[arrayHeader:], nil
}
