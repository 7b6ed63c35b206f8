package cmd

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"dmcow/dump"
	"dmcow/format"
)

// size is a size on the command line, in bytes: 4K, 64KiB, 512M, 8s (sectors).
type size format.Bytes

// units are the suffixes of sizes, in bytes. All are binary.
var units = func() map[string]uint64 {
	all := map[string]uint64{"": 1, "b": 1, "s": format.SectorSize}
	for i, prefix := range []string{"k", "m", "g", "t", "p", "e"} {
		for _, suffix := range []string{"", "b", "ib"} {
			all[prefix+suffix] = 1 << (10 * (i + 1))
		}
	}
	return all
}()

// UnmarshalText parses a size of whole sectors.
func (s *size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	n, err := strconv.ParseUint(number, 10, 64)
	unit, known := units[strings.ToLower(string(text)[len(number):])]
	over, total := bits.Mul64(n, unit)
	switch {
	case errors.Is(err, strconv.ErrRange) || over != 0 || total > math.MaxInt64:
		return fmt.Errorf("%s is too large", text)
	case err != nil || !known:
		return fmt.Errorf("%q is no size: expected one like 4K, 64KiB, 512M or 8s (sectors)", text)
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
type chunkRange dump.Range

// UnmarshalText parses a range.
func (r *chunkRange) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	var err1, err2 error
	r.First, err1 = parseNumber(first)
	r.Last, err2 = parseNumber(last)
	if err1 != nil || err2 != nil || r.First > r.Last {
		return fmt.Errorf("%q is no range of chunks: expected A or A-B, with A at most B", text)
	}
	return nil
}

// number is a number on the command line.
type number uint64

// UnmarshalText parses a number.
func (n *number) UnmarshalText(text []byte) error {
	v, err := parseNumber(string(text))
	if err != nil {
		return fmt.Errorf("%q is no number", text)
	}
	*n = number(v)
	return nil
}

// parseNumber parses a decimal number, leading zeros and all, or with 0x a
// hexadecimal one.
func parseNumber(s string) (uint64, error) {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		return strconv.ParseUint(hex, 16, 64)
	}
	return strconv.ParseUint(s, 10, 64)
}
