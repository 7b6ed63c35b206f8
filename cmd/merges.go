package cmd

import (
	"errors"
	"strings"
	"time"

	"dmcow/dump"
	"dmcow/internal/show"
	"dmcow/snapshot"
	"dmcow/store/merge"
)

// merges are the merges of a run: one, or several, for which one question is asked.
type merges struct {
	app    *app
	flags  *mergeCmd
	failed snapshot.ListFile // of a single one
	all    []*oneMerge
}

// oneMerge is one of them.
type oneMerge struct {
	*mergeText
	done *dump.Merged // as programs are told it; nil if it did not end
}

// note keeps the record of what was done.
func (t *oneMerge) note(r merge.Result) {
	record := t.record(r)
	t.done = &record
}

func (s *merges) run() error {
	todo := s.todo()
	if s.flags.DryRun {
		return s.foretell(todo)
	}
	if err := s.ask(todo); err != nil {
		return err
	}
	for _, t := range todo {
		err := s.do(t)
		if len(s.all) == 1 && err != nil {
			return err
		}
		s.app.fail(err)
		if r := (*snapshot.Refusal)(nil); errors.As(err, &r) && r.Code == snapshot.Interrupted {
			break
		}
	}
	return s.tell()
}

// todo are those that have something to merge. The others may have been merged by a run that was cut off later.
func (s *merges) todo() (all []*oneMerge) {
	for _, t := range s.all {
		if !t.IsEmpty() {
			all = append(all, t)
			continue
		}
		s.app.say(t.COW.Text, "%s", t.Nothing())
		t.note(merge.Result{})
	}
	return all
}

func (s *merges) foretell(todo []*oneMerge) error {
	for _, t := range todo {
		if err := t.foretell(); err != nil {
			return err
		}
		t.note(merge.Result{})
	}
	return s.tell()
}

// ask asks one question for all.
func (s *merges) ask(todo []*oneMerge) error {
	switch len(todo) {
	case 0:
		return nil
	case 1:
		return todo[0].ask()
	}
	var origins []string
	var all []*show.Merge
	for _, t := range todo {
		t.announce()
		origins, all = append(origins, t.Origin.Text), append(all, &t.Merge)
	}
	return s.app.ask(strings.Join(origins, ", "), "%s", show.QuestionOf(all, string(s.flags.Undo)))
}

// do merges one of them, and says what was done.
func (s *merges) do(t *oneMerge) error {
	start := time.Now()
	result, err := t.Merge.Do()
	listed := t.listUnread(result, s.failed)
	if err != nil {
		s.app.fail(listed)
		return err
	}
	if len(result.Failed) > 0 || result.Beyond > 0 {
		s.app.status |= statusDamaged
	}
	s.app.say(t.Origin.Text, "%s", t.Merged(result, time.Since(start)))
	s.app.madeUndo(t.Undo)
	s.app.say(t.COW.Text, "%s", t.Next(result))
	if t.Undo != "" {
		s.app.say(t.COW.Text, "%s", t.Undone())
	}
	if listed == nil {
		t.note(result)
	}
	return listed
}

// tell tells programs what was done: an object, or for several an array of those that ended.
func (s *merges) tell() error {
	if len(s.all) == 1 {
		return s.app.told(s.flags.result, s.all[0].done, "")
	}
	records := []dump.Merged{}
	for _, t := range s.all {
		if t.done != nil {
			records = append(records, *t.done)
		}
	}
	return s.app.told(s.flags.result, records, "")
}
