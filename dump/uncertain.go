package dump

import (
	"fmt"
	"io"
	"iter"

	"dmcow/view"
)

// UncertainHead is the first line of a list of the stretches of a snapshot that are not certain.
const UncertainHead = "offset,length"

// UncertainCSV writes the rows of such a list, in bytes.
func UncertainCSV(w io.Writer, all iter.Seq[view.Range]) error {
	for r := range all {
		if _, err := fmt.Fprintf(w, "%d,%d\n", r.Offset, r.Length); err != nil {
			return err
		}
	}
	return nil
}
