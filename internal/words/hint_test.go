package words

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
)

// TestHint: a hint does not change what an error says, and is found wherever it is.
func TestHint(t *testing.T) {
	err := fmt.Errorf("cow: %w", errors.Join(Hint(io.EOF, "look at %s", "a"), Hint(Hinted("two", "b"), "c")))
	if err.Error() != "cow: EOF\ntwo" || !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if got := Hints(err); !slices.Equal(got, []string{"look at a", "c", "b"}) {
		t.Errorf("%q", got)
	}
	if Hint(nil, "no") != nil || Hints(nil) != nil || Hints(io.EOF) != nil {
		t.Error("a hint about nothing")
	}
}
