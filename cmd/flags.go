package cmd

import (
	"errors"

	"github.com/alecthomas/kong"

	"dmcow/format"
	"dmcow/internal/units"
	"dmcow/snapshot"
)

// volumes says where to look for volume groups of LVM.
type volumes struct {
	PV []path `name:"pv" sep:"none" placeholder:"PATH" help:"Where to look for VG/LV: a physical volume, a disk or image with one in a partition, a directory with such files, or a pattern like 'disk*.img'. Can be repeated. Default: DMCOW_PV in the environment (paths with colons between them), or all block devices."`
}

// section names a COW store inside a larger image.
type section struct {
	Offset  units.Size  `placeholder:"SIZE" help:"The store starts at this offset of the device or image."`
	Size    *units.Size `placeholder:"SIZE" help:"Size of the store. Default: to the end of the device."`
	Piece   []piece     `sep:"none" placeholder:"FILE:OFFSET:SIZE" help:"A piece of the COW device, in place of COW. Repeat it for each piece, in order (as Android keeps a COW device)."`
	volumes `embed:""`
}

func (s section) isGiven() bool { return s.part().IsGiven() }

func (s section) part() snapshot.Part {
	return snapshot.Part{Offset: format.Bytes(s.Offset), Size: (*format.Bytes)(s.Size)}
}

// request names a COW device, with the part that the flags say.
func (s section) request(cow path) snapshot.Request {
	return snapshot.Request{COW: string(cow), Part: s.part()}
}

// result is the flag of a command that says in the end what it has done.
type result struct {
	Output string `short:"o" default:"human" enum:"human,json" help:"Output format: human or json."`
}

// isJSON reports whether standard output is to have an object, and no words.
func (r result) isJSON() bool { return r.Output == "json" }

// writing is the flags of every command that writes.
type writing struct {
	result     `embed:""`
	section    `embed:""`
	writingLVM `embed:""`
	DryRun     bool `help:"Print what would be done, and write nothing."`
}

// writingLVM is the flags of what writes to a volume group of LVM.
type writingLVM struct {
	ForeignHost string `placeholder:"NAME" help:"Allow writing to a volume group of the host with this system ID."`
}

// theOrigin names the snapshot's origin, or tells its size.
type theOrigin struct {
	Origin     path        `placeholder:"DEV" help:"The snapshot's origin. It is only read; its size and data show more than the list does."`
	OriginSize *units.Size `placeholder:"SIZE" help:"Size of the origin, instead of --origin."`
}

// check says what is wrong with the flags.
func (o theOrigin) check() error {
	switch {
	case o.Origin != "" && o.OriginSize != nil:
		return errors.New("--origin and --origin-size cannot be combined")
	case o.OriginSize != nil && *o.OriginSize == 0:
		return errors.New("--origin-size: an origin of size 0")
	}
	return nil
}

func (o theOrigin) base() snapshot.BaseRequest {
	return snapshot.BaseRequest{Origin: string(o.Origin), Size: (*format.Bytes)(o.OriginSize)}
}

// viewing is the flags of the commands that show what a snapshot holds.
type viewing struct {
	COW       path `arg:"" help:"COW device, an image of it, VG/LV (an LVM snapshot), or an undo log."`
	Origin    path `placeholder:"ORIGIN" help:"The snapshot's origin, or an image of it. Not needed for VG/LV."`
	InvalidOK bool `name:"invalid-ok" help:"Read a snapshot that is marked invalid; it shows data written to the origin after that."`
	DamagedOK bool `name:"damaged-ok" help:"Read uncertain data, too (the store is damaged, or the origin does not fit): as the list has it, else from the origin. The exit status is 4."`
	Uncertain path `placeholder:"FILE" help:"Write a list of the uncertain ranges, as CSV."`
	Live      bool `help:"Read devices that are in use, too; writes during the run may show in part."`
	section   `embed:""`
}

func (v viewing) view() snapshot.ViewRequest {
	return snapshot.ViewRequest{
		Request: v.request(v.COW), Origin: string(v.Origin), InvalidOK: v.InvalidOK, DamagedOK: v.DamagedOK, Live: v.Live,
	}
}

// check says which flag is missing.
func (v viewing) check() error {
	if v.Origin == "" && !v.COW.isVolume() {
		return errors.New("missing --origin (only VG/LV needs none)")
	}
	return nil
}

// path names a device or an image on the command line, byte for byte: names
// that are not UTF-8 would not survive kong's own strings.
type path string

func (p path) isVolume() bool { return snapshot.IsVolume(string(p)) }

// Decode takes the next word of the command line as it is.
func (p *path) Decode(ctx *kong.DecodeContext) error {
	word, ok := ctx.Scan.Pop().Value.(string)
	if !ok {
		return errors.New("missing a device or an image")
	}
	if word == "" {
		return errors.New("empty name of a device or an image")
	}
	*p = path(word)
	return nil
}

// Decode takes the next word of the command line as it is.
func (p *pathname) Decode(ctx *kong.DecodeContext) error {
	word, ok := ctx.Scan.Pop().Value.(string)
	if !ok || word == "" {
		return errors.New("missing a path")
	}
	*p = pathname(word)
	return nil
}
