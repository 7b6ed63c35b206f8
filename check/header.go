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
	Repair:   "check that this is the right device; if it holds a list, write the header again with the chunk size of that list",
	Command:  "repair --header CHUNK-SIZE --valid 0",
	header: func(s *scan) *Finding {
		if s.id.State != look.Foreign || s.id.Header.Magic == 0 {
			return nil
		}
		f := &Finding{
			detail: fmt.Sprintf("the magic is 0x%08x, not 0x%08x (SnAp)%s", s.id.Header.Magic, uint32(format.Magic), s.evidence()),
			repair: s.rewrite(""), command: s.rewriting(),
		}
		if s.id.Survives(s.device) {
			f.command = headerOf(s.id.Header)
			f.repair = fmt.Sprintf("write the magic again and keep the other fields, which are plausible: %d-sector chunks, valid %d",
				s.id.Header.ChunkSectors, s.id.Header.Valid)
		}
		return f
	},
}

var LostHeader = &Rule{
	Name:     "lost-header",
	Severity: Error,
	When:     "the magic is 0, but the other fields of a header survive, or area 0 holds plausible exceptions",
	Kernel:   "takes it for a new device and writes an empty store over it: all is lost",
	Fate:     Formats,
	Repair:   "do not activate the snapshot; write the magic again and keep the other fields",
	Command:  "repair",
	header: func(s *scan) *Finding {
		switch h := s.id.Header; {
		case !s.isHeadless() || s.id.Blank:
			return nil
		case s.id.Survives(s.device):
			return &Finding{detail: fmt.Sprintf("the magic is 0, but the other fields survive: valid %d, version %d, %d-sector chunks%s",
				h.Valid, h.Version, h.ChunkSectors, s.evidence())}
		case s.probe() == nil:
			return nil
		default:
			return &Finding{
				detail: fmt.Sprintf("the magic is 0; the other fields are valid %d, version %d, %d-sector chunks%s",
					h.Valid, h.Version, h.ChunkSectors, s.evidence()),
				repair: s.rewrite("do not activate the snapshot; "), command: s.rewriting(),
			}
		}
	},
}

var ForeignContent = &Rule{
	Name:     "foreign-content",
	Severity: Error,
	When:     "the magic is 0, the first 4096 bytes are not all zero, and nothing looks like a store",
	Kernel:   "takes it for a new device and writes an empty store over it",
	Fate:     Formats,
	Repair:   "check that this is the right device: nothing on it looks like a store",
	header: func(s *scan) *Finding {
		if !s.isHeadless() || s.id.Blank || s.id.Survives(s.device) || s.probe() != nil {
			return nil
		}
		return &Finding{detail: "the magic is 0, but the first 4096 bytes are not all zero: not a COW store"}
	},
}

var LVMChunkSizeDiffers = &Rule{
	Name:     "lvm-chunk-size-differs",
	Severity: Warning,
	Means:    harmless,
	When:     "LVM's metadata has another chunk size than the header",
	Kernel:   "uses the header's, and says so in its log; LVM computes sizes with its own",
	Fate:     Serves,
	Repair:   "check that this store belongs to the volume; if it does, all is well",
	header: func(s *scan) *Finding {
		recorded := s.options.Recorded
		if recorded == 0 || !s.hasHeader() || format.Sectors(s.id.Header.ChunkSectors) == recorded {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("the header has %d-sector chunks, LVM's metadata %d", s.id.Header.ChunkSectors, recorded)}
	},
}

var ZeroedHeader = &Rule{
	Name:     "zeroed-header",
	Severity: Error,
	When:     "the first 4096 bytes are zero, and area 0 holds plausible exceptions: the header was wiped, or (rarer) this is a new, never active LVM snapshot on the blocks of an old one (LVM zeroes only 4096 bytes)",
	Kernel:   "takes it for a new device and writes an empty store over it: all is lost",
	Fate:     Formats,
	Repair:   "do not activate the snapshot; write the header again. If it is new and was never active, initialize it instead",
	Command:  "repair --header CHUNK-SIZE --valid 0",
	header: func(s *scan) *Finding {
		if !s.isHeadless() || !s.id.Blank || s.probe() == nil {
			return nil
		}
		return &Finding{
			detail:  "the first 4096 bytes are zero: the header was wiped, or this is a new, never active LVM snapshot on the blocks of an old one" + s.evidence(),
			repair:  s.rewrite("do not activate the snapshot; ") + "; if the snapshot is new and was never active, dmcow initialize --force instead",
			command: s.rewriting(),
		}
	},
}

var BadVersion = &Rule{
	Name:     "bad-version",
	Severity: Error,
	When:     "the version is not 1",
	Kernel:   "refuses the store",
	Fate:     Refuses,
	Repair:   "check that nothing else is wrong; then write the header again",
	Command:  "repair --header CHUNK-SIZE --valid 0",
	header: func(s *scan) *Finding {
		if !s.hasHeader() || s.id.Header.Version == format.Version {
			return nil
		}
		return &Finding{
			detail:  fmt.Sprintf("the version is %d, not %d", s.id.Header.Version, format.Version),
			command: headerOf(s.id.Header),
		}
	},
}

var BadChunkSize = &Rule{
	Name:     "bad-chunk-size",
	Severity: Error,
	When:     "the chunk size is not a power of 2, is over 2097152 sectors, or is not a multiple of the logical block",
	Kernel:   "refuses the store",
	Fate:     Refuses,
	Repair:   "write the header again with the chunk size that the list shows; if the device's logical block is too large, copy the store to a device with smaller blocks",
	Command:  "repair --header CHUNK-SIZE --valid 0",
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
			return &Finding{detail: fmt.Sprintf("the chunk size is %d sectors: %v, %d bytes", s.id.Header.ChunkSectors, err, block), command: new("")}
		}
		return &Finding{
			detail: fmt.Sprintf("the chunk size is %d sectors: %v%s", s.id.Header.ChunkSectors, err, s.evidence()),
			repair: s.rewrite(""), command: s.rewriting(),
		}
	},
}

var TooSmall = &Rule{
	Name:     "too-small",
	Severity: Error,
	When:     "the device is smaller than two chunks (header and area 0)",
	Kernel:   "refuses the store",
	Fate:     Refuses,
	Repair:   "extend the device",
	header: func(s *scan) *Finding {
		g := s.id.Geometry
		switch {
		case s.size < format.SectorSize:
			return &Finding{detail: fmt.Sprintf("the device has %d bytes, too few for a header", s.size)}
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
	When:     "the valid field is neither 0 nor 1",
	Kernel:   "takes it as 1",
	Repair:   "write 1: other programs refuse the store",
	Command:  "repair --warnings",
	header: func(s *scan) *Finding {
		if !s.hasHeader() || s.id.Header.Valid <= 1 {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("valid is %d, not 0 or 1", s.id.Header.Valid)}
	},
}

var UnfinishedStore = &Rule{
	Name:     "unfinished-store",
	Severity: Info,
	Means:    harmless,
	When:     "dmcow create was interrupted here",
	Kernel:   "takes it for a new device and writes an empty store over it",
	Fate:     Formats,
	Repair:   "run the same dmcow create again",
	header: func(s *scan) *Finding {
		if !s.id.Unfinished {
			return nil
		}
		return &Finding{detail: "dmcow create was interrupted before it finished the store"}
	},
}

var OddTail = &Rule{
	Name:     "odd-tail",
	Severity: Info,
	Means:    harmless,
	When:     "the device's size is not a multiple of the chunk size",
	Kernel:   "does not use the rest",
	header: func(s *scan) *Finding {
		if !s.hasList() || s.size%s.geometry.ChunkBytes() == 0 {
			return nil
		}
		return &Finding{detail: fmt.Sprintf("the last %d bytes, less than a chunk, are not used", s.size%s.geometry.ChunkBytes())}
	},
}

// rewrite is how a header is written anew that the evidence speaks for, behind
// what comes first; without evidence, what there is to do then.
func (s *scan) rewrite(first string) string {
	e := s.probe()
	switch {
	case e == nil && s.hasHeader():
		return "no list was found with any chunk size: find out which one the snapshot was made with, then write the header again"
	case e == nil:
		return "check that this is the right device: nothing on it looks like a store"
	}
	valid := "; nothing shows whether it was marked invalid"
	if s.hasHeader() {
		valid = fmt.Sprintf(", valid %d", min(s.id.Header.Valid, 1))
	}
	return fmt.Sprintf("%swrite the header again, with %d-sector chunks%s", first, e.Geometry.ChunkSectors(), valid)
}

// rewriting is the command of [scan.rewrite]. Where nothing shows whether the snapshot was marked invalid, it is
// marked so: the kernel serves nothing wrong then, and revalidate can change it.
func (s *scan) rewriting() *string {
	e := s.probe()
	if e == nil {
		return new("")
	}
	h := format.Header{ChunkSectors: uint32(e.Geometry.ChunkSectors())}
	if s.hasHeader() {
		h.Valid = s.id.Header.Valid
	}
	return headerOf(h)
}

// headerOf is the command that writes a header.
func headerOf(h format.Header) *string {
	if format.CheckChunkSectors(h.ChunkSectors, format.SectorSize) != nil {
		return new("")
	}
	return new(fmt.Sprintf("repair --header %ds --valid %d", h.ChunkSectors, min(h.Valid, 1)))
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
