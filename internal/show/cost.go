package show

import (
	"dmcow/internal/words"
	"dmcow/store/look"
)

// Cost says, from what there is to see, what it may cost to take an invalid snapshot back.
func Cost(t *Text, name string, u look.Usage) error {
	t.Line("%s: invalid: %s in %s, the store is %.2f%% full", words.Printable(name),
		words.Count(u.End.Exceptions, "exception"), words.Count(u.Areas(), "area"), u.Percent())
	if free := u.Free(); free == 0 {
		enough := u.Enough(1)
		t.Line("  The store is full: most likely a write found no room, and the kernel dropped the snapshot. "+
			"The next new chunk would drop it again: first grow the device by at least %s, to %d sectors (lvextend; truncate for an image file).",
			words.Count(uint64(enough-u.Total()), "sector"), enough)
	} else {
		t.Line("  The list has room for %s. Chunks that were being copied when the snapshot was lost are not in the list. "+
			"Possible causes: these chunks filled it, the device was grown later, a read or write of it failed, "+
			"or the snapshot was marked invalid on purpose, as a merge does with one that it gives up.", words.Count(free, "more exception"))
	}
	t.Line("  The snapshot has no copy of origin chunks that were first written after it was lost: there it would show the new data. " +
		"Nothing on the COW device shows whether there are any; dmcow-recovery(7) says when there are none.")
	return t.err
}
