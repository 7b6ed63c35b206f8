package snapshot

import (
	"errors"

	"dmcow/format"
	"dmcow/internal/marks"
	"dmcow/internal/volume"
	"dmcow/internal/words"
)

// markCopies has the arrays and mirrors that the origin is on know which regions are going to be written: before
// the first of that is.
func (d *Changed) markCopies() error {
	marks := d.marks()
	if len(marks) == 0 {
		return nil
	}
	err := marks.Begin(func(use func(offset, length int64)) error {
		return d.stretches(func(start, end format.Bytes) { use(int64(start), int64(end-start)) })
	})
	return failed(d.Origin.Text, Unable, err, nothingWritten)
}

// unmarkCopies sets back what was marked, after a change that ended so. That comes last, when the exceptions are
// cleared: a power cut before that costs the kernel a look at these regions, and nothing else. After an error that is
// not known to have left all copies the same, all stays as it is.
func (d *Changed) unmarkCopies(ended error) error {
	marks := d.marks()
	if len(marks) == 0 || ended != nil && !errors.Is(ended, ErrInterrupted) {
		return ended
	}
	if err := marks.End(); err != nil {
		d.of.note(d.Origin.Text, Unable, "%v: the kernel takes its copies for different, and brings them in sync when it is activated", err)
	}
	return ended
}

func (d *Changed) marks() marks.Marks {
	if d.Origin.Volume == nil {
		return nil
	}
	return d.Origin.Volume.Marks()
}

// withWayOfKernel says what else can be done where only the kernel can write the origin.
func (m *Merge) withWayOfKernel(err error) error {
	var only *volume.OnlyKernelError
	v := m.COW.Volume
	if !errors.As(err, &only) || v == nil || v.Snapshot == nil {
		return err
	}
	var r *Refusal
	if errors.As(err, &r) {
		r.Err = words.Hint(r.Err, "lvconvert --merge %[1]s, or dmcow export %[1]s IMAGE, and copy IMAGE onto %[2]s while that is active", words.Shell(v.Name), words.Shell(m.Origin.Text))
	}
	return err
}
