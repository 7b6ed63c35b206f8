package integrity_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"dmcow/internal/integrity"
)

var le = binary.LittleEndian

// Of the images: blocks of one sector and tags of four bytes, so that an entry has 24 bytes and a section 168
// entries, on 8 sectors, and as many with data.
const (
	perSection     = 168
	sectionSectors = 8 + perSection
	journalAt      = 4096
	dataSectors    = 40
)

// section is a section of the journal: its sequence number, and a letter for the sectors of each entry that
// is in use.
type section struct {
	sequence uint64
	entries  []used
}

type used struct {
	sector uint64
	letter byte
}

// image is metadata with sections in its journal.
func image(sections ...section) []byte {
	b := make([]byte, journalAt+len(sections)*sectionSectors*512)
	copy(b, "integrt\x00")
	b[8] = 2
	le.PutUint16(b[10:], 4)
	le.PutUint32(b[12:], uint32(len(sections)))
	le.PutUint64(b[16:], dataSectors)
	for i, s := range sections {
		at := b[journalAt+i*sectionSectors*512:][:sectionSectors*512]
		for n := range perSection {
			e := at[n%8*512+n/8*24:]
			le.PutUint64(e, 1<<64-1)
			if n < len(s.entries) {
				le.PutUint64(e, s.entries[n].sector)
				copy(e[8:16], bytes.Repeat([]byte{s.entries[n].letter}, 8))
				copy(at[(8+n)*512:], bytes.Repeat([]byte{s.entries[n].letter}, 512))
			}
		}
		for j := range sectionSectors {
			le.PutUint64(at[j*512+504:], 0x1111111111111111*(1+s.sequence)^uint64(i)<<32^uint64(j))
		}
	}
	return b
}

// letters are the first sectors of the volume, "." for the data device's.
func letters(t *testing.T, b []byte) string {
	t.Helper()
	i, err := integrity.Open(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	d := i.Volume(bytes.NewReader(bytes.Repeat([]byte{'.'}, dataSectors*512)), "")
	all, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
	if err != nil || int64(len(all)) != d.Size() {
		t.Fatal(len(all), err)
	}
	text := ""
	for s := range dataSectors {
		sector := all[s*512:][:512]
		if !bytes.Equal(sector, bytes.Repeat(sector[:1], 512)) {
			t.Fatalf("sector %d has several letters", s)
		}
		text += string(sector[:1])
	}
	return strings.TrimRight(text, ".")
}

func one(sequence, sector uint64, letter byte) section {
	return section{sequence, []used{{sector, letter}}}
}

// TestReplay: what is replayed begins behind the last section of the highest sequence number, and ends before the
// first one that was not written whole; the newest entry of a sector counts.
func TestReplay(t *testing.T) {
	// change changes the commit ID of a sector.
	change := func(b []byte, section, sector int, by uint64) []byte {
		at := b[journalAt+(section*sectionSectors+sector)*512+504:]
		le.PutUint64(at, le.Uint64(at)^by)
		return b
	}
	bitmap := image(one(1, 1, 'a'), section{})
	bitmap[24] = 4
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", image(section{}, section{}, section{}), ""},
		{"first round", image(one(3, 1, 'a'), section{sequence: 2}, section{sequence: 2}), ".a"},
		{"first round, to its end", image(one(3, 1, 'a'), one(3, 2, 'b'), one(3, 0, 'c')), "cab"},
		{"second round", image(one(0, 1, 'a'), one(3, 2, 'b'), one(3, 0, 'c')), "cab"},
		{"third round", image(one(1, 1, 'a'), one(1, 2, 'b'), one(0, 5, 'c')), ".ab..c"},
		{"one sector, several times", image(one(2, 1, 'a'), section{1, []used{{1, 'b'}, {1, 'c'}}}, one(1, 2, 'd')), ".ad"},
		{"the same, later", image(one(1, 2, 'd'), section{1, []used{{1, 'b'}, {1, 'c'}}}, one(0, 1, 'a')), ".cd"},
		{"behind the data", image(section{1, []used{{dataSectors, 'x'}, {dataSectors - 1, 'y'}, {1 << 60, 'z'}}}, section{}), strings.Repeat(".", dataSectors-1) + "y"},
		{"torn", change(image(one(0, 1, 'a'), one(0, 2, 'b'), one(3, 3, 'c')), 1, 100, 0x5555555555555555), ".a.c"},
		{"torn at once", change(image(one(3, 1, 'a'), section{sequence: 2}), 0, 100, 0x7777777777777777), ""},
		{"not a journal", change(image(one(1, 1, 'a'), section{}), 1, 3, 1), ""},
		{"a round is missing", image(one(2, 1, 'a'), one(0, 2, 'b')), ""},
		{"a bitmap", bitmap, ""},
	} {
		if got := letters(t, c.b); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestManyEntries: an entry is where its number says, from the first to the last of a section.
func TestManyEntries(t *testing.T) {
	var all []used
	for n := range perSection {
		all = append(all, used{uint64(n % dataSectors), 'a' + byte(n%26)})
	}
	want := ""
	for s := range dataSectors {
		n := (perSection-1-s)/dataSectors*dataSectors + s
		want += string(rune('a' + n%26))
	}
	if got := letters(t, image(section{1, all}, section{})); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestRefused: what is not the target's metadata, or damaged.
func TestRefused(t *testing.T) {
	set := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { le.PutUint32(b[at:], v); return b }
	}
	none := integrity.ErrNoSuperblock.Error()
	for _, c := range []struct {
		change func([]byte) []byte
		want   string
	}{
		{set(32, 5), ""}, {set(0, 0), none}, {func(b []byte) []byte { return b[:4095] }, none},
		{set(8, 0), "version 0"}, {set(8, 7), "version 7"}, {set(28, 4), "2^4 sectors"}, {set(20, 1<<31), "version"},
		{set(8, 2|600<<16), "with 0 entries of 616 bytes"}, {set(12, 0), "a journal of 0 sections"}, {set(12, 3), "a journal of 3 sections with 168 entries of 24 bytes does not fit"},
		{set(12, 1<<32-1), "does not fit"},
		{func([]byte) []byte { return image(one(0, 1, 'a'), one(1, 1, 'a'), one(2, 1, 'a'), one(3, 1, 'a')) }, "all sequence numbers"},
	} {
		if _, err := integrity.Open(bytes.NewReader(c.change(image(one(1, 1, 'a'), section{})))); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// FuzzJournal: whatever the metadata is, a volume is read or refused.
func FuzzJournal(f *testing.F) {
	small := image(one(3, 1, 'a'), section{sequence: 2})
	f.Add(small[:journalAt], []byte(nil), uint32(0))
	f.Add(small, []byte{1, 2, 3}, uint32(journalAt))
	data := bytes.Repeat([]byte{'.'}, dataSectors*512+100)
	f.Fuzz(func(t *testing.T, b, patch []byte, at uint32) {
		if int(at) < len(b) {
			copy(b[at:], patch)
		}
		i, err := integrity.Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		if i.Journaled() > len(b)/16 {
			t.Errorf("%d blocks in %d bytes", i.Journaled(), len(b))
		}
		d := i.Volume(bytes.NewReader(data), "")
		if n, err := d.ReadAt(make([]byte, d.Size()), 0); n != len(data) || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		d = i.Volume(bytes.NewReader(data), "crc32c")
		if n, err := d.ReadAt(make([]byte, d.Size()-7), 3); (n == len(data)-7) != (err == nil) {
			t.Errorf("with checksums, %d bytes, %v", n, err)
		}
	})
}
