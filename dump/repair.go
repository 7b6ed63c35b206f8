package dump

import (
	"io"

	"dmcow/check"
	"dmcow/repair"
)

// repaired is what programs are told of a repair: the fields are stable in name and meaning.
type repaired struct {
	Device      string        `json:"device" doc:"the COW device, as it was named"`
	Before      check.Outcome `json:"before" doc:"what check said about it before the repair: sound, invalid, damaged or uninitialized"`
	Result      check.Outcome `json:"result" doc:"what check says about it now"`
	Written     *string       `json:"written" doc:"what was written, the device or a copy; null if nothing was"`
	Undo        *string       `json:"undo" doc:"the undo log that undoes the repair; null without one"`
	UndoBytes   *uint64       `json:"undo_bytes" doc:"size of the undo log, in bytes; null without one, and for a device"`
	MayHaveLost bool          `json:"may_have_lost" doc:"whether what was written may have lost something"`
	Mended      []resolution  `json:"mended" doc:"faults that the plan repairs"`
	Undecided   []resolution  `json:"undecided" doc:"faults that wait for a choice"`
	Writes      int           `json:"writes" doc:"writes of the plan"`
	More        bool          `json:"more" doc:"whether there is more to repair than one plan holds; then run the same command again"`
}

type resolution struct {
	Rule   string   `json:"rule" doc:"name of the rule"`
	Count  uint64   `json:"count" doc:"faults"`
	Loses  bool     `json:"may_lose" doc:"whether repairing them may lose something"`
	Lines  []string `json:"lines" doc:"what is done about the first of them, for people"`
	Choose string   `json:"choose" doc:"the flags to choose from, for people; empty where there is no choice"`
}

// Repair is a repair for programs.
type Repair struct {
	Device  string
	Plan    *repair.Plan
	Result  check.Outcome // of what there is now
	Written string        // what was written; empty for nothing
	Undo    Undo
	Loses   bool // something may be lost by what was written
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
	x.Undo, x.UndoBytes = r.Undo.told()
	return writeJSON(w, x)
}

func resolutionsOf(all []repair.Resolution) []resolution {
	list := []resolution{}
	for _, x := range all {
		list = append(list, resolution{x.Rule.Name, x.Count, x.Loses, append([]string{}, x.Lines...), x.Advice})
	}
	return list
}
