package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"dmcow/fs"
	"dmcow/fs/ext"
	"dmcow/fs/open"
	"dmcow/internal/signature"
	"dmcow/lvm"
)

// TreeRequest says of which file system the files are to be seen.
type TreeRequest struct {
	ViewRequest
	Partition  int  // of the volume, 0 for none: then the file system is all of it
	OriginSide bool // the origin's, as it is now
}

// Tree is a file system on a snapshot, on its origin, or on another [Source].
type Tree struct {
	FS   fs.FileSystem
	Name string // what it lies on, as it was named

	source  Source // of which the error of reading is
	start   int64  // of the partition, or of all
	size    int64
	session *Session
	told    int
}

// Tree opens what has files ([Session.See]), and the file system on it. The error is a [*Refusal].
func (s *Session) Tree(r TreeRequest) (*Tree, error) {
	var from Source
	var err error
	if r.OriginSide {
		from, err = sourceOrNot(s.Read(r.ViewRequest))
	} else {
		from, err = s.See(r.ViewRequest)
	}
	if err != nil {
		return nil, err
	}
	var t *Tree
	if n, ok := from.(*Snapshot); ok && r.OriginSide {
		t, err = s.treeOn(n, n.Origin.Text, originVolume{n.View.Origin(), n.Origin.Device.Size()}, r.Partition)
	} else {
		t, err = s.treeOn(from, from.About(), from, r.Partition)
	}
	if err != nil {
		from.Close()
		return nil, err
	}
	return t, nil
}

// originVolume is an origin whose errors of reading say that they are its own.
type originVolume struct {
	io.ReaderAt
	size int64
}

func (v originVolume) Size() int64 { return v.size }

// treeOn opens the file system on a volume that belongs to a source.
func (s *Session) treeOn(from Source, name string, v fs.Volume, partition int) (*Tree, error) {
	t := &Tree{Name: name, source: from, session: s}
	places := []lvm.Stretch{{Length: v.Size()}}
	if partition > 0 {
		var err error
		if places, err = findPartition(name, v, partition); err != nil {
			return nil, err
		}
	}
	var f fs.FileSystem
	err := fs.ErrNone
	for _, p := range places {
		t.start, t.size = p.Start, p.Length
		if f, err = open.FileSystem(patient{section{v, p.Start, p.Length}, s.options.Interrupted}, ext.Options{}); !isOther(err) {
			break
		}
	}
	if isOther(err) {
		return nil, t.noFileSystem(section{v, places[0].Start, places[0].Length})
	}
	if err != nil {
		return nil, t.Failed(fmt.Errorf("its file system: %w", err))
	}
	t.FS = f
	for _, note := range f.Info().Notes {
		s.note(name, Fine, "%s: %s", f.Info().Type, strings.TrimSuffix(lowered(note), "."))
	}
	return t, nil
}

// isOther reports whether a volume has something else than a file system that can be read.
func isOther(err error) bool {
	return errors.Is(err, fs.ErrNone) || errors.As(err, new(*open.OtherError))
}

// lowered is a sentence as it goes on behind a colon.
func lowered(text string) string {
	if len(text) > 1 && 'A' <= text[0] && text[0] <= 'Z' && (text[1] < 'A' || text[1] > 'Z') {
		return strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

// section is a part of a volume.
type section struct {
	of            fs.Volume
	start, length int64
}

func (v section) Size() int64 { return v.length }

func (v section) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset >= v.length {
		return 0, io.EOF
	}
	short := int64(len(p)) > v.length-offset
	if short {
		p = p[:v.length-offset]
	}
	n, err := v.of.ReadAt(p, v.start+offset)
	if n == len(p) {
		err = nil
		if short {
			err = io.EOF
		}
	}
	return n, err
}

// patient is a volume that is read until somebody interrupts.
type patient struct {
	fs.Volume
	interrupted func() error
}

func (v patient) ReadAt(p []byte, offset int64) (int, error) {
	if err := v.interrupted(); err != nil {
		return 0, err
	}
	return v.Volume.ReadAt(p, offset)
}

// findPartition is where the partition of a number lies: an MBR does not say in which blocks it counts.
func findPartition(name string, v fs.Volume, number int) (places []lvm.Stretch, err error) {
	all := lvm.Partitions(v)
	for _, p := range all {
		if p.Partition == number {
			places = append(places, p)
		}
	}
	switch {
	case len(all) == 0:
		err = refusef(name, Unable, "has no partition table: the file system may be all of it")
	case len(places) == 0:
		err = refusef(name, Unable, "has no partition %d, but %s", number, numbers(all))
	}
	return places, err
}

// numbers are those of partitions.
func numbers(all []lvm.Stretch) string {
	var words []string
	for _, p := range all {
		if text := strconv.Itoa(p.Partition); !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	if len(words) == 1 {
		return "partition " + words[0]
	}
	return "the partitions " + strings.Join(words, ", ")
}

// noFileSystem says what a volume holds in place of a file system that can be read, and what helps.
func (t *Tree) noFileSystem(v fs.Volume) error {
	name := t.Name
	if all := lvm.Partitions(v); len(all) > 0 {
		return refusef(name, Unable, "has a partition table, with %s", numbers(all)).with(ChoosePartition)
	}
	what, err := signature.Cover(v)
	if err == nil && what != "" {
		return refuse(name, Unable, errors.New(signature.AboutContainer(what)), MountOpen)
	}
	if what == "" && err == nil {
		what, err = signature.Known(v)
	}
	switch {
	case err != nil:
		return t.Failed(err)
	case what == "":
		return refusef(name, Unable, "no known file system lies on it; ext2, ext3, ext4 and XFS are read")
	case what == "LVM2_member":
		return refusef(name, Unable, "is a physical volume of LVM").with(MountGroup)
	case what == "swap":
		return refusef(name, Unable, "is swap space, which has no files")
	}
	return refusef(name, Unable, "holds %s, which is not read; ext2, ext3, ext4 and XFS are", what).with(MountKernel)
}

// Failed makes a refusal of an error of the file system.
func (t *Tree) Failed(err error) error {
	var damage *fs.DamageError
	var unsupported *fs.UnsupportedError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrInterrupted):
		return refuse(t.Name, Interrupted, ErrInterrupted)
	case errors.As(err, &damage):
		return refuse(t.Name, Damaged, err)
	case errors.As(err, &unsupported):
		return refuse(t.Name, Unable, err, MountKernel)
	}
	var r *Refusal
	if errors.As(t.source.Failed(err), &r) {
		failed := refuse(t.Name, r.Code, err)
		if r.Code == Damaged {
			return failed.with(AllowDamaged)
		}
		return failed
	}
	return refuse(t.Name, Unable, err)
}

// mostTroubles is how many troubles of a tree are told each.
const mostTroubles = 20

// Trouble notes an error of the file system, which costs what it is about. It passes on an interruption.
func (t *Tree) Trouble(err error) error {
	var r *Refusal
	if errors.As(t.Failed(err), &r) && r.Code != Interrupted {
		t.told++
		switch text := r.Err.Error(); {
		case t.told == mostTroubles+1:
			t.session.note(t.Name, r.Code, "there is more that cannot be read; it is not told")
		case t.told <= mostTroubles:
			t.session.note(t.Name, r.Code, "%s", text)
		default:
			t.session.note(t.Name, r.Code, "")
		}
		return nil
	}
	return t.Failed(err)
}

// CheckQuiet refuses what came into use while it was read.
func (t *Tree) CheckQuiet() error {
	if t.source.isLent() {
		return nil
	}
	return t.source.CheckQuiet()
}

// Keep refuses to write over a file that is read.
func (t *Tree) Keep(f *os.File) error {
	if (&Stream{File: f}).checkApart(t.source.reads()...) != nil {
		return errRead
	}
	return nil
}

var errRead = errors.New("the command reads what exists there")

// CheckApart refuses a stream that goes to what is read.
func (t *Tree) CheckApart(s *Stream) error { return s.checkApart(t.source.reads()...) }

// Source is what it lies on.
func (t *Tree) Source() Source { return t.source }

// Close closes what it lies on.
func (t *Tree) Close() { t.source.Close() }
