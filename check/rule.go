package check

import (
	"cmp"
	"fmt"
	"slices"

	"dmcow/format"
)

// Severity is how bad a finding is. Only errors make a store damaged.
type Severity int

// The severities, the worst first.
const (
	Error   Severity = iota // the kernel refuses the store, serves wrong data, or will
	Warning                 // somebody should look at it
	Info                    // worth knowing
)

// String is the severity in a word.
func (s Severity) String() string { return [...]string{"error", "warning", "info"}[s] }

// Fate is what becomes of a store with a finding when the kernel loads it.
type Fate int

// The fates, the best first.
const (
	Serves  Fate = iota // it serves the store as if nothing were
	Loses               // it serves the store, and loses the snapshot with a later write
	Wrong               // it serves wrong data, or will
	Refuses             // it refuses the store
	Formats             // it writes an empty store over it
)

// Rule is a kind of finding. Each is a variable that is named after it: HiddenExceptions is
// hidden-exceptions.
type Rule struct {
	Name     string // as users and programs know it
	Severity Severity
	Means    Meaning // of a finding that has no meaning of its own
	When     string  // what is found
	Kernel   string  // what the kernel does with it
	Fate     Fate
	Repair   string // what repairs it
	Command  string // the command that does, with its flags and without the device; empty where none does
	Try      string // what to try before that, as it loses nothing; empty for none

	// How it is found: by one of these, unless finding it takes more than a look
	// (at many exceptions together).
	header    func(*scan) *Finding                             // before the walk; nil where all is well
	exception func(facts, format.Place, format.Exception) bool // reports whether an exception breaks the rule
	list      func(*scan) *Finding                             // after the walk; nil where all is well
	say       func(Finding) string                             // says what is wrong with an exception that has it
}

// Rules returns all rules: errors first, and of one severity in the order in
// which they are to be seen to.
func Rules() []*Rule {
	all := slices.Concat(headerRules, wholeRules, exceptionRules, duplicateRules, areaRules, listRules)
	slices.SortStableFunc(all, func(a, b *Rule) int { return cmp.Compare(a.Severity, b.Severity) })
	return all
}

// Finding is what is wrong, or something worth knowing.
type Finding struct {
	*Rule
	// Scope says which of the next two mean something.
	Scope Scope
	format.Place
	format.Exception
	// Other is the exception with which this one shares a chunk, where that is
	// what is wrong. It is nil where it is not, where it could not be read again, and for
	// most of very many.
	Other *format.Place

	// Suggests is what the entries around say that stood here; nil where they say nothing.
	Suggests *Suggestion

	detail  string
	repair  string   // in place of the rule's, where it depends
	command *string  // likewise; empty where nothing can be typed without knowing more
	first   string   // what loses nothing, where the command does; empty where there is nothing of the kind
	meaning *Meaning // likewise
	facts   *facts
	// expected is the new chunk that an exception should have, where that is what is wrong.
	expected format.NewChunk
	slots    uint64 // how many of an area are garbage
}

// Meaning is what the finding means for whoever uses the store.
func (f Finding) Meaning() Meaning {
	if f.meaning != nil {
		return *f.meaning
	}
	return f.Means
}

// Scope is what a finding is about.
type Scope int

// The scopes.
const (
	OfStore     Scope = iota // the store as a whole
	OfArea                   // the area in Place
	OfPlace                  // the Place
	OfException              // the Exception at the Place
)

func ofArea(k format.AreaIndex, detail string, args ...any) *Finding {
	return &Finding{Scope: OfArea, Place: format.Place{Area: k}, detail: fmt.Sprintf(detail, args...)}
}

// IsGarbage reports whether the entries of the finding's area are no exceptions, and count for
// nothing.
func (f Finding) IsGarbage() bool { return f.Rule == ImplausibleArea }

// Message says what is wrong, in a line, without the place.
func (f Finding) Message() string {
	text := f.detail
	if f.say != nil {
		text = f.say(f)
	}
	if f.Suggests != nil {
		text += "; " + f.Suggests.String()
	}
	return text
}

// Remedy is what repairs it.
func (f Finding) Remedy() string {
	text := f.Repair
	if f.repair != "" {
		text = f.repair
	}
	if f.Suggests != nil && f.Severity == Error {
		return "write what its neighbours show (--rebuild); or " + text
	}
	return text
}

// Fix is the command that repairs it, with its flags and without the device; it is empty where none does.
func (f Finding) Fix() string {
	if f.command != nil {
		return *f.command
	}
	return f.Command
}

// First is what to try before the command of Fix, as it loses nothing; it is empty where there is nothing of the kind.
func (f Finding) First() string { return cmp.Or(f.first, f.Try) }

// Where names the place in words; it is empty for the store as a whole.
func (f Finding) Where() string {
	switch f.Scope {
	case OfArea:
		return fmt.Sprintf("area %d", f.Area)
	case OfPlace, OfException:
		return where(f.Place)
	}
	return ""
}

func where(at format.Place) string { return fmt.Sprintf("area %d slot %d", at.Area, at.Index) }

// Told is the finding in words, with its place.
func (f Finding) Told() string {
	if where := f.Where(); where != "" {
		return where + ": " + f.Message()
	}
	return f.Message()
}
