package pace

import (
	"encoding/json"
	"errors"
	"math"
	"time"
)

// ErrHistory says that a text holds no history.
var ErrHistory = errors.New("not a history of readings")

// A reading is written as [milliseconds, stored, left, merging].
type written [4]uint64

// MarshalJSON writes the readings as arrays of four numbers: milliseconds of its clock, exceptions that are stored,
// those that still can be, and 1 for a merge, else 0.
func (h History) MarshalJSON() ([]byte, error) {
	all := make([]written, len(h.readings))
	for i, r := range h.readings {
		all[i] = written{uint64(r.At.Milliseconds()), r.Stored, r.Left, 0}
		if r.Merging {
			all[i][3] = 1
		}
	}
	return json.Marshal(all)
}

// UnmarshalJSON reads them. The error is ErrHistory for readings out of order and for anything else. Readings that
// Add would not keep are dropped.
func (h *History) UnmarshalJSON(text []byte) error {
	var all []written
	if err := json.Unmarshal(text, &all); err != nil {
		return ErrHistory
	}
	*h = History{}
	before := time.Duration(-1)
	for _, w := range all {
		r := Reading{time.Duration(w[0]) * time.Millisecond, w[1], w[2], w[3] == 1}
		if w[0] > math.MaxInt64/uint64(time.Millisecond) || w[3] > 1 || r.At <= before {
			return ErrHistory
		}
		before = r.At
		h.Add(r)
	}
	return nil
}
