package record

import (
	"time"

	"dmcow/dump"
	"dmcow/internal/pace"
	"dmcow/snapshot"
)

// Watched are the records of snapshots at a moment.
func Watched(now time.Time, all []*snapshot.Tracked) (records []dump.Watched) {
	for _, x := range all {
		records = append(records, watched(now, x))
	}
	return records
}

func watched(now time.Time, x *snapshot.Tracked) dump.Watched {
	r := dump.Watched{Time: now.UTC().Format(time.RFC3339), Name: x.Name, Origin: known(x.Origin), Active: x.Active, Merging: x.Merging, State: x.State}
	if x.Gone {
		r.State, r.Active = "gone", false
		return r
	}
	if x.Err != nil {
		r.Error = new(x.Err.Error())
	}
	if p, ok := x.Percent(); ok {
		r.Percent = &p
	}
	if !x.Known {
		return r
	}
	r.TotalSectors, r.ChunkSectors = new(uint64(x.Usage.Total())), new(uint64(x.Usage.Geometry.ChunkSectors()))
	r.Exceptions, r.FreeChunks = new(x.Usage.End.Exceptions), new(x.Usage.Free())
	r.PerSecond1Min, r.PerSecond15Min = rate(x, pace.Short), rate(x, pace.Long)
	if f := x.Forecast(); f.Ever {
		r.SecondsLeft = new(f.Left.Round(time.Millisecond).Seconds())
	}
	return r
}

func rate(x *snapshot.Tracked, window time.Duration) *float64 {
	if perSecond, ok := x.History.Rate(window); ok {
		return &perSecond
	}
	return nil
}
