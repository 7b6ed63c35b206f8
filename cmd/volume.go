package cmd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"dmcow/internal/volume"
	"dmcow/lvm"
)

// volumes says where to look for volume groups of LVM.
type volumes struct {
	PV []path `name:"pv" sep:"none" placeholder:"PATH" help:"Where VG/LV is looked for: a physical volume, or a disk or an image with one in a partition. May be given several times. Default: all block devices."`
}

// seen is what was seen of LVM on some devices.
type seen struct {
	*volume.Sight
	given []path
	err   error // why it is not all
}

// sight looks at the physical volumes that were given, or at all block devices. It does so
// once in a run. The error is of one that was given, or of an interruption: [app.volumeFailure]
// makes a failure of it.
func (a *app) sight(given []path) (*volume.Sight, error) {
	i := slices.IndexFunc(a.sights, func(s seen) bool { return slices.Equal(s.given, given) })
	if i < 0 {
		var names []string
		for _, p := range given {
			names = append(names, string(p))
		}
		s, err := volume.Look(volume.Options{
			Given: names, Foreign: a.foreign, Tell: func(about, text string) { a.say(about, "%s", text) }, Visit: a.interruption,
		})
		i, a.sights = len(a.sights), append(a.sights, seen{s, given, err})
	}
	return a.sights[i].Sight, a.sights[i].err
}

// closeSights gives back what looking at LVM took.
func (a *app) closeSights() {
	for _, s := range a.sights {
		s.Close()
	}
	a.sights = nil
}

// volumeFailure makes a failure of an error about a logical volume, or whatever else that
// says it is about.
func (a *app) volumeFailure(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errInterrupted):
		return ended(name, errInterrupted)
	}
	if e, ok := err.(*volume.Error); ok { // and not one that the error mentions
		return a.unreadable(e.About, e.Err)
	}
	return a.unreadable(name, err)
}

// lockPatience is how long a lock of LVM's is waited for: most of its commands take less.
var lockPatience = 5 * time.Second

// findVolume is the logical volume of a name, nil where that is a path:
//   - what has not the form VG/LV is a path;
//   - without --pv, so is what a file has as its name.
//
// write is for a command that is going to write to it: LVM's lock is taken then. The error
// is a failure.
func (a *app) findVolume(name string, s volumes, write bool) (*volume.Volume, error) {
	group, logical, ok := lvm.SplitName(name)
	if !ok || len(s.PV) == 0 && exists(name) {
		return nil, nil
	}
	if len(s.PV) == 0 {
		if v := volume.ActiveSnapshot(name, group, logical); v != nil {
			return v, nil
		}
	}
	return a.inactive(name, group, logical, s.PV, write)
}

// isVolumeName reports whether a name has the form VG/LV.
func isVolumeName(name string) bool {
	_, _, ok := lvm.SplitName(name)
	return ok
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// inactive is a volume as the metadata has it. The error is a failure.
func (a *app) inactive(name, group, logical string, pv []path, write bool) (*volume.Volume, error) {
	s, err := a.sight(pv)
	if err != nil {
		return nil, a.volumeFailure(name, err)
	}
	g, err := s.Group(group)
	if err == nil && write {
		g, err = lockGroup(s, g, group)
	}
	if err != nil {
		return nil, a.volumeFailure(name, noSuch(name, pv, err))
	}
	l := g.Find(logical)
	if l == nil {
		return nil, a.unreadable(name, &lvm.NoVolumeError{Group: g, Name: logical})
	}
	return s.Volume(name, g, l), nil
}

// lockGroup takes LVM's lock of a group, and is the group as it is then.
func lockGroup(s *volume.Sight, g *lvm.Group, name string) (*lvm.Group, error) {
	if err := s.Lock(g, lockPatience); err != nil {
		return nil, err
	}
	return s.Group(name)
}

// readRecord finds out what LVM has on record of a snapshot that is active, if its metadata
// can be read.
func (a *app) readRecord(n named) {
	if n.volume == nil || n.volume.Active == nil {
		return
	}
	group, logical, _ := lvm.SplitName(n.path)
	v, err := a.inactive(n.path, group, logical, nil, false)
	if err != nil {
		a.verbose(n.path, "what LVM has on record of it is not known: %v", err)
		return
	}
	n.volume.ChunkSectors = v.ChunkSectors
}

// noSuch is the error of a name that is no path either.
func noSuch(name string, pv []path, err error) error {
	switch none := errors.As(err, new(*lvm.NoGroupError)); {
	case none && exists(name):
		return fmt.Errorf("%w; a file has that name, and is ./%s", err, name)
	case !none || len(pv) > 0:
		return err
	}
	return fmt.Errorf("no such file or directory, and no logical volume: %w (--pv says where else to look)", err)
}

// removal says what is left to do of a snapshot that was merged. By the names in an image, LVM
// would act on what this machine has of those names.
func removal(v *volume.Volume) string {
	where := ""
	if !v.OnBlocks() {
		where = " where these physical volumes are in use"
	}
	return fmt.Sprintf("LVM still lists it, and it is empty now: lvremove %s/%s ends it%s, and the origin can be used", v.Group.Name, v.Logical.Name, where)
}

// again is a name as a shell takes it on a command line that the user is told, with where
// it was looked for.
func (s volumes) again(name string) string {
	text := shellWord(name)
	for _, p := range s.PV {
		text += " --pv " + shellWord(string(p))
	}
	return text
}
