package dump

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"dmcow/check"
)

// finding is what programs are told of one: the fields are stable in name and
// meaning. What a finding is not about is null.
type finding struct {
	Rule       string  `json:"rule" doc:"name of the rule"`
	Severity   string  `json:"severity" doc:"error, warning or info: only an error makes a store damaged"`
	Area       *uint64 `json:"area" doc:"metadata area that the finding is about"`
	Index      *uint64 `json:"index" doc:"slot in the area"`
	OldChunk   *uint64 `json:"old_chunk" doc:"chunk of the origin"`
	NewChunk   *uint64 `json:"new_chunk" doc:"chunk of the COW device"`
	OtherArea  *uint64 `json:"other_area" doc:"area of the exception with which this one shares a chunk"`
	OtherIndex *uint64 `json:"other_index" doc:"slot of that exception"`
	Message    string  `json:"message" doc:"what is wrong, for people"`
	Kernel     string  `json:"kernel" doc:"what the kernel does with it, for people"`
	Repair     string  `json:"repair" doc:"what repairs it, for people"`
}

// Check is a check for programs.
type Check struct {
	Device string
	Report *check.Report
	// Each calls show with the findings of a rule that are to be told.
	Each func(t check.Tally, show func(check.Finding) error) error
	// Remedy is what mends a finding, in words.
	Remedy func(check.Finding) string
}

func (c Check) record(f check.Finding) finding {
	r := finding{
		Rule: f.Name, Severity: f.Severity.String(), Message: f.Message(),
		Kernel: f.Kernel, Repair: c.Remedy(f),
	}
	if f.Scope != check.OfStore {
		r.Area = new(uint64(f.Area))
	}
	if f.Scope == check.OfPlace || f.Scope == check.OfException {
		r.Index = new(uint64(f.Index))
	}
	if f.Scope == check.OfException {
		r.OldChunk, r.NewChunk = new(uint64(f.Old)), new(uint64(f.New))
	}
	if f.Other != nil {
		r.OtherArea, r.OtherIndex = new(uint64(f.Other.Area)), new(uint64(f.Other.Index))
	}
	return r
}

// checked is the check of a store, whole.
type checked struct {
	summary
	Findings []finding `json:"findings" doc:"the first ten of each rule, or all with --all"`
}

type summary struct {
	Device     string            `json:"device" doc:"the COW device, as it was named"`
	Result     check.Outcome     `json:"result" doc:"sound, invalid, damaged or uninitialized; for several stores also unreadable"`
	Exceptions uint64            `json:"exceptions" doc:"exceptions in the list"`
	Areas      uint64            `json:"areas" doc:"metadata areas in use"`
	Counts     map[string]uint64 `json:"counts" doc:"number of findings of each rule, by its name"`
	Unread     []string          `json:"unread" doc:"errors of reading, for people"`
	Untested   []string          `json:"untested" doc:"what could not be tested, for people"`
}

// Checks are the checks of one store, an object, or of several, an array of objects.
type Checks struct {
	Several bool
	any     bool
}

// Add writes the check of a store.
func (s *Checks) Add(w io.Writer, c Check) error {
	if err := s.begin(w); err != nil {
		return err
	}
	return checkJSON(w, c)
}

// Unreadable writes that a store cannot be checked, and why.
func (s *Checks) Unreadable(w io.Writer, device string, why error) error {
	if err := s.begin(w); err != nil {
		return err
	}
	none := summary{Device: device, Result: Unreadable, Counts: map[string]uint64{}, Unread: []string{why.Error()}, Untested: []string{}}
	return writeJSON(w, checked{none, []finding{}})
}

// begin writes what stands before an object.
func (s *Checks) begin(w io.Writer) error {
	if !s.Several {
		return nil
	}
	before := ",\n"
	if !s.any {
		before = "[\n"
	}
	s.any = true
	_, err := io.WriteString(w, before)
	return err
}

// End writes what stands behind the last object.
func (s *Checks) End(w io.Writer) error {
	if !s.Several {
		return nil
	}
	text := "]\n"
	if !s.any {
		text = "[]\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// checkJSON writes one object. Findings go out as they come: there may be many.
func checkJSON(w io.Writer, c Check) error {
	s := summary{
		Device: c.Device, Result: c.Report.Outcome(), Exceptions: c.Report.Exceptions, Areas: c.Report.Areas,
		Counts: map[string]uint64{}, Unread: []string{}, Untested: append([]string{}, c.Report.Untested...),
	}
	for _, t := range c.Report.Tallies {
		s.Counts[t.Name] = t.Count
	}
	for _, err := range c.Report.Unread {
		s.Unread = append(s.Unread, err.Error())
	}
	if _, err := fmt.Fprintf(w, "%s,\n \"findings\": [", strings.TrimSuffix(indented(s, ""), "\n}")); err != nil {
		return err
	}
	separator := ""
	var failed error
	for _, t := range c.Report.Tallies {
		if failed = c.Each(t, func(f check.Finding) error {
			_, err := fmt.Fprintf(w, "%s\n  %s", separator, indented(c.record(f), "  "))
			separator = ","
			return err
		}); failed != nil {
			break
		}
	}
	if _, err := fmt.Fprint(w, "\n ]\n}\n"); err != nil { // it ends whole, whatever happens
		return err
	}
	return failed
}

// writeJSON writes v in JSON, a field a line.
func writeJSON(w io.Writer, v any) error { return encoder(w, "").Encode(v) }

// indented is v in JSON, a field a line, each but the first behind the prefix.
func indented(v any, prefix string) string {
	var b strings.Builder
	if err := encoder(&b, prefix).Encode(v); err != nil {
		panic(err) // strings and numbers can be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func encoder(w io.Writer, prefix string) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, " ")
	return e
}
