package devicetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// fill is a sector of a letter.
func fill(letter byte) []byte {
	p := make([]byte, sectorSize)
	for i := range p {
		p[i] = letter
	}
	return p
}

// letters tells what a device holds, by sector; '.' is one of zeros.
func letters(m *Memory) (s string) {
	for at := int64(0); at < m.Size(); at += sectorSize {
		p := make([]byte, sectorSize)
		m.Peek(p, at)
		if p[0] != p[sectorSize-1] {
			return "torn"
		}
		s += string(max(p[0], '.'))
	}
	return s
}

// act does what a word says: "0a1b" writes a to sector 0 and b to sector 1, as
// one write; "!2c" writes durably, "sync" syncs, and "#" marks.
func act(t *testing.T, m *Memory, r *Record, word string) {
	t.Helper()
	var err error
	switch {
	case word == "sync":
		err = m.Sync()
	case word == "#":
		r.Mark("#")
	case word[0] == '!':
		err = m.WriteDurable(fill(word[2]), int64(word[1]-'0')*sectorSize)
	default:
		var p []byte
		for i := 1; i < len(word); i += 2 {
			p = append(p, fill(word[i])...)
		}
		_, err = m.WriteAt(p, int64(word[0]-'0')*sectorSize)
	}
	if err != nil {
		t.Fatalf("%s: %v", word, err)
	}
}

// TestCrashesAreAll: each state that a crash may leave is there, with the marks
// that came before it, and no other.
func TestCrashesAreAll(t *testing.T) {
	skipShort(t)
	for _, c := range []struct {
		words []string
		want  []string // "STATE MARKS"
	}{
		{nil, []string{"... 0"}},
		{[]string{"0a"}, []string{"... 0", "a.. 0"}},
		{[]string{"0a1b"}, []string{"... 0", ".b. 0", "a.. 0", "ab. 0"}},
		{[]string{"0a", "sync"}, []string{"... 0", "a.. 0"}},
		{[]string{"0a", "sync", "1b"}, []string{"... 0", "a.. 0", "ab. 0"}},
		{[]string{"0a", "1b"}, []string{"... 0", ".b. 0", "a.. 0", "ab. 0"}},
		{[]string{"0a", "0b"}, []string{"... 0", "a.. 0", "b.. 0"}},
		{[]string{"0a", "sync", "0b"}, []string{"... 0", "a.. 0", "b.. 0"}},
		// A durable write: what came before is durable first, and it may be torn
		// until it has returned.
		{[]string{"0a", "!1b"}, []string{"... 0", "a.. 0", "ab. 0"}},
		{[]string{"!1b", "#"}, []string{"... 0", ".b. 0", ".b. 1"}},
		{[]string{"0a", "#"}, []string{"... 0", "... 1", "a.. 0", "a.. 1"}},
		{[]string{"0a", "#", "sync"}, []string{"... 0", "... 1", "a.. 0", "a.. 1"}},
		{[]string{"0a", "sync", "#"}, []string{"... 0", "a.. 0", "a.. 1"}},
		// What is not the last to be written need not be the first to go.
		{[]string{"0a", "1b", "0c", "#"}, []string{"... 0", "... 1", ".b. 0", ".b. 1", "a.. 0", "a.. 1", "ab. 0", "ab. 1", "c.. 0", "c.. 1", "cb. 0", "cb. 1"}},
	} {
		m := New(3 * sectorSize)
		r := m.Record()
		for _, w := range c.words {
			act(t, m, r, w)
		}
		var got []string
		for crash := range r.Crashes(1000, nil) {
			got = append(got, fmt.Sprintf("%s %d", letters(crash.Device()), len(crash.Marks)))
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v:\n%v, want\n%v", c.words, got, c.want)
		}
	}
}

// TestCrashesOfMany: where there are too many states, those that differ from
// nothing or from everything by one sector are there, and random ones.
func TestCrashesOfMany(t *testing.T) {
	skipShort(t)
	const n, limit = 20, 50
	m := New(n * sectorSize)
	r := m.Record()
	for i := range int64(n) {
		if _, err := m.WriteAt(fill('x'), i*sectorSize); err != nil {
			t.Fatal(err)
		}
	}
	r.Mark("all") // the crashes behind it are those of all writes
	seen := map[string]bool{}
	for c := range r.Crashes(limit, rand.New(rand.NewPCG(1, 2))) {
		if c.Events == n+1 {
			seen[letters(c.Device())] = true
		}
	}
	all, none := []byte("xxxxxxxxxxxxxxxxxxxx"), []byte("....................")
	for i := range n {
		one, but := slices.Clone(none), slices.Clone(all)
		one[i], but[i] = 'x', '.'
		first := slices.Concat(all[:i], none[i:])
		for _, want := range [][]byte{one, but, first} {
			if !seen[string(want)] {
				t.Errorf("no state %s", want)
			}
		}
	}
	if len(seen) < 3*n+limit/2 {
		t.Errorf("%d states", len(seen))
	}
}

// TestCrashAfterFaults: a sync that fails makes nothing durable, and a write
// that fails leaves what it did.
func TestCrashAfterFaults(t *testing.T) {
	skipShort(t)
	broken := errors.New("broken")
	m := New(3 * sectorSize)
	r := m.Record()
	m.Fault = (&NthOp{Kinds: Sync, Err: broken}).Fault
	act(t, m, r, "0a")
	if err := m.Sync(); err != broken {
		t.Fatal(err)
	}
	m.Fault = (&NthOp{Kinds: Write, Part: sectorSize + 1, Err: broken}).Fault
	if n, err := m.WriteAt(slices.Concat(fill('b'), fill('c')), sectorSize); n != sectorSize || err != broken {
		t.Fatal(n, err)
	}
	var got []string
	for crash := range r.Crashes(1000, nil) {
		got = append(got, letters(crash.Device()))
	}
	slices.Sort(got)
	if want := []string{"...", ".b.", "a..", "ab."}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestWritesInBlocks: what a block device would not take is refused, and told
// from a fault.
func TestWritesInBlocks(t *testing.T) {
	m := New(4 * 4096)
	m.Block = 4096
	for _, c := range []struct{ offset, length int64 }{{512, 4096}, {0, 512}, {-4096, 4096}, {4 * 4096, 4096}, {3 * 4096, 8192}} {
		if n, err := m.WriteAt(make([]byte, c.length), c.offset); n != 0 || err == nil {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
		if err := m.WriteDurable(make([]byte, c.length), c.offset); err == nil {
			t.Errorf("%+v, durably: no error", c)
		}
	}
	if n, err := m.WriteAt(fill('a')[:0], 0); n != 0 || err != nil {
		t.Error(n, err)
	}
}

func skipShort(t *testing.T) {
	if testing.Short() {
		t.Skip("a short run does not visit all states")
	}
}
