package save

import (
	"io"
	"slices"

	"dmcow/format"
	"dmcow/store"
	"dmcow/store/look"
)

// Keeper is a saver for who learns only little by little what he is going to overwrite.
type Keeper struct{ *saving }

// Keep has the store on d, which is the saver's device, keep chunks as they come. visit is called now and then with the
// area that the walk through its list has come to.
//
// The error is one of [store.Open] or [store.Initialize], or visit's.
func (s *Saver) Keep(d store.WriteDevice, origin io.ReaderAt, visit func(format.AreaIndex) error) (*Keeper, error) {
	if s.id.State == look.Uninitialized {
		if err := store.Initialize(d, s.geometry, nil); err != nil {
			return nil, err
		}
	} else if _, err := format.Each(s.id.Walk(s.device), nil, func(_ *struct{}, b format.Batch) error {
		for _, x := range b.Exceptions() { // of those that lie on the origin: what others would say takes memory
			if format.Bytes(x.Old) < s.origin/s.geometry.ChunkBytes()+1 {
				s.chunks.Add(uint64(x.Old))
			}
		}
		return visit(b.Area)
	}); err != nil {
		return nil, err
	}
	c, err := s.saving(d, origin)
	return &Keeper{c}, err
}

// Close gives the keeper's memory back.
func (k *Keeper) Close() { k.buffers.Free() }

// Save saves the chunks that have some of the origin's bytes from start up to end, where there is no exception for them
// yet. When it returns without error, they are durable.
//
// The error is one of [store.Store.PrepareException], or one of reading or writing.
func (k *Keeper) Save(start, end format.Bytes) error {
	chunk := k.geometry.ChunkBytes()
	var all []uint64
	for at := start / chunk; at*chunk < min(end, k.origin); at++ {
		if !k.chunks.Has(uint64(at)) {
			all = append(all, uint64(at))
		}
	}
	for some := range slices.Chunk(all, k.most()) {
		if err := k.batch(some); err != nil {
			return err
		}
		for _, n := range some {
			k.chunks.Add(n)
		}
	}
	return nil
}
