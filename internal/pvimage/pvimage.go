// Package pvimage makes images of LVM physical volumes, for tests: a label, metadata areas
// with a text in them, and zeros. It is written from the description in package lvm, and
// shares no code with it.
package pvimage

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// Volume says what image to make.
type Volume struct {
	UUID  string // with dashes
	Size  int64  // in bytes, a multiple of 512
	Label int    // the sector that the label is in, 0 to 3; LVM's is 1
	Areas []Area // of metadata
	Used  bool   // the header says that it is part of a group
}

// Area is a metadata area.
type Area struct {
	Offset, Size int64 // in bytes
	Start        int64 // of the text in the area; 0 for no text
	Ignored      bool
	Text         string // without the zero byte that LVM ends it with
}

// Usual is a volume as pvcreate makes it: the label in sector 1, one area of a mebibyte.
func Usual(uuid string, size int64, text string) Volume {
	return Volume{UUID: uuid, Size: size, Label: 1, Areas: []Area{{Offset: 4096, Size: 1<<20 - 4096, Start: 512, Text: text}}}
}

// Image is the image.
func (v Volume) Image() []byte {
	b := make([]byte, v.Size)
	label := b[v.Label*512:][:512]
	copy(label, "LABELONE")
	le := binary.LittleEndian
	le.PutUint64(label[8:], uint64(v.Label))
	le.PutUint32(label[20:], 32)
	copy(label[24:], "LVM2 001")
	copy(label[32:], strings.ReplaceAll(v.UUID, "-", ""))
	le.PutUint64(label[64:], uint64(v.Size))
	le.PutUint64(label[72:], 1<<20) // one area of data, and the list's end
	at := label[72+32:]
	for _, a := range v.Areas {
		le.PutUint64(at, uint64(a.Offset))
		le.PutUint64(at[8:], uint64(a.Size))
		at = at[16:]
		a.write(b[a.Offset:][:a.Size])
	}
	if v.Used {
		le.PutUint32(at[16:], 2) // version of the header's extension
		le.PutUint32(at[20:], 1)
	}
	le.PutUint32(label[16:], sum(label[20:]))
	return b
}

func (a Area) write(b []byte) {
	le := binary.LittleEndian
	head := b[:512]
	copy(head[4:], " LVM2 x[5A%r0N*>")
	le.PutUint32(head[20:], 1)
	le.PutUint64(head[24:], uint64(a.Offset))
	le.PutUint64(head[32:], uint64(a.Size))
	if a.Start > 0 {
		text := []byte(a.Text + "\x00")
		le.PutUint64(head[40:], uint64(a.Start))
		le.PutUint64(head[48:], uint64(len(text)))
		le.PutUint32(head[56:], sum(text))
		n := copy(b[a.Start:], text)
		copy(b[512:], text[n:])
	}
	if a.Ignored {
		le.PutUint32(head[60:], 1)
	}
	le.PutUint32(head, sum(head[4:]))
}

// sum is LVM's checksum: CRC-32 as everybody's, begun with another number, and not inverted.
func sum(b []byte) uint32 {
	crc := uint32(0xf597a6cf)
	for _, c := range b {
		crc = crc>>8 ^ crc32.IEEETable[byte(crc)^c]
	}
	return crc
}

// Seal gives the label in sector 1, and the metadata areas that it names, checksums that
// fit what is there, as far as that is within the image.
func Seal(b []byte) {
	if len(b) < 1024 {
		return
	}
	le := binary.LittleEndian
	label := b[512:1024]
	for at := 104; at+16 <= len(label); at += 16 {
		offset, size := le.Uint64(label[at:]), le.Uint64(label[at+8:])
		if offset == 0 {
			break
		}
		if size < 512 || offset > uint64(len(b)) || size > uint64(len(b))-offset {
			continue
		}
		area := b[offset:][:size]
		if text := textIn(area); text != nil {
			le.PutUint32(area[56:], sum(text))
		}
		le.PutUint32(area, sum(area[4:512]))
	}
	le.PutUint32(label[16:], sum(label[20:]))
}

// textIn is the text that the header of an area tells of, nil where that is none.
func textIn(area []byte) []byte {
	le := binary.LittleEndian
	start, size, end := le.Uint64(area[40:]), le.Uint64(area[48:]), le.Uint64(area[32:])
	if end > uint64(len(area)) || start < 512 || start >= end || size > end-512 {
		return nil
	}
	first := min(size, end-start)
	return append(append([]byte{}, area[start:][:first]...), area[512:][:size-first]...)
}
