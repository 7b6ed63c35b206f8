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
//
// It shares no code with the program, so that no mistake in package format makes a store that only
// the program can read.
package storespec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"testing"

	"dmcow/internal/naive"
)

const sectorBytes = 512

// maxChunk is the largest power of 2 among the sizes that the kernel takes, in sectors.
const maxChunk = 1 << 21

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
	if c.store.Image == nil {
		return nil, errors.New("no device")
	}
	return c.store.Image, nil
}

type compiler struct {
	store   naive.Store // with chunks of 0 bytes as long as no legal size was said
	laidOut bool        // by a layout statement, not by the header
}

var statements = map[string]func(c *compiler, args []string) error{
	"device": (*compiler).device, "header": (*compiler).header, "layout": (*compiler).layout, "fill": (*compiler).fill,
	"ex": (*compiler).exception, "raw": (*compiler).raw, "data": (*compiler).data,
}

func (c *compiler) statement(verb string, args []string) error {
	if (verb == "device") != (c.store.Image == nil) {
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
		n = min(n, maxDevice) * sectorBytes
	}
	if n > maxDevice {
		return fmt.Errorf("larger than %d bytes", maxDevice)
	}
	c.store.Image = make([]byte, n)
	return nil
}

func (c *compiler) header(args []string) error {
	magic, valid, version, chunk := binary.LittleEndian.Uint32([]byte("SnAp")), uint32(1), uint32(1), uint32(8)
	fields := map[string]*uint32{"magic": &magic, "valid": &valid, "version": &version, "chunk": &chunk}
	if err := assign(fields, args); err != nil {
		return err
	}
	inOrder := []uint32{magic, valid, version, chunk}
	if len(c.store.Image) < 4*len(inOrder) {
		return errors.New("does not fit the device")
	}
	for i, field := range inOrder {
		binary.LittleEndian.PutUint32(c.store.Image[4*i:], field)
	}
	if !c.laidOut {
		_ = c.setChunk(chunk) // an illegal size is a fault worth testing
	}
	return nil
}

// setChunk sets the chunk size that what follows goes by; one that the kernel refuses is an error,
// and then no size is set.
func (c *compiler) setChunk(sectors uint32) error {
	c.store.Chunk = 0
	if bits.OnesCount32(sectors) != 1 || sectors > maxChunk {
		return fmt.Errorf("the kernel refuses chunks of %d sectors: want a power of 2, %d at most", sectors, maxChunk)
	}
	c.store.Chunk = int(sectors) * sectorBytes
	return nil
}

func (c *compiler) layout(args []string) error {
	var chunk uint32
	if err := assign(map[string]*uint32{"chunk": &chunk}, args); err != nil {
		return err
	}
	c.laidOut = true
	return c.setChunk(chunk)
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
	naive.Exception{Old: n[1], New: n[2]}.Encode(slot)
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
			naive.Exception{Old: old, New: next}.Encode(slot)
			next = c.skipArea(next + 1)
		}
	}
	return err
}

// end is the slot of the terminator, and the next free chunk.
func (c *compiler) end() (i, next uint64, err error) {
	for next = 2; ; i++ {
		slot, err := c.slot(i)
		if err != nil {
			return 0, 0, err
		}
		x := naive.Decode(slot)
		if x.New == 0 {
			return i, c.skipArea(next), nil
		}
		if next <= x.New {
			next = x.New + 1 // 0 behind 2^64-1, as the kernel has it
		}
	}
}

// skipArea is the chunk, or the one behind it if it is an area.
func (c *compiler) skipArea(chunk uint64) uint64 {
	if chunk%uint64(c.store.PerArea()+1) == 1 {
		chunk++
	}
	return chunk
}

var errNoChunkSize = errors.New("no legal chunk size: say one with layout")

// slot is where the exception of this number in the list stands, in an area that is wholly on the
// device.
func (c *compiler) slot(i uint64) ([]byte, error) {
	if c.store.Chunk == 0 {
		return nil, errNoChunkSize
	}
	e := uint64(c.store.PerArea())
	isFar := i > uint64(len(c.store.Image)) // so far that the area's number might overflow
	if isFar || 1+i/e*(e+1) >= c.store.Chunks() {
		return nil, fmt.Errorf("slot %d is not on the device", i)
	}
	return c.store.Entry(int(i)), nil
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
		if size := uint64(len(c.store.Image)); at > size || count > size-at {
			return fmt.Errorf("byte %d is not on the device", max(at, size))
		}
		for ; count > 0; count, at = count-1, at+1 {
			c.store.Image[at] = byte(value)
		}
	}
	return nil
}

func (c *compiler) data(args []string) error {
	n, err := numbers(args, 1)
	if err != nil {
		return err
	}
	if c.store.Chunk == 0 {
		return errNoChunkSize
	}
	for chunk := range c.store.Chunks() {
		content := c.store.Data(chunk)
		if !c.store.IsData(chunk) || bytes.Count(content, []byte{0}) < len(content) {
			continue
		}
		first := chunk * uint64(c.store.Chunk) / sectorBytes
		for i := 0; i < len(content); i += 16 {
			binary.LittleEndian.PutUint64(content[i:], first+uint64(i)/sectorBytes)
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
	base := 10
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		text, base = hex, 16
	}
	return strconv.ParseUint(text, base, 64)
}
