package ext_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	extfs "dmcow/fs"
	"dmcow/fs/ext"
)

// number is a field of debugfs' answer.
func number(t *testing.T, answer, pattern string, base int) uint64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(answer)
	if m == nil {
		t.Fatalf("%q is not in:\n%s", pattern, answer)
	}
	n, err := strconv.ParseUint(m[1], base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// compareStat compares the attributes of all inodes with what debugfs says.
func compareStat(t *testing.T, f *ext.FS, image string) {
	t.Helper()
	var all []extfs.Inode
	var ask []string
	for i, err := range f.Inodes(0) {
		if err != nil {
			t.Error(err)
			continue
		}
		all = append(all, i)
		ask = append(ask, fmt.Sprintf("stat <%d>", i.Attr().Ino))
	}
	if len(all) < 750 {
		t.Errorf("%d inodes", len(all))
	}
	for n, answer := range debugfs(t, image, false, ask...) {
		a := all[n].Attr()
		want := extfs.Attr{
			Ino: extfs.Ino(number(t, answer, `Inode: (\d+)`, 10)), Type: a.Type, Size: int64(number(t, answer, `Size: (\d+)\n`, 10)),
			Mode: a.Mode&0xf000 | uint16(number(t, answer, `Mode: +(\d+)`, 8)),
			UID:  uint32(number(t, answer, `User: +(\d+)`, 10)), GID: uint32(number(t, answer, `Group: +(\d+)`, 10)),
			Links: uint32(number(t, answer, `Links: (\d+)`, 10)), Blocks: number(t, answer, `Blockcount: (\d+)`, 10),
			Accessed: moment(t, answer, "atime"), Modified: moment(t, answer, "mtime"), Changed: moment(t, answer, "ctime"), Created: moment(t, answer, "crtime"),
			Flags: extfs.Flags(number(t, answer, `Flags: 0x([0-9a-f]+)`, 16)), Generation: uint32(number(t, answer, `Generation: (\d+)`, 10)),
			Version: number(t, answer, `Version: 0x(?:[0-9a-f]{8}:)?([0-9a-f]{8})`, 16),
			Major:   a.Major, Minor: a.Minor,
		}
		if strings.Contains(answer, "Project:") {
			want.Project = uint32(number(t, answer, `Project: +(\d+)`, 10))
		}
		if a != want {
			t.Errorf("%+v, expected %+v:\n%s", a, want, answer)
		}
	}
}

// moment is one of debugfs' times: seconds, and the field with more bits of them and the nanoseconds.
func moment(t *testing.T, answer, name string) extfs.Time {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ *` + name + `: 0x([0-9a-f]{8}):([0-9a-f]{8})`).FindStringSubmatch(answer)
	if m == nil {
		if m = regexp.MustCompile(`(?m)^ *` + name + `: 0x([0-9a-f]{8})`).FindStringSubmatch(answer); m == nil {
			return extfs.Time{}
		}
		m = append(m, "0")
	}
	sec, err1 := strconv.ParseUint(m[1], 16, 32)
	more, err2 := strconv.ParseUint(m[2], 16, 32)
	if err1 != nil || err2 != nil {
		t.Fatal(m)
	}
	return extfs.Time{Sec: int64(int32(sec)) + int64(more&3)<<32, Nsec: uint32(more >> 2)}
}

// whole is all of a volume.
func whole(f *ext.FS) extfs.Ranges { return extfs.Ranges{{Start: 0, End: f.Info().Size}} }

// compareOwners compares the owner of each block with what debugfs says.
func compareOwners(t *testing.T, f *ext.FS, image string) {
	t.Helper()
	info := f.Info()
	blocks := info.Size / info.BlockSize
	owner := make([]extfs.Piece, blocks)
	sum := int64(0)
	for p, err := range extfs.Owners(f, whole(f)) {
		if err != nil {
			t.Error(err)
			continue
		}
		if p.Use == extfs.Unowned {
			t.Errorf("nobody owns %+v", p)
		}
		if p.Again {
			continue
		}
		sum += p.Len()
		for b := p.Start / info.BlockSize; b < (p.End+info.BlockSize-1)/info.BlockSize; b++ {
			owner[b] = p
		}
	}
	if sum != info.Size {
		t.Errorf("the pieces have %d bytes, expected %d", sum, info.Size)
	}
	bigalloc := strings.Contains(strings.Join(info.Features, " "), "bigalloc")
	var ask []int64
	for b, p := range owner {
		if p.Use != extfs.Free && p.Use != extfs.Journal || b%64 == 0 {
			ask = append(ask, int64(b))
		}
	}
	for b, n := range icheck(t, image, ask) {
		switch p := owner[b]; {
		case n == 7 && (p.Use == extfs.Other || p.Use == extfs.Groups) && p.Ino == 0: // the space for more group descriptors
		case n == 8 && p.Use == extfs.Journal:
		case n == 0 && bigalloc && p.Use == extfs.Unwritten: // the rest of a cluster
		case n != p.Ino:
			t.Errorf("block %d has owner %+v, expected inode %d", b, p, n)
		}
	}
}

// icheck are the inodes that own blocks, as debugfs finds them.
func icheck(t *testing.T, image string, blocks []int64) map[int64]extfs.Ino {
	t.Helper()
	var commands []string
	for part := range slices.Chunk(blocks, 1000) {
		commands = append(commands, "icheck "+strings.Trim(fmt.Sprint(part), "[]"))
	}
	owners := map[int64]extfs.Ino{}
	for _, answer := range debugfs(t, image, false, commands...) {
		for line := range strings.Lines(answer) {
			f := strings.Split(strings.TrimSpace(line), "\t")
			if b, err := strconv.ParseInt(f[0], 10, 64); err == nil {
				n, _ := strconv.ParseUint(f[1], 10, 32) // or "<block not found>"
				owners[b] = extfs.Ino(n)
			}
		}
	}
	if len(owners) != len(blocks) {
		t.Fatalf("%d answers of %d", len(owners), len(blocks))
	}
	return owners
}

// compareLayout looks at a file system sector by sector: each piece is a part of what the whole has there.
func compareLayout(t *testing.T, f *ext.FS) {
	t.Helper()
	var last extfs.Piece
	var inodes extfs.Ino
	for p, err := range f.Layout(extfs.Ranges{{Start: 0, End: f.Info().Size + 4096}}) {
		if err != nil || p.Start != last.End {
			t.Errorf("%+v behind %+v: %v", p, last, err)
		}
		last = p
		for at := p.Start; at < p.End; at += max(512, (p.End-p.Start)/7/512*512) {
			one := extfs.Range{Start: at, End: min(at+512, p.End)}
			for q, err := range f.Layout(extfs.Ranges{one}) {
				if err != nil || q.Range != one || q.Use != p.Use {
					t.Errorf("%+v: %+v, %v, expected a part of %+v", one, q, err, p)
				}
				for n := q.First; n < q.First+extfs.Ino(q.Count); n++ {
					if slot, err := f.Slot(n); err != nil || slot.Both(one).Len() <= 0 {
						t.Errorf("inode %d lies in %+v, %v, not in %+v", n, slot, err, one)
					}
				}
			}
		}
		inodes += extfs.Ino(p.Count)
	}
	if last.End != f.Info().Size+4096 || uint64(inodes) != f.Info().Inodes {
		t.Errorf("the last piece is %+v, with %d inodes, of %+v", last, inodes, f.Info())
	}
}
