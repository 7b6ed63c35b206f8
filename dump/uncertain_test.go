package dump

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"dmcow/view"
)

// noWriter fails.
type noWriter struct{ error }

func (w noWriter) Write([]byte) (int, error) { return 0, w.error }

// TestUncertainCSV: a row for each stretch, in bytes; an error of writing ends them.
func TestUncertainCSV(t *testing.T) {
	all := slices.Values([]view.Range{{Offset: 0, Length: 512}, {Offset: 1 << 40, Length: 4096}})
	var b strings.Builder
	if err := UncertainCSV(&b, all); err != nil || b.String() != "0,512\n1099511627776,4096\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	full := errors.New("full")
	if err := UncertainCSV(noWriter{full}, all); err != full {
		t.Errorf("%v, want %v", err, full)
	}
}
