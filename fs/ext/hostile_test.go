package ext_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	extfs "dmcow/fs"
	"dmcow/fs/ext"
)

// counting is a volume that counts what is read.
type counting struct {
	extfs.Volume
	read int64
}

func (c *counting) ReadAt(p []byte, offset int64) (int, error) {
	c.read += int64(len(p))
	return c.Volume.ReadAt(p, offset)
}

// TestHostile has volumes made to keep a reader busy: trees that lead back into themselves, directories and files that have
// the same blocks again and again. No pass over all of it reads more than some times the volume.
func TestHostile(t *testing.T) {
	const block = 1024
	words := func(w ...uint32) (b []byte) {
		for _, n := range w {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
		return b
	}
	for _, c := range []struct {
		name     string
		commands []string
		patch    func(image []byte) // what debugfs cannot write
		damage   string
	}{
		{"indirect blocks in a circle", []string{"sif f block[TIND] 3000", "sif f block[DIND] 3000", "sif f block[IND] 3000", "sif f size 0x3ffffffff"},
			func(image []byte) { copy(image[3000*block:], slices.Repeat(words(3000), 256)) }, "is there twice"},
		{"indirect blocks for each other", []string{"sif f block[TIND] 3000", "sif f size 0x3ffffffff"},
			func(image []byte) {
				for n := range 500 {
					copy(image[(3000+n)*block:], slices.Repeat(words(uint32(3000+(n*7+1)%500), uint32(3000+(n*11+3)%500)), 128))
				}
			}, "is there twice"},
		{"a directory of one block", []string{"sif d block[TIND] 3000", "sif d size 0x7fffffff"},
			func(image []byte) {
				copy(image[3000*block:], slices.Repeat(words(3001), 256))
				copy(image[3001*block:], slices.Repeat(words(3002), 256))
				copy(image[3002*block:], slices.Repeat(words(3003), 256))
			}, "is there twice"},
		{"a directory of the same blocks", []string{"sif d block[IND] 3000", "sif d block[DIND] 3001", "sif d size 0x7fffffff"},
			func(image []byte) {
				copy(image[3000*block:], slices.Repeat(words(3500), 256))
				for n := range 256 {
					copy(image[3001*block+4*n:], words(uint32(4000+n)))
					copy(image[(4000+n)*block:], slices.Repeat(words(3500), 256))
				}
			}, "more blocks than the file system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := small(t, "8M", "-t", "ext2", "-b", "1024", "-N", "64")
			content, _ := random(t, 1, 3000)
			debugfs(t, path, true, append([]string{"write " + content + " f", "mkdir d"}, c.commands...)...)
			image := readFile(t, path)
			c.patch(image)
			v := &counting{Volume: inMemory(image)}
			f, err := ext.Open(v, ext.Options{})
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for i, err := range f.Inodes(0) {
				if err != nil {
					t.Fatal(err)
				}
				for _, err := range i.Extents() {
					damage := (*extfs.DamageError)(nil)
					found = found || errors.As(err, &damage) && strings.Contains(err.Error(), c.damage)
				}
				for range i.Entries() {
				}
			}
			if !found {
				t.Errorf("nothing says that it has %q", c.damage)
			}
			if limit := int64(len(image)) * 4; v.read > limit {
				t.Errorf("%d bytes were read, of %d", v.read, len(image))
			}
		})
	}
}

// TestHostileDirectories is a tree that has no end, if each name is followed.
func TestHostileDirectories(t *testing.T) {
	path := small(t, "8M", "-t", "ext4", "-b", "1024")
	var commands []string
	for n := range 8 {
		commands = append(commands, fmt.Sprintf("mkdir d%d", n))
	}
	for n := range 8 {
		for k := range 8 {
			commands = append(commands, fmt.Sprintf("ln d%d d%d/to%d", k, n, k))
		}
	}
	debugfs(t, path, true, commands...)
	f := mounted(t, path)
	steps := 0
	for _, err := range extfs.Walk(f, f.Root()) {
		if err != nil {
			t.Error(err)
		}
		steps++
	}
	if steps != 1+8+64 {
		t.Errorf("%d steps", steps)
	}
}

// TestErrorsNote: a file system that the kernel has found errors in says so.
func TestErrorsNote(t *testing.T) {
	path := small(t, "8M", "-t", "ext4", "-b", "1024")
	debugfs(t, path, true, "ssv state 2")
	if notes := mounted(t, path).Info().Notes; len(notes) != 1 || !strings.Contains(notes[0], "errors") {
		t.Errorf("%q", notes)
	}
}
