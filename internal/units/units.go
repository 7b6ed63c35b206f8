// Package units has how sizes and numbers are written on the command line.
package units

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"dmcow/format"
)

// Size is a size on the command line, in bytes: 4K, 64KiB, 512M, 8s (sectors).
type Size format.Bytes

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
func (s *Size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	n, err := strconv.ParseUint(number, 10, 64)
	unit, known := units[strings.ToLower(string(text)[len(number):])]
	over, total := bits.Mul64(n, unit)
	switch {
	case errors.Is(err, strconv.ErrRange) || over != 0 || total > math.MaxInt64:
		return fmt.Errorf("size %s is too large", text)
	case err != nil || !known:
		return fmt.Errorf("invalid size %q: write it like 4K, 64KiB, 512M or 8s (sectors)", text)
	case total%format.SectorSize != 0:
		return fmt.Errorf("size %s is not a multiple of a sector (512 bytes)", text)
	}
	*s = Size(total)
	return nil
}

// ChunkSectors is a chunk size on the command line, in sectors.
type ChunkSectors uint32

// UnmarshalText parses a chunk size that the kernel would take.
func (c *ChunkSectors) UnmarshalText(text []byte) error {
	var s Size
	if err := s.UnmarshalText(text); err != nil {
		return err
	}
	n := format.Bytes(s).Sectors()
	if err := format.CheckChunkSectors(uint32(min(n, 1<<32-1)), format.SectorSize); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	*c = ChunkSectors(n)
	return nil
}

// ChunkRange is a range of chunk numbers on the command line: A or A-B, both
// ends included.
type ChunkRange struct{ First, Last uint64 }

// UnmarshalText parses a range.
func (r *ChunkRange) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	var err1, err2 error
	r.First, err1 = parseNumber(first)
	r.Last, err2 = parseNumber(last)
	if err1 != nil || err2 != nil || r.First > r.Last {
		return fmt.Errorf("invalid range of chunks %q: write A or A-B, with A at most B", text)
	}
	return nil
}

// Number is a number on the command line.
type Number uint64

// UnmarshalText parses a number.
func (n *Number) UnmarshalText(text []byte) error {
	v, err := parseNumber(string(text))
	if err != nil {
		return fmt.Errorf("not a number: %q", text)
	}
	*n = Number(v)
	return nil
}

// parseNumber takes leading zeros for decimal, not for octal numbers.
func parseNumber(s string) (uint64, error) {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		return strconv.ParseUint(hex, 16, 64)
	}
	return strconv.ParseUint(s, 10, 64)
}

// Percent is a threshold on the command line: 80 or 80%.
type Percent float64

// UnmarshalText parses a threshold.
func (p *Percent) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("not a percentage from 0 to 100: %q", text)
	}
	*p = Percent(v)
	return nil
}

// Reached reports whether there is a threshold, and a value has reached it.
func (p *Percent) Reached(v float64) bool { return p != nil && v >= float64(*p) }

// String is the number; it is empty if there is none.
func (p *Percent) String() string {
	if p == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*p), 'f', -1, 64)
}

// Duration is a time on the command line: 90s, 30m, 4h, 2d, or several of these together.
type Duration time.Duration

// UnmarshalText parses a time that is not negative.
func (d *Duration) UnmarshalText(text []byte) error {
	rest, days := string(text), time.Duration(0)
	if before, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return badDuration(text)
		}
		rest, days = after, time.Duration(n)*24*time.Hour
	}
	v, err := time.Duration(0), error(nil)
	if rest != "" || len(text) == 0 {
		v, err = time.ParseDuration(rest)
	}
	if err != nil || v < 0 || days+v < 0 {
		return badDuration(text)
	}
	*d = Duration(days + v)
	return nil
}

func badDuration(text []byte) error {
	return fmt.Errorf("invalid time %q: write it like 90s, 30m, 4h or 2d", text)
}

// String is the time as Go writes it; it is empty if there is none.
func (d *Duration) String() string {
	if d == nil {
		return ""
	}
	return time.Duration(*d).String()
}
