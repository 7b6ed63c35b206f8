package soak_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"dmcow/check"
	"dmcow/format"
	"dmcow/snapshot"
	"dmcow/store"
)

// desk has the files that the commands are given a sample in.
type desk struct{ cow, origin string }

func newDesk(dir string) desk { return desk{filepath.Join(dir, "cow"), filepath.Join(dir, "origin")} }

// oneIn is of how many samples one is given to the commands.
const oneIn = 16

// commands wants what stands between the commands and the packages that know, which looks for whoever uses
// the files, to say, export and merge the same as these.
func (t *trial) commands() string {
	if t.chance(4).IntN(oneIn) > 0 || t.outcome() == check.Uninitialized {
		return ""
	}
	if err := errors.Join(os.WriteFile(t.desk.cow, t.image, 0o600), os.WriteFile(t.desk.origin, t.origin, 0o600)); err != nil {
		return err.Error()
	}
	s := snapshot.Open(snapshot.Options{})
	defer s.Close()
	return firstOf(t.checkCommand(s), t.usageCommand(s), t.exportCommand(s), t.mergeCommand(s))
}

func (t *trial) request() snapshot.Request { return snapshot.Request{COW: t.desk.cow} }

func (t *trial) checkCommand(s *snapshot.Session) string {
	c, err := s.Check(snapshot.CheckRequest{Request: t.request(), Base: snapshot.BaseRequest{Origin: t.desk.origin}})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if got, want := rulesOf(c.Report), t.rules(); got != want {
		return fmt.Sprintf("the check command says %q, check %q", got, want)
	}
	return ""
}

// usageCommand leaves out what the driver formats over: there, the command looks for a lost list.
func (t *trial) usageCommand(s *snapshot.Session) string {
	if t.saw.formatted {
		return ""
	}
	used, err := s.Usage(t.request(), snapshot.OriginFacts{Block: format.SectorSize})
	if err != nil {
		return err.Error()
	}
	if status, _ := used.Survey.Status(); status != t.says.status {
		return fmt.Sprintf("the usage command says %q, the survey %q", status, t.says.status)
	}
	return ""
}

func (t *trial) exportCommand(s *snapshot.Session) string {
	var image bytes.Buffer
	x, err := s.PlanExport(snapshot.ExportRequest{
		ViewRequest: snapshot.ViewRequest{Request: t.request(), Origin: t.desk.origin},
		Output:      snapshot.OutputRequest{Stream: &snapshot.Stream{Writer: &image}},
	})
	if err == nil {
		err = x.Do()
		x.Close()
	}
	switch {
	case (err == nil) != (t.says.refusal == nil):
		return fmt.Sprintf("the export command says %v, the view %v", err, t.says.refusal)
	case err == nil && !bytes.Equal(image.Bytes(), t.says.exported):
		return "the export command writes another image than the view shows"
	}
	return ""
}

func (t *trial) mergeCommand(s *snapshot.Session) string {
	cow, origin, err := t.says.stepped(t.image, t.origin, 0, false)
	m, e := s.PlanMerge(snapshot.MergeRequest{Request: t.request(), Into: t.desk.origin, Steps: 1 << 30})
	if e == nil {
		e = m.Step(func(store.Run) error { return nil })
		m.Close()
	}
	if (err == nil) != (e == nil) {
		return fmt.Sprintf("the merge-step command says %v, the merge %v", e, err)
	}
	if err != nil {
		return ""
	}
	cowAfter, err := os.ReadFile(t.desk.cow)
	originAfter, e := os.ReadFile(t.desk.origin)
	if err != nil || e != nil || !bytes.Equal(cow, cowAfter) || !bytes.Equal(origin, originAfter) {
		return fmt.Sprintf("the merge-step command leaves something else: %v, %v", err, e)
	}
	return ""
}
