package cmd

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"dmcow/format"
)

// size is a size on the command line, in bytes: 4K, 64KiB, 512M, 8s (sectors).
type size format.Bytes

// units are the suffixes of sizes, in bytes. All are binary.
var units = map[string]uint64{
	"": 1, "b": 1, "s": format.SectorSize,
	"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50, "e": 1 << 60,
}

// UnmarshalText parses a size of whole sectors.
func (s *size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	suffix := strings.ToLower(string(text)[len(number):])
	if len(suffix) > 1 {
		suffix = strings.TrimSuffix(strings.TrimSuffix(suffix, "b"), "i")
	}
	n, err := strconv.ParseUint(number, 10, 64)
	unit, known := units[suffix]
	over, total := bits.Mul64(n, unit)
	switch {
	case err != nil || !known:
		return fmt.Errorf("%q is no size: expected one like 4K, 64KiB, 512M or 8s (sectors)", text)
	case over != 0 || total > 1<<63-1:
		return fmt.Errorf("%s is too large", text)
	case total%format.SectorSize != 0:
		return fmt.Errorf("%s is no multiple of a sector, 512 bytes", text)
	}
	*s = size(total)
	return nil
}

// chunkSize is a chunk size on the command line, in sectors.
type chunkSize uint32

// UnmarshalText parses a chunk size that the kernel would take.
func (c *chunkSize) UnmarshalText(text []byte) error {
	var s size
	if err := s.UnmarshalText(text); err != nil {
		return err
	}
	n := format.Bytes(s).Sectors()
	if err := format.CheckChunkSectors(uint32(min(n, 1<<32-1)), format.SectorSize); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	*c = chunkSize(n)
	return nil
}

// binarySize is a size for people, rounded to hundredths: "8 MiB", "2.06 MiB".
func binarySize(b format.Bytes) string {
	n, unit := float64(b), "bytes"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if n < 1024 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64) + " " + unit
}

// chunkRange is a range of chunk numbers on the command line: A or A-B, both
// ends included.
type chunkRange struct{ first, last uint64 }

// UnmarshalText parses a range.
func (r *chunkRange) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	var err1, err2 error
	r.first, err1 = strconv.ParseUint(first, 0, 64)
	r.last, err2 = strconv.ParseUint(last, 0, 64)
	if err1 != nil || err2 != nil || r.first > r.last {
		return fmt.Errorf("%q is no range of chunks: expected A or A-B, with A at most B", text)
	}
	return nil
}
