package record

import (
	"time"

	"dmcow/dump"
	"dmcow/snapshot"
	"dmcow/store/apply"
	"dmcow/store/delta"
)

// Received is a delta that was applied, or would be.
func Received(p *snapshot.Receive, r apply.Result, dryRun bool, undo dump.Undo) dump.Received {
	if dryRun {
		r = p.Foreseen
	}
	x := ofDelta(p.In)
	x.Target, x.DryRun = &p.Origin.Text, dryRun
	x.WrittenChunks, x.WrittenBytes, x.HeldChunks = r.Written, uint64(r.Bytes), r.Held
	x.TornChunks, x.ForeignChunks, x.ClearedBytes = r.Torn, r.Foreign, uint64(r.Cleared)
	for _, o := range p.Siblings {
		x.Siblings = append(x.Siblings, dump.MergeSibling{Name: o.COW.Text, Lost: o.Lost, Exceptions: o.Saving.Chunks})
	}
	if !dryRun && !p.IsEmpty() {
		x.Kept = undo.Record()
	}
	return x
}

// Collected is a delta that was only read.
func Collected(p *snapshot.Collect, dryRun bool) dump.Received {
	x := ofDelta(p.In)
	x.DryRun = dryRun
	if p.Output != nil {
		x.Store = &p.Output.Name
	}
	return x
}

func ofDelta(in *snapshot.Incoming) dump.Received {
	h := in.Head
	x := dump.Received{Delta: in.Name, Kind: "lvmsync", Siblings: []dump.MergeSibling{}}
	if in.Lvmsync {
		return x
	}
	x.Kind = KindOf(h.Kind)
	x.Source, x.SizeBytes, x.Exceptions, x.DataBytes = sideOf(h.Source), uint64(h.Size), h.Count, uint64(h.Bytes)
	if h.Kind != delta.Full {
		x.Base = sideOf(h.Base)
	}
	return x
}

// KindOf is a delta's kind as programs are told it.
func KindOf(k delta.Kind) string {
	return map[delta.Kind]string{delta.Forward: "forward", delta.Back: "back", delta.Between: "between", delta.Full: "full"}[k]
}

func sideOf(s delta.Side) *dump.DeltaSide {
	x := &dump.DeltaSide{Name: known(s.Name), UUID: known(s.UUID)}
	if s.Moment != 0 {
		x.Moment = dump.CreatedAt(time.Unix(s.Moment, 0))
	}
	return x
}
