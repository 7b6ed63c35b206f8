package merge

import (
	"slices"

	"dmcow/format"
)

// shrink clears the exceptions of the list from position first up to end, its end, but for those in keep,
// which are the order of the origin and are moved to the front: the list ends behind them then.
//
// What they are written over has been merged. Copies are durable before the
// originals go.
func (m *merger) shrink(first, end uint64, keep []format.Exception) error {
	if len(keep) > 0 {
		if err := m.moveTo(first, keep); err != nil {
			return err
		}
	}
	return m.clear(first+uint64(len(keep)), end)
}

// moveTo has the exceptions from position first on be those in keep, durably. Those
// that stand there already keep their places.
func (m *merger) moveTo(first uint64, keep []format.Exception) error {
	end := first + uint64(len(keep))
	there := make([]bool, len(keep))
	stays := make([]bool, len(keep)) // by position
	err := m.read(first, end, func(at uint64, x format.Exception) error {
		if i, found := slices.BinarySearchFunc(keep, x, compare); found && !there[i] {
			there[i], stays[at-first] = true, true
		}
		return nil
	})
	if err != nil {
		return err
	}
	var missing []format.Exception
	for i, x := range keep {
		if !there[i] {
			missing = append(missing, x)
		}
	}
	for at := first; at < end; {
		next := min(end, m.pageOf(at)+m.perPage())
		if err := m.load(m.pageOf(at)); err != nil {
			return err
		}
		slots := m.slotsOf(at, next)
		for i := range next - at {
			if !stays[at-first+i] {
				missing[0].Encode(slots[i*format.ExceptionSize:])
				missing = missing[1:]
			}
		}
		if err := m.write(m.page, m.pageOf(at)); err != nil {
			return err
		}
		at = next
	}
	return m.sync()
}
