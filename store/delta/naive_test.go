package delta_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"dmcow/internal/naive"
)

// TestAsDescribed reads deltas chunk by chunk, by what the package comment says and by nothing of the package, and
// wants each byte to be as it says.
func TestAsDescribed(t *testing.T) {
	for _, x := range []struct {
		sectors uint32
		size    int
		differ  int
	}{{1, 0, 0}, {1, 22, 1000}, {1, 23, 1000}, {1, 30, 1000}, {1, 33, 1000}, {1, 64, 1000}, {1, 2000, 1000}, {1, 3000, 400}, {4, 300, 900}, {8, 4, 1000}} {
		p := newPair(t, rand.New(rand.NewPCG(5, uint64(x.size))), x.sectors, x.size*int(x.sectors)*512+512, x.differ)
		n := &described{T: t, pair: p, chunk: int(x.sectors) * 512, rest: p.delta(t), whole: p.delta(t), all: sha256.New().Sum(nil)[:0]}
		n.read()
	}
}

type described struct {
	*testing.T
	*pair
	chunk       int
	rest, whole []byte
	all         []byte // sums of chunks
}

// take is the next chunk, which is no data.
func (d *described) take() []byte {
	d.Helper()
	c := d.rest[:d.chunk]
	d.rest = d.rest[d.chunk:]
	sum := sha256.Sum256(c)
	d.all = append(d.all, sum[:]...)
	return c
}

func (d *described) zero(b []byte, what string) {
	d.Helper()
	if !bytes.Equal(b, make([]byte, len(b))) {
		d.Errorf("%s: not zero", what)
	}
}

func (d *described) read() {
	le := binary.LittleEndian
	list := naive.Of(d.whole).List()
	if len(list) != len(d.chunks) {
		d.Fatalf("%d exceptions; want %d", len(list), len(d.chunks))
	}
	header := d.take()
	d.zero(header[16:], "header")
	area := d.take()
	begin := append([]byte{}, d.take()...)
	for len(begin) < int(le.Uint32(begin[100:])) {
		begin = append(begin, d.take()...)
	}
	own := len(begin) / d.chunk
	length := le.Uint32(begin[100:])
	d.zero(begin[length:], "rest of the beginning")
	vouched := append([]byte{}, begin[64:96]...)
	unsummed := append([]byte{}, begin[:length]...)
	clear(unsummed[64:96])
	if sum := sha256.Sum256(unsummed); !bytes.Equal(sum[:], vouched) {
		d.Error("the beginning's checksum is another one")
	}
	if string(begin[:16]) != "dmcow delta\x00\x00\x00\x00\x00" || le.Uint64(begin[16:]) != uint64(len(d.base)) || begin[24] != 1 ||
		le.Uint32(begin[28:]) != 1 || le.Uint64(begin[32:]) != uint64(len(list)) || le.Uint32(begin[96:]) != uint32(d.chunk/512) {
		d.Errorf("the beginning is %q", begin[:104])
	}
	i := 0
	for k := 0; ; k++ {
		if k > 0 {
			area, own = d.take(), 0
		}
		digests := append([]byte{}, d.take()...)
		check := append([]byte{}, digests[own*16:][:16]...)
		clear(digests[own*16:][:16])
		sum := sha256.Sum256(bytes.Join([][]byte{vouched, area, digests}, nil))
		if vouched = check; !bytes.Equal(sum[:16], check) {
			d.Fatalf("stripe %d: its check is another one", k)
		}
		d.zero(digests[:own*16], "slots before the digests' own")
		used := min((k+1)*d.chunk/16, len(list)) - min(k*d.chunk/16, len(list))
		d.zero(area[used*16:], "area behind the list")
		slot := own + 1
		for ; slot < d.chunk/16 && i < len(list); slot, i = slot+1, i+1 {
			d.data(list[i], digests[slot*16:][:16])
		}
		d.zero(digests[slot*16:], "slots behind the data")
		if i == len(list) && slot < d.chunk/16 {
			d.end(uint64(i))
			return
		}
	}
}

// data reads the data of an exception, whose slot is given.
func (d *described) data(x naive.Exception, slot []byte) {
	d.Helper()
	at := len(d.whole) - len(d.rest)
	end := min(int(x.Old+1)*d.chunk, len(d.base))
	start := int(x.Old) * d.chunk
	place := binary.LittleEndian.AppendUint64(nil, x.Old)
	before := sha256.Sum256(append(place[:8:8], d.base[start:end]...))
	after := sha256.Sum256(append(place[:8:8], d.source[start:end]...))
	if x.New != uint64(at/d.chunk) || !bytes.Equal(d.rest[:end-start], d.source[start:end]) || !bytes.Equal(slot, append(before[:8:8], after[:8]...)) {
		d.Fatalf("chunk %d of the device, at byte %d: another chunk, data or slot", x.Old, at)
	}
	d.zero(d.rest[end-start:d.chunk], "data behind the device's end")
	d.all = append(d.all, after[:]...)
	d.rest = d.rest[d.chunk:]
}

func (d *described) end(count uint64) {
	d.Helper()
	all := sha256.Sum256(d.all)
	want := binary.LittleEndian.AppendUint64([]byte("dmcow delta end\x00"), count)
	want = append(want, all[:]...)
	if len(d.rest) != d.chunk || !bytes.Equal(d.rest[:len(want)], want) {
		d.Fatalf("the end is %q, of %d bytes", d.rest[:min(len(want), len(d.rest))], len(d.rest))
	}
	d.zero(d.rest[len(want):], "rest of the end")
}
