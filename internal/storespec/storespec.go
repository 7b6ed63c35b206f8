// Package storespec is a small language for COW devices, odd and damaged ones
// above all, so that tests need no blobs. A spec is text, a line a statement,
// # starts a comment:
//
//	device 200                  size in sectors, or in bytes: 1000b. Comes first; all of it is zero
//	header chunk=8 valid=1      also version=1 magic=SnAp; these are the defaults
//	layout chunk=8              the chunk size that what follows goes by; without it, the header's
//	fill 3                      as the kernel would add 3 exceptions: old chunks 3*i, new chunks the next free ones
//	fill 3 100                  the same with old chunks 100, 101, 102
//	ex 5 15 2                   slot 5 of the list, counted over all areas: old chunk 15, new chunk 2
//	raw 0x1000 ff 00*512        bytes at an offset
//	data 9                      all data chunks that are still zero: of each sector its number and a 9, 32 times over
//
// Numbers are decimal, 0x1f, or max for 2^64-1. Without data, data chunks stay
// zero.
package storespec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/units"
)

// maxDevice keeps a slip of the pen from taking all memory, in bytes.
const maxDevice = 1 << 30

// MustCompile makes the image that spec describes.
func MustCompile(t testing.TB, spec string) []byte {
	t.Helper()
	image, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// Compile makes the image that spec describes. The error names the line.
func Compile(spec string) ([]byte, error) {
	var c compiler
	number := 0
	for line := range strings.Lines(spec) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := c.statement(words[0], words[1:]); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", number, words[0], err)
		}
	}
	if c.image == nil {
		return nil, errors.New("no device")
	}
	return c.image, nil
}

type compiler struct {
	image    []byte
	geometry format.Geometry
	laidOut  bool // by a layout statement, not by the header
}

var statements = map[string]func(c *compiler, args []string) error{
	"device": (*compiler).device, "header": (*compiler).header, "layout": (*compiler).layout, "fill": (*compiler).fill,
	"ex": (*compiler).exception, "raw": (*compiler).raw, "data": (*compiler).data,
}

func (c *compiler) statement(verb string, args []string) error {
	if (verb == "device") != (c.image == nil) {
		return errors.New("device comes first, and once")
	}
	if compile := statements[verb]; compile != nil {
		return compile(c, args)
	}
	return errors.New("unknown statement")
}

func (c *compiler) device(args []string) error {
	if len(args) != 1 {
		return errors.New("wants a size")
	}
	text, inBytes := strings.CutSuffix(args[0], "b")
	n, err := number(text)
	if err != nil {
		return err
	}
	if !inBytes {
		n = min(n, maxDevice) * format.SectorSize
	}
	if n > maxDevice {
		return fmt.Errorf("larger than %d bytes", maxDevice)
	}
	c.image = make([]byte, n)
	return nil
}

func (c *compiler) header(args []string) error {
	h := format.Header{Magic: format.Magic, Valid: 1, Version: format.Version, ChunkSectors: 8}
	fields := map[string]*uint32{"magic": &h.Magic, "valid": &h.Valid, "version": &h.Version, "chunk": &h.ChunkSectors}
	if err := assign(fields, args); err != nil {
		return err
	}
	if len(c.image) < format.HeaderSize {
		return errors.New("does not fit the device")
	}
	h.Encode(c.image)
	if !c.laidOut {
		// An illegal chunk size is a fault worth testing.
		c.geometry, _ = format.NewGeometry(h.ChunkSectors)
	}
	return nil
}

func (c *compiler) layout(args []string) error {
	var chunk uint32
	if err := assign(map[string]*uint32{"chunk": &chunk}, args); err != nil {
		return err
	}
	g, err := format.NewGeometry(chunk)
	c.geometry, c.laidOut = g, true
	return err
}

func (c *compiler) exception(args []string) error {
	n, err := numbers(args, 3)
	if err != nil {
		return err
	}
	slot, err := c.slot(n[0])
	if err != nil {
		return err
	}
	format.Exception{Old: format.OldChunk(n[1]), New: format.NewChunk(n[2])}.Encode(slot)
	return nil
}

func (c *compiler) fill(args []string) error {
	n, err := numbers(args, max(1, min(len(args), 2)))
	if err != nil {
		return err
	}
	first, next, err := c.end()
	for i := first; i < first+n[0] && err == nil; i++ {
		if next == 0 {
			return errors.New("there is no chunk behind 2^64-1")
		}
		old := 3 * i
		if len(n) == 2 {
			old = n[1] + i - first
		}
		var slot []byte
		if slot, err = c.slot(i); err == nil {
			format.Exception{Old: format.OldChunk(old), New: next}.Encode(slot)
			next = c.geometry.SkipMetadata(next + 1)
		}
	}
	return err
}

// end is the slot of the terminator, and the next free chunk.
func (c *compiler) end() (i uint64, next format.NewChunk, err error) {
	for next = 2; ; i++ {
		slot, err := c.slot(i)
		if err != nil {
			return 0, 0, err
		}
		x := format.DecodeException(slot)
		if x.New == 0 {
			return i, c.geometry.SkipMetadata(next), nil
		}
		if next <= x.New {
			next = x.New + 1 // 0 behind 2^64-1, as the kernel has it
		}
	}
}

func (c *compiler) slot(i uint64) ([]byte, error) {
	if c.geometry.IsZero() {
		return nil, errors.New("no legal chunk size: say one with layout")
	}
	e := uint64(c.geometry.ExceptionsPerArea())
	area := c.geometry.AreaLocation(format.AreaIndex(i / e))
	if uint64(area) >= c.geometry.Chunks(format.Bytes(len(c.image))) {
		return nil, fmt.Errorf("slot %d is not on the device", i)
	}
	at := uint64(c.geometry.Offset(area)) + i%e*format.ExceptionSize
	return c.image[at:][:format.ExceptionSize], nil
}

func (c *compiler) raw(args []string) error {
	if len(args) < 2 {
		return errors.New("wants an offset and bytes")
	}
	at, err := number(args[0])
	for _, arg := range args[1:] {
		text, times, repeated := strings.Cut(arg, "*")
		count := uint64(1)
		if repeated && err == nil {
			count, err = number(times)
		}
		value, e := strconv.ParseUint(text, 16, 8)
		if err = errors.Join(err, e); err != nil {
			return err
		}
		if size := uint64(len(c.image)); at > size || count > size-at {
			return fmt.Errorf("byte %d is not on the device", max(at, size))
		}
		for ; count > 0; count, at = count-1, at+1 {
			c.image[at] = byte(value)
		}
	}
	return nil
}

func (c *compiler) data(args []string) error {
	n, err := numbers(args, 1)
	if err != nil {
		return err
	}
	if c.geometry.IsZero() {
		return errors.New("no legal chunk size: say one with layout")
	}
	size := c.geometry.ChunkBytes()
	for chunk := format.NewChunk(format.FirstData); c.geometry.Offset(chunk)+size <= format.Bytes(len(c.image)); chunk++ {
		content := c.image[c.geometry.Offset(chunk):][:size]
		if c.geometry.IsMetadata(chunk) || bytes.Count(content, []byte{0}) < len(content) {
			continue
		}
		first := uint64(c.geometry.Offset(chunk).Sectors())
		for i := 0; i < len(content); i += 16 {
			binary.LittleEndian.PutUint64(content[i:], first+uint64(i)/format.SectorSize)
			binary.LittleEndian.PutUint64(content[i+8:], n[0])
		}
	}
	return nil
}

func assign(fields map[string]*uint32, args []string) error {
	for _, arg := range args {
		name, text, _ := strings.Cut(arg, "=")
		field := fields[name]
		if field == nil {
			return fmt.Errorf("unknown field %q", name)
		}
		n, err := number(text)
		if name == "magic" && len(text) == 4 && err != nil {
			n, err = uint64(binary.LittleEndian.Uint32([]byte(text))), nil
		}
		if err != nil {
			return err
		}
		if n > math.MaxUint32 {
			return fmt.Errorf("%s does not fit 32 bits", arg)
		}
		*field = uint32(n)
	}
	return nil
}

func numbers(args []string, count int) ([]uint64, error) {
	if len(args) != count {
		return nil, fmt.Errorf("wants %d numbers", count)
	}
	list := make([]uint64, count)
	for i, arg := range args {
		n, err := number(arg)
		if err != nil {
			return nil, err
		}
		list[i] = n
	}
	return list, nil
}

func number(text string) (uint64, error) {
	if text == "max" {
		return math.MaxUint64, nil
	}
	var n units.Number
	err := n.UnmarshalText([]byte(text))
	return uint64(n), err
}
