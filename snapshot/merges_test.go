package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlanMerges: of several snapshots, all refusals are told, and an undo log has a name of its own in a directory.
func TestPlanMerges(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t, "disk")
	r.file("disk", disk)
	g := func() string {
		sight, err := r.sees()
		if err != nil {
			t.Fatal(err)
		}
		return sight.Groups.All[0].UUID
	}()
	named := func(lost []string, cows ...string) (all []MergeRequest) {
		for _, c := range cows {
			all = append(all, MergeRequest{Request: Request{COW: c}, Lost: lost, DryRun: true})
		}
		return all
	}
	for name, x := range map[string]struct {
		requests []MergeRequest
		words    []string // that stand in the refusals, in their order
	}{
		"a path": {named(nil, "vg0/snap", "cow", "vg0/none"), []string{"cow: several snapshots must all be", "vg0/none: no none in volume group"}},
		"the same origin": {named(nil, "vg0/snap", g+"/snap", "vg0/origin"),
			[]string{g + "/snap: refused: vg0/snap is merged into the same origin", "vg0/origin: not a snapshot"}},
		"none to give up": {named([]string{"none"}, "vg0/snap", "vg0/origin"), []string{"vg0/origin: not a snapshot", "none: not another snapshot of any of"}},
		"itself":          {named([]string{"snap"}, "vg0/snap", "vg0/origin"), []string{"vg0/origin: not a snapshot", "snap: not another snapshot of vg0/origin"}},
	} {
		_, err := r.PlanMerges(x.requests)
		var all Refusals
		if !errors.As(err, &all) || len(all) != len(x.words) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, words := range x.words {
			if !strings.HasPrefix(all[i].Error(), words) || asRefusal(all[i]) == nil {
				t.Errorf("%s: %v, want %q", name, all[i], words)
			}
		}
	}
	two := named(nil, "vg0/snap", "vg0/origin")
	two[0].Undo = "log"
	_, err := r.PlanMerges(two)
	r.refused(err, wanted{WrongUse, "log", "not a directory", []Deed{MakeDirectory}})
	if err := os.Mkdir("logs", 0o700); err != nil {
		t.Fatal(err)
	}
	one := named(nil, "vg0/snap")
	one[0].Undo = "logs"
	m, err := r.PlanMerges(one)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m[0].UndoName(), filepath.Join("logs", "vg0-snap.undo"); got != want {
		t.Errorf("the log is %s, want %s", got, want)
	}
	m.Close()
}
