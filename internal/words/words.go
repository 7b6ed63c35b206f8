// Package words has what every message of the program is written with: names that do nothing to a
// terminal or a shell, numbers of things, and sizes.
package words

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Printable is a text on one line that does nothing to a terminal: names of files may hold
// anything.
func Printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// Shell is a text as a shell takes it; one that cannot be printed, as a person reads it.
func Shell(s string) string {
	word := Printable(s)
	if word == s && strings.ContainsAny(word, " \"'\\$`&;|<>()*?[]#~!{}") {
		word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// Count is "1 area", or of many.
func Count[N ~int | ~uint64 | ~uint32](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Size is a size in bytes for people, rounded to hundredths: "8 MiB", "2.06 MiB".
func Size[N ~int64 | ~uint64](bytes N) string {
	n, unit := float64(bytes), "bytes"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if n < 1024 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64) + " " + unit
}

// Span is how long something takes, in its two largest units, rounded down: "2 h 10 min".
func Span(d time.Duration) string {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	switch {
	case d >= 2*year:
		return fmt.Sprintf("%d years", d/year)
	case d >= 10*day:
		return fmt.Sprintf("%d d", d/day)
	case d >= day:
		return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= 10*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// Tail is the end of a text of more characters than that, behind a mark; 0 is for any number. Of names, the end says more
// than the beginning.
func Tail(text string, most int, mark string) string {
	r := []rune(text)
	if most == 0 || len(r) <= most {
		return text
	}
	return mark + string(r[len(r)-most+1:])
}

// Pathless strips the operation and the path off an error of package os: messages name the file
// themselves.
func Pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Bytes is a size in bytes, for people and exact: "2 KiB (2048 bytes)".
func Bytes[N ~int64 | ~uint64](n N) string {
	if n < 1024 {
		return Count(uint64(n), "byte")
	}
	return fmt.Sprintf("%s (%s)", Size(n), Count(uint64(n), "byte"))
}

// Sectors is a number of sectors, for people and exact: "4 KiB (8 sectors)".
func Sectors[N ~int64 | ~uint64](n N) string {
	return fmt.Sprintf("%s (%s)", Size(uint64(n)*512), Count(uint64(n), "sector"))
}

// Say writes a message about a device or a file.
type Say func(about, format string, args ...any)
