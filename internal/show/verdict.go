package show

import (
	"fmt"

	"github.com/fatih/color"

	"dmcow/check"
	"dmcow/internal/words"
	"dmcow/store/look"
)

// headline is the verdict of a check in words.
func (t *Text) headline(r *check.Report) string {
	var text string
	switch r.Outcome() {
	case check.Damaged:
		fate := fates[r.Fate()]
		if r.Identity.State == look.Invalid {
			fate = "the snapshot is marked invalid, and the kernel does not serve it"
		}
		if isNoStore(r) {
			return t.paint(color.FgRed, "not a COW store") + "; " + fate
		}
		return fmt.Sprintf("%s: %s; %s", t.paint(color.FgRed, "damaged"), words.Count(r.Count(check.Error), "error"), fate)
	case check.Invalid:
		text = t.paint(color.FgRed, "invalid") + ": the store is sound, but the snapshot is marked invalid, and the kernel does not serve it"
	case check.Uninitialized:
		text = "uninitialized: the kernel would write a new store here"
	case check.Sound:
		text = fmt.Sprintf("%s: %s in %s", t.paint(color.FgGreen, "sound"), words.Count(r.Exceptions, "exception"), words.Count(r.Areas, "area"))
	}
	if len(r.Unread) > 0 {
		text = fmt.Sprintf("%s; what was read (%s) has no errors", t.paint(color.FgRed, "not everything could be read"), words.Count(r.Exceptions, "exception"))
	}
	if n := r.Count(check.Warning); n > 0 {
		text += "; " + t.paint(color.FgYellow, words.Count(n, "warning"))
	}
	return text
}

// isNoStore reports whether nothing on the device speaks for a store.
func isNoStore(r *check.Report) bool {
	return r.Identity.State == look.Foreign && len(r.Tallies) > 0 && r.Tallies[0].Findings[0].Fix() == ""
}

// fates say what the kernel would do with a store that has errors.
var fates = map[check.Fate]string{
	check.Serves:  "the kernel would load it and serve it",
	check.Loses:   "the kernel would load it and lose the snapshot later",
	check.Wrong:   "the kernel would load it and serve wrong data",
	check.Refuses: "the kernel would refuse it",
	check.Formats: "the kernel would write an empty store over it",
}
