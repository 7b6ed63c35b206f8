package integrity_test

import (
	"bytes"
	"errors"
	"hash/crc32"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/integrity"
)

// tagged is metadata with an empty journal, or with these sections, and checksums of so many bytes of the data.
func tagged(data []byte, size int, sections ...section) []byte {
	if sections == nil {
		sections = []section{{}, {}}
	}
	b := image(sections...)
	le.PutUint16(b[10:], uint16(size))
	for s := range dataSectors {
		sum := crc32.Checksum(append(le.AppendUint64(nil, uint64(s)), data[s*512:][:512]...), crc32.MakeTable(crc32.Castagnoli))
		b = append(b, append(le.AppendUint32(nil, sum), make([]byte, 8)...)[:size]...)
	}
	return b
}

// TestChecksums: what is asked for is read up to the first block whose checksum does not hold, wherever that begins and
// ends; a block that the journal has is not one of these.
func TestChecksums(t *testing.T) {
	data := devicetest.Numbered(dataSectors * 512)
	const bad, journaled = 17, 5
	metadata := tagged(data, 4, one(3, journaled, 'j'), section{sequence: 2})
	want := bytes.Clone(data)
	copy(want[journaled*512:], bytes.Repeat([]byte{'j'}, 512))
	data[bad*512+100] ^= 1
	data[journaled*512] ^= 1
	i, err := integrity.Open(bytes.NewReader(metadata))
	if err != nil {
		t.Fatal(err)
	}
	d := i.Volume(bytes.NewReader(data), "crc32c")
	for _, from := range []int{0, 1, 511, 512, 5 * 512, 16 * 512, 17*512 - 1, 17 * 512, 17*512 + 200, 18*512 - 1, 18 * 512, 20*512 + 9} {
		for _, length := range []int{1, 2, 511, 512, 513, 1024, 5000, len(data) - 20*512 - 9} {
			end := min(from+length, len(want))
			if from < (bad+1)*512 {
				end = max(min(end, bad*512), from)
			}
			p := make([]byte, length)
			n, err := d.ReadAt(p, int64(from))
			if n != end-from || !bytes.Equal(p[:n], want[from:end]) || errors.Is(err, integrity.ErrChecksum) != (n < length && from < (bad+1)*512) || (err == nil) != (n == length) {
				t.Errorf("%d bytes from %d on: %d, %v, want %d", length, from, n, err, end-from)
			}
		}
	}
}

// TestChecksumsThatCount: which checksums are looked at.
func TestChecksumsThatCount(t *testing.T) {
	data := devicetest.Numbered(dataSectors * 512)
	damaged := bytes.Clone(data)
	damaged[10*512] ^= 1
	flagged := func(flags uint32, upTo uint64) func([]byte) {
		return func(b []byte) { le.PutUint32(b[24:], flags); le.PutUint64(b[32:], upTo) }
	}
	for _, c := range []struct {
		name   string
		hash   string
		size   int
		change func(b []byte)
		read   int
	}{
		{"as they are", "crc32c", 4, nil, 10}, {"longer", "crc32c", 8, nil, 10}, {"cut off", "crc32c", 2, nil, 10},
		{"another hash", "sha256", 4, nil, dataSectors}, {"none", "", 4, nil, dataSectors},
		{"while they are made", "crc32c", 4, flagged(2, 10), dataSectors}, {"when that one is made", "crc32c", 4, flagged(2, 11), 10},
		{"a bitmap", "crc32c", 4, flagged(4, 0), dataSectors}, {"with a salt", "crc32c", 4, flagged(16, 0), dataSectors},
		{"discarded", "crc32c", 4, func(b []byte) { copy(b[len(b)-4*(dataSectors-10):], "\xf6\xf6\xf6\xf6") }, dataSectors},
		{"a wrong one", "crc32c", 4, func(b []byte) { b[len(b)-4*(dataSectors-3)] ^= 1 }, 3},
	} {
		metadata := tagged(data, c.size)
		if c.change != nil {
			c.change(metadata)
		}
		i, err := integrity.Open(bytes.NewReader(metadata))
		if err != nil {
			t.Fatal(c.name, err)
		}
		p := make([]byte, len(data))
		n, err := i.Volume(bytes.NewReader(damaged), c.hash).ReadAt(p, 0)
		if n != c.read*512 || !bytes.Equal(p[:n], damaged[:n]) || (err == nil) != (c.read == dataSectors) {
			t.Errorf("%s: %d bytes, %v, want %d", c.name, n, err, c.read*512)
		}
	}
	i, err := integrity.Open(bytes.NewReader(tagged(data, 4)[:journalAt+2*sectionSectors*512+10]))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := i.Volume(bytes.NewReader(data), "crc32c").ReadAt(make([]byte, len(data)), 0); n != 0 || err == nil {
		t.Errorf("without checksums: %d, %v", n, err)
	}
}
