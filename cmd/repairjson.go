package cmd

import (
	"fmt"

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
	Written     *string    `json:"written"`
	Undo        *string    `json:"undo"`
	MayHaveLost bool       `json:"may_have_lost"`
	Mended      []mendings `json:"mended"`
	Undecided   []mendings `json:"undecided"`
	Writes      int        `json:"writes"`
	More        bool       `json:"more"`
}

// mendings is what becomes of the findings of a rule, or could.
type mendings struct {
	Rule   string   `json:"rule"`
	Count  uint64   `json:"count"`
	Loses  bool     `json:"may_lose"`
	Lines  []string `json:"lines"`
	Choose string   `json:"choose"`
}

// record writes the result for programs, where that was asked for; written is what was mended.
func (m *mending) record(r *check.Report, written string) error {
	if m.Output != "json" {
		return nil
	}
	x := repaired{
		Device: m.path, Before: m.plan.Before.Outcome(), Result: r.Outcome(), MayHaveLost: m.sum().loses && written != "",
		Mended: mendingsOf(m.plan.Mended), Undecided: mendingsOf(m.plan.Undecided), Writes: m.plan.Writes(), More: m.plan.More,
	}
	if written != "" {
		x.Written = &written
		if m.undoing.name != "" {
			x.Undo = &m.undoing.name
		}
	}
	_, err := fmt.Fprintln(m.stdout, indented(x, ""))
	return err
}

func mendingsOf(all []repair.Mending) []mendings {
	list := []mendings{}
	for _, x := range all {
		list = append(list, mendings{x.Rule.Name, x.Count, x.Loses, append([]string{}, x.Lines...), x.Advice})
	}
	return list
}
