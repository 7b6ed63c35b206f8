package check

import (
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/store/look"
)

// headerRules look at what stands before the list: the header, and where the
// device has none, what may have been behind one.
var headerRules = []*Rule{
	BadMagic, LostHeader, ForeignContent, LVMChunkSizeDiffers, ZeroedHeader, BadVersion, BadChunkSize, TooSmall,
	ValidNotOne, UnfinishedStore, OddTail,
}

var BadMagic = &Rule{
	Name:     "bad-magic",
	Severity: Error,
	When:     "the magic is neither SnAp nor 0",
	Kernel:   "refuses the store: \"Invalid or corrupt snapshot\"",
	Fate:     Refuses,
	Repair:   "make sure that this is the device you mean; where there is evidence of a store, write its header anew, with the chunk size that it speaks for",
	Command:  "repair --header CHUNK-SIZE --valid 0|1",
	header: func(s *scan) *Finding {
		if s.id.State != look.Foreign || s.id.Header.Magic == 0 {
			return nil
		}
		f := &Finding{
			detail: fmt.Sprintf("the magic is 0x%08x, expected 0x%08x (SnAp)%s", s.id.Header.Magic, uint32(format.Magic), s.evidence()),
			repair: s.rewrite(""),
		}
		if s.id.Survives(s.device) {
			f.repair = fmt.Sprintf("write the header anew, keeping the other fields, which look as they should: chunks of %d sectors, valid %d",
				s.id.Header.ChunkSectors, s.id.Header.Valid)
		}
		return f
	},
}

var LostHeader = &Rule{
	Name:     "lost-header",
	Severity: Error,
	When:     "the magic is 0, and the other fields of a header survive, or the first 4096 bytes are not all zero and area 0 holds plausible exceptions",
	Kernel:   "takes the device for a new one on loading it and writes an empty store over it: all is lost",
	Fate:     Formats,
	Repair:   "do not activate the snapshot; write the magic back, keeping the other fields",
	Command:  "repair",
	header: func(s *scan) *Finding {
		switch h := s.id.Header; {
		case !s.isHeadless() || s.id.Blank:
			return nil
		case s.id.Survives(s.device):
			return &Finding{detail: fmt.Sprintf("the magic is 0, and the other fields survive: valid %d, version %d, chunks of %d sectors%s",
				h.Valid, h.Version, h.ChunkSectors, s.evidence())}
		case s.probe() == nil:
			return nil
		default:
			return &Finding{
				detail: fmt.Sprintf("the magic is 0, and the other fields are valid %d, version %d, chunks of %d sectors%s",
					h.Valid, h.Version, h.ChunkSectors, s.evidence()),
				repair: s.rewrite("do not activate the snapshot; "),
			}
		}
	},
}

var ForeignContent = &Rule{
	Name:     "foreign-content",
	Severity: Error,
	When:     "the magic is 0, the first 4096 bytes are not all zero, and nothing speaks for a store",
	Kernel:   "takes the device for a new one on loading it and writes an empty store over it",
	Fate:     Formats,
	Repair:   "make sure that this is the device you mean: nothing on it speaks for a store",
	header: func(s *scan) *Finding {
		if !s.isHeadless() || s.id.Blank || s.id.Survives(s.device) || s.probe() != nil {
			return nil
		}
		return &Finding{detail: "the magic is 0, and yet the first 4096 bytes are not all zero: no COW store"}
	},
}

var LVMChunkSizeDiffers = &Rule{
	Name:     "lvm-chunk-size-differs",
	Severity: Warning,
	Means:    harmless,
	When:     "LVM has another chunk size on record than the header",
	Kernel:   "goes by the header, and says so in its log; LVM goes by its record where it computes sizes",
	Fate:     Serves,
	Repair:   "make sure that this is the volume's own store; where it is, all is well",
	header: func(s *scan) *Finding {
		recorded := s.options.Recorded
		if recorded == 0 || !s.hasHeader() || format.Sectors(s.id.Header.ChunkSectors) == recorded {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("the header has chunks of %d sectors, and LVM has %d on record", s.id.Header.ChunkSectors, recorded)}
	},
}

var ZeroedHeader = &Rule{
	Name:     "zeroed-header",
	Severity: Error,
	When:     "the first 4096 bytes are all zero, and area 0 holds plausible exceptions: a header that was wiped, or, which is rarer, a new LVM snapshot that was never active, over the blocks of an old one (LVM zeroes just 4096 bytes)",
	Kernel:   "takes the device for a new one on loading it and writes an empty store over it: all is lost",
	Fate:     Formats,
	Repair:   "do not activate the snapshot, and write the header anew; if it is new and was never active, initialize makes it a new store",
	Command:  "repair --header CHUNK-SIZE --valid 0|1",
	header: func(s *scan) *Finding {
		if !s.isHeadless() || !s.id.Blank || s.probe() == nil {
			return nil
		}
		return &Finding{
			detail: "the first 4096 bytes are zero: the header was wiped, or this is a new LVM snapshot that was never active, over the blocks of an old one" + s.evidence(),
			repair: s.rewrite("do not activate the snapshot; ") + "; if it is new and was never active, dmcow initialize --force makes it a new store",
		}
	},
}

var BadVersion = &Rule{
	Name:     "bad-version",
	Severity: Error,
	When:     "the version is not 1",
	Kernel:   "refuses the store",
	Fate:     Refuses,
	Repair:   "make sure that nothing else is wrong; then write the header anew",
	Command:  "repair --header CHUNK-SIZE --valid 0|1",
	header: func(s *scan) *Finding {
		if !s.hasHeader() || s.id.Header.Version == format.Version {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("the version is %d, expected %d", s.id.Header.Version, format.Version)}
	},
}

var BadChunkSize = &Rule{
	Name:     "bad-chunk-size",
	Severity: Error,
	When:     "the chunk size is no power of 2, over 2097152 sectors, or no multiple of the device's logical block",
	Kernel:   "refuses the store",
	Fate:     Refuses,
	Repair:   "write the header anew, with the chunk size that the evidence speaks for; where it is the device's logical block that is too large, use one with smaller blocks",
	Command:  "repair --header CHUNK-SIZE --valid 0|1",
	header: func(s *scan) *Finding {
		if !s.hasHeader() {
			return nil
		}
		block := format.Bytes(s.device.LogicalBlockSize())
		err := format.CheckChunkSectors(s.id.Header.ChunkSectors, block)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, format.ErrNotBlockSized):
			return &Finding{detail: fmt.Sprintf("the chunk size is %d sectors: %v, %d bytes", s.id.Header.ChunkSectors, err, block)}
		}
		return &Finding{
			detail: fmt.Sprintf("the chunk size is %d sectors: %v%s", s.id.Header.ChunkSectors, err, s.evidence()),
			repair: s.rewrite(""),
		}
	},
}

var TooSmall = &Rule{
	Name:     "too-small",
	Severity: Error,
	When:     "the device is shorter than two chunks, header and area 0",
	Kernel:   "refuses the store",
	Fate:     Refuses,
	Repair:   "extend the device",
	header: func(s *scan) *Finding {
		g := s.id.Geometry
		switch {
		case s.size < format.SectorSize:
			return &Finding{detail: fmt.Sprintf("the device has %d bytes, too short for a header", s.size)}
		case (s.id.Blank || s.id.Unfinished) && s.id.Fresh.IsZero():
			g = look.FreshGeometry(s.device)
		case !s.hasHeader() || g.IsZero():
			return nil
		}
		if err := look.CheckFits(s.device, g); err != nil {
			return &Finding{detail: err.Error()}
		}
		return nil
	},
}

var ValidNotOne = &Rule{
	Name:     "valid-not-one",
	Severity: Warning,
	Means:    harmless,
	When:     "the field valid is neither 0 nor 1",
	Kernel:   "takes it for 1",
	Repair:   "write 1; other programs refuse the store",
	Command:  "repair --warnings",
	header: func(s *scan) *Finding {
		if !s.hasHeader() || s.id.Header.Valid <= 1 {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("valid is %d, expected 0 or 1", s.id.Header.Valid)}
	},
}

var UnfinishedStore = &Rule{
	Name:     "unfinished-store",
	Severity: Info,
	Means:    harmless,
	When:     "a creation of a store was cut off here",
	Kernel:   "takes the device for a new one on loading it and writes an empty store over it",
	Fate:     Formats,
	Repair:   "run the same creation again",
	Command:  "create --origin BASE --from IMAGE",
	header: func(s *scan) *Finding {
		if !s.id.Unfinished {
			return nil
		}
		return &Finding{detail: "a creation was cut off before the store was finished"}
	},
}

var OddTail = &Rule{
	Name:     "odd-tail",
	Severity: Info,
	Means:    harmless,
	When:     "the device's size is no multiple of the chunk",
	Kernel:   "does not use what is left over",
	header: func(s *scan) *Finding {
		if !s.hasList() || s.size%s.geometry.ChunkBytes() == 0 {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("%d bytes behind the last whole chunk are not used", s.size%s.geometry.ChunkBytes())}
	},
}

// rewrite is how a header is written anew that the evidence speaks for, behind
// what comes first; without evidence, what there is to do then.
func (s *scan) rewrite(first string) string {
	e := s.probe()
	switch {
	case e == nil && s.hasHeader():
		return "find out which chunk size the snapshot was made with, since no list was found at any; then write the header anew"
	case e == nil:
		return "make sure that this is the device you mean: nothing on it speaks for a store"
	}
	valid := "; whether it was marked invalid is not known"
	if s.hasHeader() {
		valid = fmt.Sprintf(", valid %d", min(s.id.Header.Valid, 1))
	}
	return fmt.Sprintf("%swrite the header anew, with chunks of %d sectors%s: --header %[2]ds", first, e.Geometry.ChunkSectors(), valid)
}

// hasList reports whether the header has a chunk size with which there can be a list.
func (s *scan) hasList() bool {
	return !s.id.Geometry.IsZero() && look.CheckFits(s.device, s.id.Geometry) == nil
}

func (s *scan) hasHeader() bool { return s.id.Header.Magic == format.Magic }

// isHeadless reports whether the magic is 0, on a device that the kernel would make
// a new store of.
func (s *scan) isHeadless() bool {
	return s.size >= format.SectorSize && s.id.Header.Magic == 0 && !s.id.Unfinished
}
