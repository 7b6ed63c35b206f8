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
	When:     "the list is empty or garbage, and chunk 0, which should be zero behind the header, holds the exceptions of a store with smaller chunks",
	Kernel:   "reads the list at the wrong place, and serves the origin's data for chunks with an exception",
	Fate:     Wrong,
	Repair:   "write the header again with the chunk size that the list shows",
	Command:  "repair --header CHUNK-SIZE --valid 0|1",
	list: func(s *scan) *Finding {
		if e := s.elsewhere(); e != nil && e.Geometry.ChunkBytes() < s.geometry.ChunkBytes() {
			return &Finding{
				detail: fmt.Sprintf("the chunk size is %d sectors%s", s.geometry.ChunkSectors(), s.evidence()),
				repair: s.rewrite("do not activate the snapshot; "), command: s.rewriting(),
			}
		}
		return nil
	},
}

var AreaBeyondDevice = &Rule{
	Name:     "area-beyond-device",
	Severity: Error,
	When:     "the list leads to an area past the end of the device: the device was shrunk, or the last area is full and the next has no room",
	Kernel:   "refuses the store",
	Fate:     Refuses,
	Repair:   "grow the device back; else end the list at the device's end, which loses the exceptions behind it",
	Command:  "repair --truncate-list",
	list: func(s *scan) *Finding {
		if s.cut == nil {
			return nil
		}
		f := ofArea(s.cut.Area, "the list leads to this area at chunk %d, past the end of the device (%d chunks, %d sectors)", s.cut.Chunk, s.chunks, s.size.Sectors())
		g := s.id.Geometry
		f.first = fmt.Sprintf("grow the device back to at least %d sectors (lvextend; truncate for an image file)", (g.Offset(s.cut.Chunk) + g.ChunkBytes()).Sectors())
		return f
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
	When:     "chunk 0 is not zero behind the header's fields",
	Kernel:   "ignores it, and zeroes it when it invalidates the snapshot",
	Repair:   "look at it, then clear it",
	Command:  "repair --warnings",
	list: func(s *scan) *Finding {
		// It may be the list itself (wrong-chunk-size).
		if e := s.elsewhere(); s.stray < 0 || e != nil && e.Geometry.ChunkBytes() < s.geometry.ChunkBytes() {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("byte %d, behind the header's fields, is not zero", s.stray)}
	},
}

var OddTerminator = &Rule{
	Name:     "odd-terminator",
	Severity: Error,
	Means:    onlyNamed,
	When:     "the slot that ends the list has an old chunk, which the kernel never writes: an exception has lost its new chunk",
	Kernel:   "ends the list there, and serves the origin's data for its chunk",
	Fate:     Wrong,
	Repair:   "write the new chunk again, if the list shows which; else drop the exception: the snapshot then reads the origin's chunk",
	Command:  "repair",
	list: func(s *scan) *Finding {
		if s.behind.Old == 0 {
			return nil
		}
		f := &Finding{
			Scope:     OfException,
			Place:     s.behind.Place,
			Exception: format.Exception{Old: s.behind.Old},
			detail:    fmt.Sprintf("the slot that ends the list has old chunk %d, not 0: an exception has lost its new chunk", s.behind.Old),
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
	Kernel:   "skips it since 3.12; older kernels use it for data (CVE-2013-4299) and destroy the list",
	Repair:   "do not load the store with a kernel older than 3.12",
	list: func(s *scan) *Finding {
		next := s.list.end.Highest + 1
		if !s.whole || s.list.end.Exceptions == 0 || uint64(next) >= s.chunks || !s.geometry.IsMetadata(next) {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("the chunk after the highest new chunk, %d, is metadata area %d", s.list.end.Highest, uint64(next)/s.geometry.Stride())}
	},
}

var Full = &Rule{
	Name:     "full",
	Severity: Warning,
	Means:    harmless,
	When:     "no room for one more exception",
	Kernel:   "loses the snapshot with the next new chunk (Invalid, or Overflow)",
	Fate:     Loses,
	Repair:   "extend the device before the next write to the origin (lvextend; truncate for an image file)",
	list: func(s *scan) *Finding {
		u := s.usage()
		switch {
		case !s.whole || u.Free() > 0 || u.End.NextFree < format.FirstData || s.id.State == look.Invalid: // then it is lost already
			return nil
		case u.End.Beyond != nil:
			return &Finding{
				detail: "the highest new chunk is past the end of the device: no room for one more exception",
				repair: "first repair the exceptions whose data is past the end of the device",
			}
		}
		return &Finding{detail: fmt.Sprintf("the next free chunk is %d, the device has %d chunks: no room for one more exception", u.End.NextFree, s.chunks)}
	},
}

var LeakedChunks = &Rule{
	Name:     "leaked-chunks",
	Severity: Info,
	Means:    mentioned,
	When:     "some data chunks below the next free one have no exception: a copy failed, or an exception was merged",
	Kernel:   "no longer uses them",
	list: func(s *scan) *Finding {
		if !s.isSound() {
			return nil
		}
		below := s.usage().Given() // usage counts what is named, and here it is looked up
		if below <= s.list.named {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("%d of the %d data chunks below chunk %d have no exception", below-s.list.named, below, s.list.end.NextFree)}
	},
}

var OutOfOrder = &Rule{
	Name:     "out-of-order",
	Severity: Info,
	Means:    harmless,
	When:     "new chunks do not rise",
	Kernel:   "writes them so when copies run in parallel",
	list: func(s *scan) *Finding {
		if s.list.falls == 0 || !s.isSound() {
			return nil
		}
		detail := fmt.Sprintf("new chunks do not rise, in %d places; this is the first", s.list.falls)
		return &Finding{Scope: OfPlace, Place: s.list.fall, detail: detail}
	},
}

var OlderStore = &Rule{
	Name:     "older-store",
	Severity: Warning,
	Means:    mentioned,
	When:     "the list is empty, but exceptions lie where a store with larger chunks has its first area: they are of an earlier life of the device, or the header has the wrong chunk size",
	Kernel:   "does not read them",
	Repair:   "check the chunk size; if the header has the wrong one, write it again",
	Command:  "repair --header CHUNK-SIZE --valid 0|1",
	list: func(s *scan) *Finding {
		if e := s.elsewhere(); e != nil && e.Geometry.ChunkBytes() > s.geometry.ChunkBytes() {
			return &Finding{detail: "the list is empty: the device held another store, or the chunk size is wrong" + s.evidence(), command: s.rewriting()}
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
	return s.whole && !s.list.broken && !s.list.garbage.any
}

// elsewhere is the evidence for a store of another chunk size, nil where there
// is none, or where the list is good enough that nobody asks.
func (s *scan) elsewhere() *Evidence {
	if s.list.end.Exceptions > 0 && !s.list.garbage.any {
		return nil
	}
	if e := s.probe(); e != nil && e.Geometry != s.geometry {
		return e
	}
	return nil
}
