package devicetest

import (
	"hash/maphash"
	"slices"
)

// disk is what the events of a record up to one of them leave to chance.
type disk struct {
	durable  *Memory
	unsynced []unsynced // in the order of their first writes
	marks    []any

	sum  uint64 // of the durable content, less the sum at the record's start
	seen map[state]bool
}

// unsynced is a sector that may hold one of several versions, all different.
type unsynced struct {
	number   int64
	versions []version // the durable one, and what was written since
	last     int       // which one was written last
}

type version struct {
	sector
	sum uint64
}

// state is what tells states apart: the sum of their sectors' sums, and how
// many marks there are.
type state struct {
	sum   uint64
	marks int
}

var seed = maphash.MakeSeed()

// versionOf gives the version its sum, of the sector's number and content.
func versionOf(s sector) version {
	type content struct {
		number int64
		data   [sectorSize]byte
	}
	return version{s, maphash.Comparable(seed, content{s.number, [sectorSize]byte(s.data)})}
}

// next goes on by the last one of events. The one before it has returned.
func (d *disk) next(events []event) {
	n := len(events) - 1
	if n > 0 && events[n-1].durable {
		e := events[n-1]
		first := e.offset / sectorSize
		d.settle(first, first+int64(len(e.data)/sectorSize))
	}
	switch e := events[n]; e.kind {
	case Write:
		number := e.offset / sectorSize
		for data := range slices.Chunk(e.data, sectorSize) {
			d.write(versionOf(sector{number, n, data}))
			number++
		}
	case Sync:
		d.settle(e.offset/sectorSize, (e.offset+e.length)/sectorSize)
	default:
		d.marks = slices.Concat(d.marks, []any{e.mark})
	}
}

// write adds a version to its sector, unless it is one of those already.
func (d *disk) write(v version) {
	at := slices.IndexFunc(d.unsynced, func(u unsynced) bool { return u.number == v.number })
	if at < 0 {
		old := sector{number: v.number, data: make([]byte, sectorSize)}
		d.durable.Peek(old.data, v.number*sectorSize)
		first := versionOf(old)
		if first.sum == v.sum {
			return
		}
		at = len(d.unsynced)
		d.unsynced = append(d.unsynced, unsynced{number: v.number, versions: []version{first}})
	}
	u := &d.unsynced[at]
	u.last = slices.IndexFunc(u.versions, func(old version) bool { return old.sum == v.sum })
	if u.last < 0 {
		u.last = len(u.versions)
		u.versions = append(u.versions, v)
	}
}

// settle makes durable what the sectors from first up to, not including, end
// were last written.
func (d *disk) settle(first, end int64) {
	d.unsynced = slices.DeleteFunc(d.unsynced, func(u unsynced) bool {
		if u.number < first || u.number >= end {
			return false
		}
		last := u.versions[u.last]
		d.durable.Put(u.number*sectorSize, last.data)
		d.sum += last.sum - u.versions[0].sum
		return true
	})
}

// first reports whether the state of this choice was not there before.
func (d *disk) first(c choice) bool {
	s := state{d.sum, len(d.marks)}
	for i, u := range d.unsynced {
		s.sum += u.versions[c[i]].sum - u.versions[0].sum
	}
	if d.seen == nil {
		d.seen = map[state]bool{}
	}
	found := d.seen[s]
	d.seen[s] = true
	return !found
}

// written are the sectors that this choice writes.
func (d *disk) written(c choice) []sector {
	var all []sector
	for i, u := range d.unsynced {
		if c[i] != 0 {
			all = append(all, u.versions[c[i]].sector)
		}
	}
	return all
}
