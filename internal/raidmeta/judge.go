package raidmeta

import (
	"errors"
	"fmt"
)

// Verdict is which images of an array are read.
type Verdict struct {
	Images []Image
	// Synced is how far all images hold the same, or their parity fits, in sectors. Behind it the kernel reads from
	// the first image that can be read, and parity says nothing.
	Synced   uint64
	Freshest *Superblock // nil where no image has one: the array was never active
	Dirty    bool        // some region was being written
}

// Image is what is to be thought of an image.
type Image struct {
	Out  error  // why it is not read; nil where it is
	Good uint64 // how many sectors of it are, from its beginning on
}

// Judge judges images by their superblocks. Of an image without one, nil, missing says why.
//
// The superblock with the most events holds (analyse_superblocks). What it has as failed is out of date, whatever
// the image's own says (super_init_validation), and so is what is two events behind: superblocks are written together.
//
// An image may have been away, and the array cut off before it noted that: then nothing but the bitmaps shows it,
// and the kernel would take the image for one that is as good as the others. Before a region is written, all images there
// get its bit, and while one is away, bits stay set. So an image that lacks bits was away, or all was cut off between the
// bits and the region's data: in either case the others are right. That is so unless the array cannot have run without it,
// which runs reports of the images that would be left. The same holds for what is one event behind, if any bit is set.
func Judge(all []*Superblock, missing []error, bitmaps []*Bitmap, runs func(with []bool) bool) (v Verdict, err error) {
	v = Verdict{Images: make([]Image, len(all))}
	for _, s := range all {
		if s != nil && (v.Freshest == nil || s.Events > v.Freshest.Events) {
			v.Freshest = s
		}
	}
	for i, s := range all {
		v.Images[i] = v.judge(s, missing[i], all)
	}
	if v.Freshest == nil {
		return v, nil
	}
	v.judgeBitmaps(all, bitmaps, runs)
	v.Synced = v.Freshest.Synced
	if v.Freshest.Reshaping {
		return v, errors.New("the array is being reshaped: activate it, and let LVM end that")
	}
	return v, nil
}

// judgeBitmaps finds images that were away.
func (v *Verdict) judgeBitmaps(all []*Superblock, bitmaps []*Bitmap, runs func(with []bool) bool) {
	var sum *Bitmap
	for i, image := range v.Images {
		if image.Out == nil && all[i] != nil {
			sum = sum.Add(bitmaps[i])
		}
	}
	v.Dirty = sum.Dirty()
	away := make([]bool, len(all))
	left := make([]bool, len(all)) // with what is missing, which may have been there
	for i, image := range v.Images {
		away[i] = image.Out == nil && all[i] != nil && (bitmaps[i].Lacks(sum) > 0 || v.Dirty && all[i].Events != v.Freshest.Events)
		left[i] = !away[i] && (image.Out == nil || all[i] == nil)
	}
	if !runs(left) || v.Freshest.Marked { // or the bits were being set here, one image's after the other's
		return
	}
	for i := range v.Images {
		if away[i] {
			v.Images[i] = Image{Out: errors.New("it may be out of date: by their bitmaps, others were written when it was not")}
		}
	}
}

func (v *Verdict) judge(s *Superblock, missing error, all []*Superblock) Image {
	switch f := v.Freshest; {
	case s == nil && f == nil && errors.Is(missing, ErrNone):
		return Image{Good: End}
	case s == nil:
		return Image{Out: missing}
	case hasFailed(s, all, f.Events):
		return Image{Out: errors.New("it has failed, and is out of date")}
	case s.Events+1 < f.Events:
		return Image{Out: fmt.Errorf("it is out of date: its superblock has %d events, and another one %d", s.Events, f.Events)}
	case s.Rebuilt == 0:
		return Image{Out: errors.New("it was to be rebuilt")}
	default:
		return Image{Good: s.Rebuilt}
	}
}

// hasFailed reports whether one of the superblocks with the most events has an image as failed.
func hasFailed(s *Superblock, all []*Superblock, events uint64) bool {
	for _, f := range all {
		if f != nil && f.Events == events && f.failed(s.Position) {
			return true
		}
	}
	return false
}
