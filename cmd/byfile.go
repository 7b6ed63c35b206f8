package cmd

import (
	"errors"

	"dmcow/dump"
	"dmcow/fs"
	"dmcow/internal/show"
	"dmcow/snapshot"
)

// checkByFile tells wrong use of usage --by-file.
func (c *usageCmd) checkByFile() error {
	switch {
	case len(c.COW) > 1:
		return errors.New("--by-file needs a single COW device")
	case c.Origin == "" && !c.COW[0].isVolume():
		return errors.New("--by-file needs --origin (only VG/LV needs none)")
	case c.Table || c.Warn != nil || c.Crit != nil || c.Output == "prometheus" || c.OriginSize != nil || c.ChunkSize != 0:
		return errors.New("--by-file can be combined with --output human and json only, and not with --table, --warn, --crit, --origin-size or --chunk-size")
	case c.Top < 0:
		return errors.New("--top: how many files are shown is not negative")
	}
	return c.filesystem.check()
}

// byFile shows who owns the chunks.
func (c *usageCmd) byFile(a *app) error {
	x, err := a.begin(c.volumes, "").Sides(snapshot.SidesRequest{
		ViewRequest: snapshot.ViewRequest{Request: c.request(c.COW[0]), Origin: string(c.Origin), Live: c.Live, InvalidOK: true, DamagedOK: true},
		Partition:   c.Partition,
	})
	if err != nil {
		return err
	}
	defer x.Close()
	found, err := x.Owned()
	if err != nil {
		return err
	}
	a.tell()
	n := x.Snapshot
	a.status |= a.ended(snapshot.CodeOf(n.COW.Identity.State))
	u := n.View.Usage()
	o := dump.Owned{
		Device: n.COW.Text, Origin: n.Origin.Text, Type: x.Old.FS.Info().Type, Chunk: uint64(x.Chunk), Bytes: found.Bytes,
		Metadata: uint64(u.Metadata()) * 512, Leaked: u.Leaked() * uint64(x.Chunk), Rest: [2]map[fs.Use]int64{found.Rest[0], found.Rest[1]}, Top: c.Top,
	}
	for _, f := range found.Files {
		o.Files = append(o.Files, dump.OwnedFile{Path: f.Path, Ino: [2]uint64{uint64(f.Ino[0]), uint64(f.Ino[1])}, Snapshot: f.Bytes[0], Origin: f.Bytes[1]})
	}
	if c.Output == "json" {
		return dump.OwnedJSON(a.stdout, o)
	}
	return show.Owned(a.text(), o)
}
