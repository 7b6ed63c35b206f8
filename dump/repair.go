package dump

import (
	"io"

	"dmcow/check"
	"dmcow/repair"
)

// repaired is what programs are told of a repair: the fields are stable in name and meaning.
type repaired struct {
	Device string        `json:"device"`
	Before check.Outcome `json:"before"`
	// Result is what the store is now: mended, or as it was where nothing was written.
	Result check.Outcome `json:"result"`
	// Written names what was written, the device or a copy; null where nothing was.
	Written     *string      `json:"written"`
	Undo        *string      `json:"undo"`
	MayHaveLost bool         `json:"may_have_lost"`
	Mended      []resolution `json:"mended"`
	Undecided   []resolution `json:"undecided"`
	Writes      int          `json:"writes"`
	More        bool         `json:"more"`
}

type resolution struct {
	Rule   string   `json:"rule"`
	Count  uint64   `json:"count"`
	Loses  bool     `json:"may_lose"`
	Lines  []string `json:"lines"`
	Choose string   `json:"choose"`
}

// Repair is a repair for programs.
type Repair struct {
	Device        string
	Plan          *repair.Plan
	Result        check.Outcome // of what there is now
	Written, Undo string        // what was written, and the undo log; empty for nothing
	Loses         bool          // something may be lost by what was written
}

// RepairJSON writes one object.
func RepairJSON(w io.Writer, r Repair) error {
	x := repaired{
		Device: r.Device, Before: r.Plan.Before.Outcome(), Result: r.Result, MayHaveLost: r.Loses,
		Mended: resolutionsOf(r.Plan.Repaired), Undecided: resolutionsOf(r.Plan.Undecided), Writes: r.Plan.Writes(), More: r.Plan.More,
	}
	if r.Written != "" {
		x.Written = &r.Written
	}
	if r.Undo != "" {
		x.Undo = &r.Undo
	}
	return writeJSON(w, x)
}

func resolutionsOf(all []repair.Resolution) []resolution {
	list := []resolution{}
	for _, x := range all {
		list = append(list, resolution{x.Rule.Name, x.Count, x.Loses, append([]string{}, x.Lines...), x.Advice})
	}
	return list
}
