package check

import (
	"fmt"

	"dmcow/format"
)

// facts are what exceptions are held to.
type facts struct {
	geometry format.Geometry
	chunks   uint64 // whole ones on the COW device
	// origin is the number of chunks on the origin, one that is only begun
	// included; of the largest device that there can be where its size is not known.
	origin uint64
	known  bool // the origin's size
}

func newFacts(g format.Geometry, size, origin format.Bytes) facts {
	f := facts{geometry: g, known: origin > 0}
	if !f.known {
		origin = format.LargestDevice
	}
	if !g.IsZero() {
		f.chunks = g.Chunks(size)
		f.origin = uint64((origin-1)/g.ChunkBytes()) + 1
	}
	return f
}

// exceptionRules are those that an exception breaks by itself. The finding
// is of the first that fits. They are asked of what is not ordinary alone (see
// pass.look): of exceptions whose new chunk is no data chunk on the device or whose
// old one is not on the origin, and of the first of each piece.
var exceptionRules = []*Rule{
	HeaderInArea, NewChunkOver56Bits, NewChunkIsMetadata, NewChunkBeyondDevice, OldChunkBeyondOrigin,
}

var HeaderInArea = &Rule{
	Name:     "header-in-area",
	Severity: Error,
	When:     "the first slot of an area holds the image of a header",
	Kernel:   "reads it as an exception; a kernel bug of 2008 left it",
	Fate:     Wrong,
	Repair:   "drop it",
	Command:  "repair",
	exception: func(_ facts, at format.Place, x format.Exception) bool {
		return at.Index == 0 && uint32(x.Old) == format.Magic && uint32(x.New) == format.Version
	},
	say: func(f Finding) string { return "the slot holds the image of a header" },
}

var NewChunkOver56Bits = &Rule{
	Name:     "new-chunk-over-56-bits",
	Severity: Error,
	Means:    onlyNamed,
	When:     "the top byte of a new chunk is not 0",
	Kernel:   "reads that byte as the length of a run, and serves wrong data",
	Fate:     Wrong,
	Repair:   "drop the exception: the snapshot then reads the origin's chunk",
	Command:  "repair --drop",
	exception: func(_ facts, _ format.Place, x format.Exception) bool {
		return x.New>>56 != 0
	},
	say: func(f Finding) string {
		return fmt.Sprintf("new chunk 0x%x does not fit in 56 bits", uint64(f.New))
	},
}

var NewChunkIsMetadata = &Rule{
	Name:     "new-chunk-is-metadata",
	Severity: Error,
	Means:    onlyNamed,
	When:     "a new chunk is a metadata area",
	Kernel:   "serves the metadata as data; a write to that chunk of the snapshot destroys the list",
	Fate:     Wrong,
	Repair:   "drop the exception: the snapshot then reads the origin's chunk",
	Command:  "repair --drop",
	exception: func(f facts, _ format.Place, x format.Exception) bool {
		return f.geometry.IsMetadata(x.New)
	},
	say: func(f Finding) string {
		k := uint64(f.New) / f.facts.geometry.Stride()
		if f.Index == 0 && k == uint64(f.Area) {
			return fmt.Sprintf("new chunk %d is its own metadata area: the mark of CVE-2013-4299, a bug of kernels before 3.12", f.New)
		}
		return fmt.Sprintf("new chunk %d is metadata area %d", f.New, k)
	},
}

var NewChunkBeyondDevice = &Rule{
	Name:     "new-chunk-beyond-device",
	Severity: Error,
	Means:    onlyNamed,
	When:     "a new chunk is past the end of the device, in whole or in part",
	Kernel:   "returns an I/O error for it; the next new chunk loses the snapshot",
	Fate:     Wrong,
	Repair:   "if the device was larger, grow it back; else drop the exceptions: the snapshot then reads the origin's chunks",
	Command:  "repair --drop",
	exception: func(f facts, _ format.Place, x format.Exception) bool {
		return uint64(x.New) >= f.chunks
	},
	say: func(f Finding) string {
		return fmt.Sprintf("new chunk %d is past the end of the device (%d chunks)", f.New, f.facts.chunks)
	},
}

var OldChunkBeyondOrigin = &Rule{
	Name:     "old-chunk-beyond-origin",
	Severity: Error,
	Means:    Meaning{Merging: ForcedMerge, DoubtsOrigin: true},
	When:     "an old chunk starts at or past the end of the origin",
	Kernel:   "never reads it; a merge drops it if it is exactly at the end, and gets stuck if it is past the end",
	Fate:     Wrong,
	Repair:   "check that this is the right origin; if it was larger, grow it back; else drop the exceptions",
	Command:  "repair --drop --origin ORIGIN",
	Try:      "check that this is the right origin; if it was larger, grow it back",
	exception: func(f facts, _ format.Place, x format.Exception) bool {
		return uint64(x.Old) >= f.origin
	},
	say: func(f Finding) string {
		if !f.facts.known {
			return fmt.Sprintf("old chunk %d is past the end of any possible origin", f.Old)
		}
		return fmt.Sprintf("old chunk %d is past the end of the origin (%d chunks)", f.Old, f.facts.origin)
	},
}

// breaks is the first rule that an exception breaks by itself, nil where it
// breaks none.
func (f *facts) breaks(at format.Place, x format.Exception) *Rule {
	for _, r := range exceptionRules {
		if r.exception(*f, at, x) {
			return r
		}
	}
	return nil
}

// isImpossible reports whether no accident to the device's size, and no wrong origin,
// makes a sound exception look like this one: its new chunk is nowhere near where
// those of its area can be, or its old one on no device.
func (f *facts) isImpossible(at format.Place, x format.Exception) bool {
	near := 2 * max(f.chunks, uint64(f.geometry.AreaLocation(at.Area+2)))
	return f.geometry.IsMetadata(x.New) || uint64(x.New) >= near || !f.known && uint64(x.Old) >= f.origin
}
