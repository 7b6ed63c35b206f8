package cmd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// wantedFiles are what files is to say of what differs between two walks: what may become of a file, by its number
// and its first name.
func wantedFiles(then, now map[uint64]*known) map[string][]string {
	want := map[string][]string{}
	same := func(a, b *known) bool { return a.born == b.born && a.st.Mode&unix.S_IFMT == b.st.Mode&unix.S_IFMT }
	for n, x := range then {
		if y := now[n]; y == nil || !same(x, y) {
			want["- "+x.names[0]] = []string{"deleted"}
		}
	}
	// Without the time of their creation, nothing outside tells two that had the same number from each other.
	alike := func(a, b *known) bool {
		kind := a.st.Mode & unix.S_IFMT
		return a.born == b.born && strings.HasPrefix(a.born, "{0 0") && kind != unix.S_IFREG && kind != unix.S_IFDIR && a.st.Ctim != b.st.Ctim
	}
	for n, y := range now {
		x := then[n]
		key := "+ " + y.names[0]
		isDir := y.st.Mode&unix.S_IFMT == unix.S_IFDIR
		within := func(a, b []string) bool {
			return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
		}
		base := func(k *known) (all []string) { // of a directory that was renamed, what is in it keeps its names
			for _, s := range k.names {
				all = append(all, s[strings.LastIndexByte(s, '/'):])
			}
			return all
		}
		switch {
		case x == nil || !same(x, y):
			want[key] = []string{"created"}
		case alike(x, y):
			want["- "+x.names[0]] = []string{"deleted", ""}
			want[key] = []string{"created", "renamed", "linked", "attributes", "changed"}
		case !isDir && (x.content != y.content || x.st.Size != y.st.Size):
			want[key] = []string{"changed"}
		case !slices.Equal(x.names, y.names) && (isDir || x.st.Ctim != y.st.Ctim):
			want[key] = []string{"renamed"}
			if within(x.names, y.names) || within(y.names, x.names) {
				want[key] = []string{"linked"}
			}
			if slices.Equal(base(x), base(y)) { // it, or a directory above it
				want[key] = append(want[key], "attributes", "", "linked")
			}
			if !isDir {
				want[key] = append(want[key], "changed if neighbours")
			}
		case x.st.Mode != y.st.Mode || x.st.Uid != y.st.Uid || x.st.Gid != y.st.Gid || x.xattrs != y.xattrs:
			want[key] = []string{"attributes"}
			if !isDir {
				want[key] = append(want[key], "changed if neighbours")
			}
		case !isDir && x.st.Ctim != y.st.Ctim:
			want[key] = []string{"attributes", "changed if neighbours"}
		}
	}
	return want
}

// compareFiles compares what files says of a snapshot with two walks.
func compareFiles(t *testing.T, cow, origin string, then, now map[uint64]*known) {
	t.Helper()
	var found struct {
		Files []struct {
			Change, Path string
			Bytes        *[]byte `json:"path_base64"`
			Changed      int64   `json:"changed_bytes"`
			Size         *int64
			OldSize      *int64 `json:"old_size"`
			Inode        uint64
		}
	}
	out, _ := expect(t, 0, "files", cow, "--origin", origin, "-o", "json")
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatal(err)
	}
	want := wantedFiles(then, now)
	for _, f := range found.Files {
		if f.Bytes != nil {
			f.Path = string(*f.Bytes)
		}
		key, walked := "+ "+f.Path, now
		if f.Change == "deleted" {
			key, walked = "- "+f.Path, then
		}
		allowed, ok := want[key]
		delete(want, key)
		if !slices.Contains(allowed, f.Change) && !(f.Change == "changed" && f.Changed > 0 && slices.Contains(allowed, "changed if neighbours")) {
			t.Errorf("%s %q, inode %d: expected %q (%v)", f.Change, f.Path, f.Inode, allowed, ok)
		}
		x := walked[f.Inode]
		if x == nil || x.names[0] != f.Path {
			t.Errorf("%s %q: inode %d is %+v", f.Change, f.Path, f.Inode, x)
			continue
		}
		size := f.Size
		if f.Change == "deleted" {
			size = f.OldSize
		}
		if size == nil || *size != x.st.Size {
			t.Errorf("%s %q: size %v, is %d", f.Change, f.Path, size, x.st.Size)
		}
	}
	for key, kinds := range want {
		if !slices.Contains(kinds, "") {
			t.Errorf("%q is not told: %q", key, kinds)
		}
	}
	if len(found.Files) < 20 {
		t.Errorf("only %d files differ", len(found.Files))
	}
}

// compareCopies compares a tree with its copy.
func compareCopies(t *testing.T, want, got map[uint64]*known) {
	t.Helper()
	byName := func(all map[uint64]*known) map[string]*known {
		names := map[string]*known{}
		for _, x := range all {
			names[x.names[0]] = x
		}
		return names
	}
	copies := byName(got)
	for name, x := range byName(want) {
		y := copies[name]
		if y == nil {
			t.Errorf("%q was not copied", name)
			continue
		}
		delete(copies, name)
		a, b := x.st, y.st
		isDir := a.Mode&unix.S_IFMT == unix.S_IFDIR
		if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev || a.Mtim != b.Mtim || !isDir && (a.Size != b.Size || a.Nlink != b.Nlink) ||
			x.content != y.content || x.xattrs != y.xattrs || !slices.Equal(x.names, y.names) {
			t.Errorf("%q: was %.400q, is %.400q", name, fmt.Sprintf("%+v", *x), fmt.Sprintf("%+v", *y))
		}
		if had, has := dataBytes(t, x.holes), dataBytes(t, y.holes); has > had {
			t.Errorf("%q: had data at %s, has it at %s", name, x.holes, y.holes)
		}
	}
	for name := range copies {
		t.Errorf("%q was made up", name)
	}
}

// compareSums holds the sums of usage --by-file to the size of the chunks.
func compareSums(t *testing.T, cow, origin string) {
	t.Helper()
	var found struct {
		Bytes    int64 `json:"data_bytes"`
		Snapshot map[string]int64
		Origin   map[string]int64 `json:"on_origin"`
	}
	out, _ := expect(t, 0, "usage", "--by-file", cow, "--origin", origin, "-o", "json")
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatal(err)
	}
	var used []struct {
		Exceptions int64
		Chunk      int64 `json:"chunk_sectors"`
	}
	out, _ = expect(t, 0, "usage", cow, "-o", "json")
	if err := json.Unmarshal([]byte(out), &used); err != nil {
		t.Fatal(err)
	}
	for _, side := range []map[string]int64{found.Snapshot, found.Origin} {
		var sum int64
		for _, n := range side {
			sum += n
		}
		if sum != found.Bytes || sum != used[0].Exceptions*used[0].Chunk*512 || side["unowned"] != 0 {
			t.Errorf("%v: %d bytes, of %d exceptions of %d sectors", side, sum, used[0].Exceptions, used[0].Chunk)
		}
	}
}

// dataBytes is how much data such a text tells of, in blocks of 4 KiB.
func dataBytes(t *testing.T, text string) (blocks int64) {
	t.Helper()
	last := int64(-1)
	for part := range strings.FieldsSeq(text) {
		var start, end int64
		if _, err := fmt.Sscanf(part, "%d-%d", &start, &end); err != nil {
			t.Fatal(part)
		}
		blocks += (end+4095)/4096 - max(start/4096, last)
		last = (end + 4095) / 4096
	}
	return blocks
}
