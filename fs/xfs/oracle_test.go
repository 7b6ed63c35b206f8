package xfs_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dmcow/fs"
	"dmcow/fs/xfs"
)

// fields are what xfs_db prints of an object.
func fields(answer string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(answer) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			all[name] = value
		}
	}
	return all
}

func number(t *testing.T, all map[string]string, name string) uint64 {
	t.Helper()
	value, _, _ := strings.Cut(all[name], " ")
	if value == "" {
		return 0
	}
	base := 10
	if strings.HasPrefix(value, "0") {
		base = 0
	}
	n, err := strconv.ParseUint(value, base, 64)
	if err != nil {
		t.Fatalf("%s is %q", name, all[name])
	}
	return n
}

func moment(t *testing.T, all map[string]string, name string) fs.Time {
	t.Helper()
	if all[name+".sec"] == "" {
		return fs.Time{}
	}
	when, err := time.Parse(time.ANSIC, all[name+".sec"])
	if err != nil {
		t.Fatal(err)
	}
	return fs.Time{Sec: when.Unix(), Nsec: uint32(number(t, all, name+".nsec"))}
}

// compareStat compares the attributes of all inodes with what xfs_db says.
func compareStat(t *testing.T, f *xfs.FS, image string) {
	t.Helper()
	t.Setenv("TZ", "UTC")
	var all []fs.Inode
	var ask []string
	for i, err := range f.Inodes(0) {
		if err != nil {
			t.Error(err)
			continue
		}
		all = append(all, i)
		ask = append(ask, fmt.Sprintf("inode %d", i.Attr().Ino), "print")
	}
	answers := strings.Split(db(t, image, ask...), "core.magic")[1:]
	if len(all) != len(answers) {
		t.Fatalf("%d inodes, and %d answers", len(all), len(answers))
	}
	for n, answer := range answers {
		a, v := all[n].Attr(), fields(answer)
		want := fs.Attr{
			Ino: a.Ino, Type: a.Type, Mode: uint16(number(t, v, "core.mode")), UID: uint32(number(t, v, "core.uid")), GID: uint32(number(t, v, "core.gid")),
			Project: uint32(number(t, v, "core.projid_lo") | number(t, v, "core.projid_hi")<<16), Links: uint32(number(t, v, "core.nlinkv2")),
			Size: int64(number(t, v, "core.size")), Blocks: number(t, v, "core.nblocks") * uint64(f.Info().BlockSize/512),
			Accessed: moment(t, v, "core.atime"), Modified: moment(t, v, "core.mtime"), Changed: moment(t, v, "core.ctime"), Created: moment(t, v, "v3.crtime"),
			Generation: uint32(number(t, v, "core.gen")), Version: number(t, v, "v3.change_count"), Major: a.Major, Minor: a.Minor, Flags: a.Flags,
		}
		if a != want || v["v3.inumber"] != "" && number(t, v, "v3.inumber") != uint64(a.Ino) {
			t.Errorf("%+v, expected %+v:\n%s", a, want, answer)
		}
	}
}

// whole is all of a volume.
func whole(f *xfs.FS) fs.Ranges { return fs.Ranges{{Start: 0, End: f.Info().Size}} }

// usesOf are the uses that xfs_db's types of blocks can be.
var usesOf = map[string][]fs.Use{
	"sb": {fs.Superblock, fs.Groups, fs.SpaceMap}, "agf": {fs.Groups}, "agi": {fs.Groups, fs.SpaceMap}, "agfl": {fs.SpaceMap}, "btbno": {fs.SpaceMap}, "btcnt": {fs.SpaceMap},
	"btrmap": {fs.SpaceMap}, "btrefcnt": {fs.SpaceMap}, "freelist": {fs.SpaceMap}, "btino": {fs.InodeMap}, "btfino": {fs.InodeMap},
	"inode": {fs.InodeTable}, "free1": {fs.Free}, "free2": {fs.Free}, "log": {fs.Journal}, "data": {fs.Data, fs.Unwritten, fs.Tree}, "rldata": {fs.Data, fs.Unwritten}, "dir": {fs.Directory, fs.Tree},
	"symlink": {fs.Symlink}, "attr": {fs.Attributes, fs.Tree}, "btbmapd": {fs.Tree}, "btbmapa": {fs.Tree}, "quota": {fs.Other}, "rtbitmap": {fs.Other}, "rtsum": {fs.Other},
}

var blockLine = regexp.MustCompile(`^block (\d+) \((\d+)/(\d+)\) type (\w+)(?: inode (\d+))?`)

// compareOwners compares the owner of each block with what xfs_db says, both ways of finding owners.
func compareOwners(t *testing.T, f *xfs.FS, image string) {
	t.Helper()
	sb := fields(db(t, image, "sb 0", "print"))
	perGroup := int64(number(t, sb, "agblocks"))
	ask := []string{"blockget -n"}
	for group := range number(t, sb, "agcount") {
		size := min(perGroup, int64(number(t, sb, "dblocks"))-int64(group)*perGroup)
		ask = append(ask, fmt.Sprintf("fsblock %d", group<<number(t, sb, "agblklog")), fmt.Sprintf("blockuse -c %d", size))
	}
	answer := db(t, image, ask...)
	quick, slow := ownersOf(t, f, fs.Owners(f, whole(f))), ownersOf(t, f, fs.WalkOwners(f, whole(f)))
	lines := int64(0)
	for line := range strings.Lines(answer) {
		m := blockLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		lines++
		group, _ := strconv.ParseInt(m[2], 10, 64)
		block, _ := strconv.ParseInt(m[3], 10, 64)
		ino, _ := strconv.ParseUint(m[5], 10, 64)
		for _, p := range [][]fs.Piece{quick[group*perGroup+block], slow[group*perGroup+block]} {
			// What several inodes have is one's for xfs_db.
			if !slices.ContainsFunc(p, func(p fs.Piece) bool {
				return slices.Contains(usesOf[m[4]], p.Use) && (m[4] == "inode" || p.Ino == fs.Ino(ino))
			}) {
				t.Errorf("%s: %+v", strings.TrimSpace(line), p)
			}
		}
	}
	if want := int64(number(t, sb, "dblocks")); lines != want {
		t.Errorf("%d answers, for %d blocks", lines, want)
	}
}

// ownersOf are the pieces of each block.
func ownersOf(t *testing.T, f *xfs.FS, all func(func(fs.Piece, error) bool)) [][]fs.Piece {
	t.Helper()
	info := f.Info()
	owner := make([][]fs.Piece, info.Size/info.BlockSize)
	sum := int64(0)
	for p, err := range all {
		if err != nil {
			t.Error(err)
			continue
		}
		if !p.Again {
			sum += p.Len()
		}
		if p.Use == fs.Unowned {
			t.Errorf("nobody owns %+v", p)
		}
		for b := p.Start / info.BlockSize; b < (p.End+info.BlockSize-1)/info.BlockSize; b++ {
			owner[b] = append(owner[b], p)
		}
	}
	if sum != info.Size {
		t.Errorf("the pieces have %d bytes, expected %d", sum, info.Size)
	}
	return owner
}

// compareLayout looks at a file system sector by sector: each piece is a part of what the whole has there.
func compareLayout(t *testing.T, f *xfs.FS) {
	t.Helper()
	var last fs.Piece
	var inodes uint64
	free := int64(0)
	for p, err := range f.Layout(fs.Ranges{{Start: 0, End: f.Info().Size + 4096}}) {
		if err != nil || p.Start != last.End {
			t.Errorf("%+v behind %+v: %v", p, last, err)
		}
		last = p
		for at := p.Start; at < p.End; at += max(512, (p.End-p.Start)/7/512*512) {
			compareSector(t, f, fs.Range{Start: at, End: min(at+512, p.End)}, p)
		}
		inodes += p.Count
		if p.Use == fs.Free {
			free += p.Len()
		}
	}
	if last.End != f.Info().Size+4096 || inodes != f.Info().Inodes {
		t.Errorf("the last piece is %+v, with %d inodes, of %+v", last, inodes, f.Info())
	}
	if counted := f.Info().Free; free > counted || free < counted-f.Info().Size/100 { // which counts the lists of blocks, too
		t.Errorf("%d bytes are free, of %d", free, counted)
	}
}

func compareSector(t *testing.T, f *xfs.FS, one fs.Range, of fs.Piece) {
	t.Helper()
	for q, err := range f.Layout(fs.Ranges{one}) {
		if err != nil || q.Range.Both(one) != q.Range || q.Use != of.Use {
			t.Errorf("%+v: %+v, %v, expected a part of %+v", one, q, err, of)
		}
		for n := q.First; n < q.First+fs.Ino(q.Count); n++ {
			if slot, err := f.Slot(n); err != nil || slot.Both(one).Len() <= 0 {
				t.Errorf("inode %d lies in %+v, %v, not in %+v", n, slot, err, one)
			}
		}
	}
}
