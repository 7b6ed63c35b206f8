package snapshot

import (
	"errors"
	"testing"

	"dmcow/internal/inuse"
)

// TestSilentDmeventd: one that does not answer is asked once; what it cannot say of one snapshot, it may of the next.
func TestSilentDmeventd(t *testing.T) {
	defer func(was func(string) (bool, error)) { askMonitored = was }(askMonitored)
	answers := []error{errors.New("something else"), inuse.ErrSilent}
	asked := 0
	askMonitored = func(string) (bool, error) {
		asked++
		return false, answers[asked-1]
	}
	s := Open(Options{})
	for i := range 5 {
		if _, err := s.isMonitored("LVM-a"); !errors.Is(err, answers[min(i, 1)]) {
			t.Errorf("question %d: %v", i, err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
