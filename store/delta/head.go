package delta

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/label"
	"dmcow/store/look"
)

const (
	magic    = "dmcow delta"
	endMagic = "dmcow delta end"
	version  = 1

	kindMask      = 0xff
	flagAllChunks = 1 << 8

	bytesAt  = label.Own
	baseAt   = 48
	sourceAt = 56
	sumAt    = label.Size
	chunkAt  = sumAt + sha256.Size
	lengthAt = chunkAt + 4
	namesAt  = lengthAt + 4

	// mostLength is the length of the longest beginning, in bytes.
	mostLength = namesAt + 4*(2+MaxName)

	endCountAt = 16
	endSumAt   = 24
)

// names are the texts of a beginning, in order.
func (h *Head) names() []*string {
	return []*string{&h.Base.Name, &h.Base.UUID, &h.Source.Name, &h.Source.UUID}
}

func cut(name string) string { return name[max(0, len(name)-MaxName):] }

// length is the length of the beginning, in bytes.
func (h Head) length() format.Bytes {
	n := namesAt
	for _, name := range h.names() {
		n += 2 + len(cut(*name))
	}
	return format.Bytes(n)
}

// encode is the beginning, in whole chunks.
func (h Head) encode() []byte {
	flags := uint32(h.Kind)
	if h.AllChunks {
		flags |= flagAllChunks
	}
	b := make([]byte, namesAt, raw.RoundUp(h.length(), h.Geometry.ChunkBytes()))
	label.Head{Magic: magic, Size: h.Size, Flags: flags, Version: version, Count: h.Count}.Encode(b)
	binary.LittleEndian.PutUint64(b[bytesAt:], uint64(h.Bytes))
	binary.LittleEndian.PutUint64(b[baseAt:], uint64(h.Base.Moment))
	binary.LittleEndian.PutUint64(b[sourceAt:], uint64(h.Source.Moment))
	binary.LittleEndian.PutUint32(b[chunkAt:], uint32(h.Geometry.ChunkSectors()))
	binary.LittleEndian.PutUint32(b[lengthAt:], uint32(h.length()))
	for _, name := range h.names() {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(cut(*name))))
		b = append(b, cut(*name)...)
	}
	sum := sha256.Sum256(b)
	copy(b[sumAt:], sum[:])
	return b[:cap(b)]
}

// decodeHead reads a beginning: b is its chunks, or the first of them, where it says that there are more. The error is
// [ErrNoDelta], a [*VersionError], or what is wrong with it. Without an error, need is how many bytes there
// should have been, 0 where they were there.
func decodeHead(b []byte, g format.Geometry) (h Head, need format.Bytes, err error) {
	l, err := label.Decode(b, magic)
	switch {
	case err != nil:
		return h, 0, ErrNoDelta
	case l.Version != version:
		return h, 0, &VersionError{l.Version}
	}
	length := format.Bytes(binary.LittleEndian.Uint32(b[lengthAt:]))
	if length < namesAt || length > mostLength {
		return h, 0, errors.New("its beginning has an impossible length")
	}
	if whole := raw.RoundUp(length, g.ChunkBytes()); whole > format.Bytes(len(b)) {
		return h, whole, nil
	}
	if !isSummed(b[:length]) || !raw.IsZero(b[length:]) {
		return h, 0, errors.New("its beginning is not what its checksum says")
	}
	h = Head{
		Kind: Kind(l.Flags & kindMask), AllChunks: l.Flags&flagAllChunks != 0, Geometry: g, Size: l.Size, Count: l.Count,
		Bytes: format.Bytes(binary.LittleEndian.Uint64(b[bytesAt:])),
	}
	h.Base.Moment = int64(binary.LittleEndian.Uint64(b[baseAt:]))
	h.Source.Moment = int64(binary.LittleEndian.Uint64(b[sourceAt:]))
	if err := h.decodeNames(b[namesAt:length]); err != nil {
		return h, 0, err
	}
	switch {
	case l.Flags&^(kindMask|flagAllChunks) != 0 || h.Kind < Forward || h.Kind > Full:
		return h, 0, fmt.Errorf("its beginning has flags %#x, which its version does not", l.Flags)
	case binary.LittleEndian.Uint32(b[chunkAt:]) != uint32(g.ChunkSectors()):
		return h, 0, errors.New("its header has another chunk size than its beginning")
	}
	return h, 0, h.check()
}

// isSummed reports whether a beginning has its SHA-256.
func isSummed(b []byte) bool {
	var zeros [sha256.Size]byte
	s := sha256.New()
	s.Write(b[:sumAt])
	s.Write(zeros[:])
	s.Write(b[chunkAt:])
	return [sha256.Size]byte(s.Sum(nil)) == [sha256.Size]byte(b[sumAt:])
}

func (h *Head) decodeNames(b []byte) error {
	for _, name := range h.names() {
		if len(b) < 2 || len(b)-2 < int(binary.LittleEndian.Uint16(b)) {
			return errors.New("its beginning has names that do not fit it")
		}
		n := int(binary.LittleEndian.Uint16(b))
		*name, b = string(b[2:2+n]), b[2+n:]
	}
	if len(b) > 0 {
		return errors.New("its beginning is longer than its names")
	}
	return nil
}

// check wants numbers that can be: everything that is counted is bounded then.
func (h Head) check() error {
	chunk := h.Geometry.ChunkBytes()
	switch {
	case h.Size == 0 || h.Size > math.MaxInt64:
		return fmt.Errorf("it is for a device of %d bytes", h.Size)
	case h.Count > uint64((h.Size-1)/chunk)+1:
		return fmt.Errorf("it has %d chunks for a device of %d bytes", h.Count, h.Size)
	case h.Bytes > format.Bytes(h.Count)*chunk || h.Bytes+chunk <= format.Bytes(h.Count)*chunk && h.Count > 0:
		return fmt.Errorf("it has %d bytes in %d chunks", h.Bytes, h.Count)
	}
	return nil
}

// ContentSize is how many bytes a chunk has as far as the device goes: fewer than others only the last.
func (h Head) ContentSize(old format.OldChunk) format.Bytes {
	return min(h.Geometry.ChunkBytes(), h.Size-format.Bytes(old)*h.Geometry.ChunkBytes())
}

// Find reads the beginning of the delta on a device. The error is [ErrNoDelta], a [*VersionError], a
// [*DamagedError], or one of reading.
func Find(d look.Device) (Head, error) {
	id, err := look.Identify(d, look.FreshGeometry(d))
	if err != nil {
		return Head{}, err
	}
	g := id.Geometry
	if g.IsZero() || g.ChunkSectors() > MaxChunk {
		return Head{}, ErrNoDelta
	}
	if _, err := label.First(d, g, magic); errors.Is(err, label.ErrNone) {
		return Head{}, ErrNoDelta
	} else if err != nil {
		return Head{}, err
	}
	b := make([]byte, min(raw.RoundUp(mostLength, g.ChunkBytes()), format.Bytes(d.Size())-g.Offset(format.FirstData)))
	if err := raw.ReadFull(d, b, g.Offset(format.FirstData)); err != nil {
		return Head{}, fmt.Errorf("beginning of the delta at byte %d: %w", g.Offset(format.FirstData), err)
	}
	if n := lengthOf(b, g); n < format.Bytes(len(b)) {
		b = b[:n]
	}
	h, need, err := decodeHead(b, g)
	if need > 0 {
		err = &CutError{Offset: format.Bytes(d.Size())}
	}
	return h, damaged(g.Offset(format.FirstData), err)
}

// lengthOf is how long a beginning says that its chunks are.
func lengthOf(b []byte, g format.Geometry) format.Bytes {
	if len(b) < namesAt {
		return format.Bytes(len(b))
	}
	return max(g.ChunkBytes(), raw.RoundUp(format.Bytes(binary.LittleEndian.Uint32(b[lengthAt:])), g.ChunkBytes()))
}

// encodeEnd is the end's chunk.
func (h Head) encodeEnd(all Sum) []byte {
	b := make([]byte, h.Geometry.ChunkBytes())
	copy(b, endMagic)
	binary.LittleEndian.PutUint64(b[endCountAt:], h.Count)
	copy(b[endSumAt:], all[:])
	return b
}
