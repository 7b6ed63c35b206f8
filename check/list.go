package check

import (
	"fmt"

	"dmcow/format"
	"dmcow/store/look"
)

// wholeRules ask whether the list is where the header says, and all of it there:
// where it is not, that is to be seen to before anything else that was found.
var wholeRules = []*Rule{WrongChunkSize, AreaBeyondDevice}

var WrongChunkSize = &Rule{
	Name:     "wrong-chunk-size",
	Severity: Error,
	When:     "the list is empty or garbage, and inside chunk 0, where all should be zeros, there are the exceptions of a store with smaller chunks",
	Kernel:   "reads the list at the wrong place, and serves the origin's data for chunks that have an exception",
	Fate:     Wrong,
	Repair:   "write the header anew, with the chunk size that the evidence speaks for",
	Command:  "repair --header CHUNK-SIZE --valid 0|1",
	list: func(s *scan) *Finding {
		if e := s.elsewhere(); e != nil && e.Geometry.ChunkBytes() < s.geometry.ChunkBytes() {
			return &Finding{
				detail: fmt.Sprintf("the chunk size is %d sectors%s", s.geometry.ChunkSectors(), s.evidence()),
				repair: s.rewrite("do not activate the snapshot; "),
			}
		}
		return nil
	},
}

var AreaBeyondDevice = &Rule{
	Name:     "area-beyond-device",
	Severity: Error,
	When:     "the list leads to an area past the end of the device: that was shrunk, or its last area is full and has no room for the next",
	Kernel:   "refuses the store",
	Fate:     Refuses,
	Repair:   "grow the device back; else cut the list at the device's end, which loses what is behind it",
	Command:  "repair --truncate-list",
	list: func(s *scan) *Finding {
		if s.cut == nil {
			return nil
		}
		return ofArea(s.cut.Area, "the list leads to this area at chunk %d, and the device has %d chunks (%d sectors)", s.cut.Chunk, s.chunks, s.size.Sectors())
	},
}

// listRules look at the list as a whole, and at what is behind its end.
var listRules = []*Rule{
	HiddenExceptions, OddTerminator, MisplacedArea, CutOffList, HeaderPadding, NextChunkIsMetadata, Full, LeakedChunks,
	OutOfOrder, StaleAreas, OlderStore,
}

var HeaderPadding = &Rule{
	Name:     "header-padding",
	Severity: Warning,
	Means:    harmless,
	When:     "something stands behind the header's fields in chunk 0",
	Kernel:   "ignores it, and writes zeros over it when it invalidates the snapshot",
	Repair:   "look at what it is; clear it",
	Command:  "repair --warnings",
	list: func(s *scan) *Finding {
		// It may be the list itself (wrong-chunk-size).
		if e := s.elsewhere(); s.stray < 0 || e != nil && e.Geometry.ChunkBytes() < s.geometry.ChunkBytes() {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("byte %d, in chunk 0 behind the header's fields, is not zero", s.stray)}
	},
}

var OddTerminator = &Rule{
	Name:     "odd-terminator",
	Severity: Error,
	Means:    onlyNamed,
	When:     "the entry that ends the list has an old chunk, which the kernel never writes: it is an exception that lost its new chunk",
	Kernel:   "takes it for the end of the list, and serves the origin's data for its chunk",
	Fate:     Wrong,
	Repair:   "give the exception its new chunk back, where the list shows which; else drop it: the snapshot then reads the origin's chunk",
	Command:  "repair",
	list: func(s *scan) *Finding {
		if s.behind.Old == 0 {
			return nil
		}
		f := &Finding{
			Scope:     OfException,
			Place:     s.behind.Place,
			Exception: format.Exception{Old: s.behind.Old},
			detail:    fmt.Sprintf("the entry that ends the list has old chunk %d, expected 0: an exception lost its new chunk", s.behind.Old),
			Suggests:  s.suggestLast(),
		}
		if s.behind.Index == s.geometry.ExceptionsPerArea()-1 && s.next.entries > 0 {
			f.meaning = &Meaning{} // the list went on
		}
		return f
	},
}

var NextChunkIsMetadata = &Rule{
	Name:     "next-chunk-is-metadata",
	Severity: Warning,
	Means:    harmless,
	When:     "the chunk after the highest new chunk is a metadata area",
	Kernel:   "skips it since 3.12; an older one takes it for data (CVE-2013-4299) and destroys the list",
	Repair:   "do not load the store with a kernel before 3.12",
	list: func(s *scan) *Finding {
		next := s.list.end.Highest + 1
		if !s.whole || s.list.end.Exceptions == 0 || uint64(next) >= s.chunks || !s.geometry.IsMetadata(next) {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("the highest new chunk is %d, and the next is metadata area %d", s.list.end.Highest, uint64(next)/s.geometry.Stride())}
	},
}

var Full = &Rule{
	Name:     "full",
	Severity: Warning,
	Means:    harmless,
	When:     "there is no room for one more exception",
	Kernel:   "drops the snapshot with the next new chunk",
	Fate:     Loses,
	Repair:   "extend the device (lvextend; truncate for an image file) before the next write to the origin",
	list: func(s *scan) *Finding {
		u := s.usage()
		switch {
		case !s.whole || u.Free() > 0 || u.End.NextFree < format.FirstData || s.id.State == look.Invalid: // then it is lost already
			return nil
		case u.End.Beyond != nil:
			return &Finding{
				detail: "the highest new chunk does not lie on the device: there is no room for one more exception",
				repair: "see to the exceptions whose data lie past the end of the device",
			}
		}
		return &Finding{detail: fmt.Sprintf("the next free chunk is %d, and the device has %d chunks: there is no room for one more exception", u.End.NextFree, s.chunks)}
	},
}

var LeakedChunks = &Rule{
	Name:     "leaked-chunks",
	Severity: Info,
	Means:    mentioned,
	When:     "no exception names some of the data chunks below the next free one: a copy failed, or an exception was merged",
	Kernel:   "does not use them any more",
	list: func(s *scan) *Finding {
		if !s.isSound() {
			return nil
		}
		below := s.usage().Given() // usage counts what is named, and here it is looked up
		if below <= s.list.named {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("%d of the %d data chunks below chunk %d are not used by any exception", below-s.list.named, below, s.list.end.NextFree)}
	},
}

var OutOfOrder = &Rule{
	Name:     "out-of-order",
	Severity: Info,
	Means:    harmless,
	When:     "new chunks do not rise",
	Kernel:   "writes them so where copies run in parallel",
	list: func(s *scan) *Finding {
		if s.list.falls == 0 || !s.isSound() {
			return nil
		}
		detail := fmt.Sprintf("new chunks do not rise, in %d places, of which this is the first", s.list.falls)
		return &Finding{Scope: OfPlace, Place: s.list.fall, detail: detail}
	},
}

var OlderStore = &Rule{
	Name:     "older-store",
	Severity: Warning,
	Means:    mentioned,
	When:     "the list is empty, and where a store with larger chunks has its first area there are exceptions: of an earlier life of the device, or the chunk size in the header is wrong",
	Kernel:   "does not read them",
	Repair:   "make sure of the chunk size; where the header has a wrong one, write it anew",
	Command:  "repair --header CHUNK-SIZE --valid 0|1",
	list: func(s *scan) *Finding {
		if e := s.elsewhere(); e != nil && e.Geometry.ChunkBytes() > s.geometry.ChunkBytes() {
			return &Finding{detail: "the list is empty, and the device held another store, or the chunk size is wrong" + s.evidence()}
		}
		return nil
	},
}

func (s *scan) usage() look.Usage {
	return look.Usage{Geometry: s.geometry, Size: s.size, End: s.list.end}
}

// isSound reports whether nothing was found that makes figures of the list an
// artefact of the damage.
func (s *scan) isSound() bool {
	return s.whole && s.list.broken == 0 && s.list.garbage.areas == 0
}

// elsewhere is the evidence for a store of another chunk size, nil where there
// is none, or where the list is good enough that nobody asks.
func (s *scan) elsewhere() *Evidence {
	if s.list.end.Exceptions > 0 && s.list.garbage.areas == 0 {
		return nil
	}
	if e := s.probe(); e != nil && e.Geometry != s.geometry {
		return e
	}
	return nil
}
