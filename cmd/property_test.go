package cmd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
	"dmcow/snapshot"
)

// plainStore is a store and its origin, read without the program's code.
type plainStore struct {
	naive.Store
	origin []byte
}

// view is what the snapshot shows; the store is sound.
func (s plainStore) view() []byte {
	view, err := s.View(s.origin)
	if err != nil {
		panic(err)
	}
	return view
}

// grown is a store that came about as the kernel's do: of so many exceptions, in runs of up to so
// many.
func grown(rng *rand.Rand, sectors, exceptions, run int) plainStore {
	s := plainStore{Store: naive.Store{Chunk: 512 * sectors}}
	e := s.PerArea()
	chunks := exceptions*3 + 50
	s.origin = make([]byte, chunks*s.Chunk)
	for at := 0; at < len(s.origin); at += 512 { // no two sectors are alike
		binary.LittleEndian.PutUint64(s.origin[at:], rng.Uint64())
	}
	s.Image = make([]byte, (2+exceptions+exceptions/e+1+20)*s.Chunk)
	copy(s.Image, "SnAp\x01\x00\x00\x00\x01\x00\x00\x00")
	binary.LittleEndian.PutUint32(s.Image[12:], uint32(sectors))
	tail := exceptions % 5 * 8 // exceptions at the end whose chunks were written with what they held
	saved := map[int]bool{}
	for n := 0; n < exceptions; {
		old := rng.IntN(chunks)
		for range 1 + rng.IntN(run) {
			if n == exceptions || old >= chunks || saved[old] {
				break
			}
			saved[old] = true
			new := 2 + n + n/e
			naive.Exception{Old: uint64(old), New: uint64(new)}.Encode(s.Entry(n))
			copy(s.Image[new*s.Chunk:], s.origin[old*s.Chunk:][:s.Chunk])
			for at := old * s.Chunk; at < (old+1)*s.Chunk && n < exceptions-tail; at += 512 {
				binary.LittleEndian.PutUint64(s.origin[at:], rng.Uint64())
			}
			n++
			old++
		}
	}
	return s
}

// damage is one damage to a store's header or metadata.
type damage struct {
	what  string
	apply func(cow []byte)
}

// damages are single damages to a store, at most so many of each kind.
func (s plainStore) damages(rng *rand.Rand, most int) (all []damage) {
	list := s.List()
	e := s.PerArea()
	areas := len(list)/e + 1
	sector := func(area, i int) int { return s.At(area*e) + i*512 }
	inArea := s.Chunk / 512
	past := func(n int) []byte { // the store when its list had n entries
		was := bytes.Clone(s.Image)
		for i := n; i < len(list); i++ {
			clear(was[s.At(i):][:16])
		}
		return was
	}
	kinds := map[string]func(i int) *damage{
		"a sector zeroed": func(int) *damage {
			at := sector(rng.IntN(areas), rng.IntN(inArea))
			return &damage{fmt.Sprintf("sector %d zeroed", at/512), func(cow []byte) { clear(cow[at:][:512]) }}
		},
		"a sector of ones": func(int) *damage {
			at := sector(rng.IntN(areas), rng.IntN(inArea))
			return &damage{fmt.Sprintf("sector %d of ones", at/512), func(cow []byte) { copy(cow[at:], bytes.Repeat([]byte{0xff}, 512)) }}
		},
		"the header": func(i int) *damage {
			return []*damage{
				{"the header zeroed", func(cow []byte) { clear(cow[:512]) }},
				{"the header of ones", func(cow []byte) { copy(cow, bytes.Repeat([]byte{0xff}, 512)) }},
				{"the header replaced by the first sector of area 0", func(cow []byte) { copy(cow[:512], s.Image[s.Chunk:]) }},
			}[i%3]
		},
		"a sector of another area": func(int) *damage {
			to, from, i := rng.IntN(areas), rng.IntN(areas+1), rng.IntN(inArea)
			if sector(from, i)+512 > len(s.Image) {
				return nil
			}
			return &damage{fmt.Sprintf("sector %d replaced by that of area %d", sector(to, i)/512, from), func(cow []byte) { copy(cow[sector(to, i):][:512], s.Image[sector(from, i):]) }}
		},
		"another sector of the list": func(i int) *damage {
			last := len(list) / 32 // sectors
			to, from := rng.IntN(last+1), rng.IntN(last+1)
			if i%2 == 0 {
				to = max(0, from-1) // the one before it
			}
			at, of := s.At(to*32), s.At(from*32)
			return &damage{fmt.Sprintf("sector %d replaced by sector %d", at/512, of/512), func(cow []byte) { copy(cow[at:][:512], s.Image[of:]) }}
		},
		"a sector of its past": func(int) *damage {
			n, at := rng.IntN(len(list)+1), sector(rng.IntN(areas), rng.IntN(inArea))
			return &damage{fmt.Sprintf("sector %d as it was when there were %d", at/512, n), func(cow []byte) { copy(cow[at:][:512], past(n)[at:]) }}
		},
		"an area of its past": func(int) *damage {
			n, at := rng.IntN(len(list)+1), sector(rng.IntN(areas), 0)
			return &damage{fmt.Sprintf("area at %d as it was when there were %d", at/512, n), func(cow []byte) { copy(cow[at:][:s.Chunk], past(n)[at:]) }}
		},
		"two sectors": func(int) *damage {
			a, b := sector(rng.IntN(areas), rng.IntN(inArea)), sector(rng.IntN(areas), rng.IntN(inArea))
			return &damage{fmt.Sprintf("sectors %d and %d swapped", a/512, b/512), func(cow []byte) {
				copy(cow[a:][:512], s.Image[b:])
				copy(cow[b:][:512], s.Image[a:])
			}}
		},
		"a field": func(int) *damage {
			if len(list) == 0 {
				return nil
			}
			n, field := rng.IntN(len(list)), rng.IntN(2)
			at := s.At(n) + 8*field
			value := binary.LittleEndian.Uint64(s.Image[at:])
			what := ""
			switch rng.IntN(6) {
			case 0:
				value, what = 0, "0"
			case 1:
				value, what = 1, "1"
			case 2:
				value, what = math.MaxUint64, "max"
			case 3:
				other := list[min(n+1, len(list)-1)]
				value, what = [2]uint64{other.Old, other.New}[field], "its neighbour's"
			default:
				bit := rng.IntN(64) * (rng.IntN(3) + 1) / 3
				value, what = value^1<<bit, fmt.Sprintf("with bit %d flipped", bit)
			}
			return &damage{fmt.Sprintf("exception %d, field %d: %s", n, field, what), func(cow []byte) { binary.LittleEndian.PutUint64(cow[at:], value) }}
		},
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		seen := map[string]bool{}
		for i := range most {
			d := kinds[kind](i)
			if d == nil || seen[d.what] {
				continue
			}
			seen[d.what] = true
			now := bytes.Clone(s.Image)
			if d.apply(now); !bytes.Equal(now, s.Image) {
				all = append(all, *d)
			}
		}
	}
	return all
}

// The damage that cannot be found, as dmcow-rules(7) has it.
const (
	endsEarlier = "the list ends earlier, where it ended some time ago"
	otherOld    = "an old chunk became a different chunk of the origin that has no exception"
	otherNew    = "a new chunk became a different data chunk that no exception uses"
	bothFields  = "an exception became another one"
	moreEntries = "the list has extra exceptions at its end"
)

// undetectable names a damage that cannot be found, by what it does to the list; it is empty for any
// other.
func undetectable(before, after []naive.Exception, s plainStore) string {
	switch {
	case len(after) < len(before) && slices.Equal(after, before[:len(after)]):
		return endsEarlier
	case len(after) > len(before) && slices.Equal(after[:len(before)], before):
		return moreEntries
	case len(after) != len(before):
		return ""
	}
	changed, at := 0, 0
	for i := range before {
		if before[i] != after[i] {
			changed, at = changed+1, i
		}
	}
	if changed != 1 {
		return ""
	}
	was, is := before[at], after[at]
	oldTaken := slices.ContainsFunc(before, func(x naive.Exception) bool { return x.Old == is.Old })
	newTaken := slices.ContainsFunc(before, func(x naive.Exception) bool { return x.New == is.New })
	onOrigin := is.Old < uint64(len(s.origin)/s.Chunk)
	switch {
	case was.New == is.New && onOrigin && !oldTaken:
		return otherOld
	case was.Old == is.Old && s.IsData(is.New) && !newTaken:
		return otherNew
	}
	return ""
}

// property is the one that holds of any damage: each command gives the undamaged view, or refuses, and
// leaves nothing.
type property struct {
	*testing.T
	plainStore
	want     []byte
	dir      string
	commands int
}

// files writes the damaged store, and the origin, where these are not there.
func (p *property) files(cow []byte) {
	p.Helper()
	for name, content := range map[string][]byte{"cow": cow, "origin": p.origin} {
		path := filepath.Join(p.dir, name)
		if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, content) {
			continue
		}
		devicetest.WriteFile(p, path, content)
	}
}

func (p *property) read(name string) []byte {
	p.Helper()
	content, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.Fatal(err)
	}
	return content
}

// run runs a command in the directory.
func (p *property) run(line string) (status, string) {
	p.commands++
	var said bytes.Buffer
	var args []string
	for _, word := range strings.Fields(line) {
		args = append(args, strings.ReplaceAll(word, "%", p.dir+"/"))
	}
	code := Main(args, io.Discard, &said)
	return status(code), said.String()
}

const isGood = statusOK | statusMended

// holds is what is wrong with what the commands do with a damaged store; it is empty where nothing
// is.
func (p *property) holds(cow []byte, rng *rand.Rand) string {
	p.Helper()
	p.files(cow)
	if wrong := p.exports("export"); wrong != "" {
		return wrong
	}
	if wrong := p.mounts(); wrong != "" {
		return wrong
	}
	s, said := p.run("merge %cow --into %origin --yes")
	switch now := p.read("origin"); {
	case s&^isGood == 0 && !bytes.Equal(now, p.want):
		return "merged, and the origin is something else"
	case s&^isGood != 0 && (!bytes.Equal(now, p.origin) || !bytes.Equal(p.read("cow"), cow)):
		return "merge: something has changed, exit status " + fmt.Sprint(s, said)
	}
	p.files(cow)
	line := "repair %cow --no-undo --yes"
	if rng.IntN(2) == 0 {
		line += " --origin %origin"
	}
	if s, said = p.run(line); s&^isGood != 0 {
		if !bytes.Equal(p.read("cow"), cow) {
			return "repair: something has changed, exit status " + fmt.Sprint(s, said)
		}
		return ""
	}
	return p.exports("repaired, and exported")
}

// exports exports the snapshot.
func (p *property) exports(what string) string {
	p.Helper()
	out := filepath.Join(p.dir, "out")
	defer os.Remove(out)
	s, said := p.run("export %cow --origin %origin %out")
	switch _, err := os.Stat(out); {
	case s&^isGood == 0 && !bytes.Equal(p.read("out"), p.want):
		return what + ": another view"
	case s&^isGood != 0 && err == nil:
		return what + ": a file is left, exit status " + fmt.Sprint(s, said)
	}
	return ""
}

// mounts reads what a mount would show, chunk by chunk.
func (p *property) mounts() string {
	p.Helper()
	session := snapshot.Open(snapshot.Options{})
	defer session.Close()
	v, err := session.Read(snapshot.ViewRequest{Request: snapshot.Request{COW: filepath.Join(p.dir, "cow")}, Origin: filepath.Join(p.dir, "origin")})
	if err != nil {
		return ""
	}
	defer v.Close()
	good := !slices.ContainsFunc(session.Notes(), func(n snapshot.Note) bool { return n.Code != snapshot.Fine })
	b := make([]byte, p.Chunk)
	uncertain := false
	for at := 0; at < len(p.want); at += p.Chunk {
		n, err := v.View.ReadAt(b[:min(p.Chunk, len(p.want)-at)], int64(at))
		if uncertain = uncertain || err != nil; err == nil && !bytes.Equal(b[:n], p.want[at:at+n]) {
			return fmt.Sprintf("mounted, chunk %d shows something else", at/p.Chunk)
		}
	}
	if uncertain && good {
		return "mounted, there are I/O errors, and the exit status is good"
	}
	return ""
}

// TestProperty: any single damage to a sound store ends in the undamaged view, or in a refusal
// that leaves nothing; but for what cannot be found, which dmcow-rules(7) lists.
func TestProperty(t *testing.T) { anyDamage(t, 2) }

// TestLongProperty takes three times as many damages of each kind.
func TestLongProperty(t *testing.T) {
	devicetest.Long(t)
	anyDamage(t, 6)
}

// anyDamage does so with most damages of each kind at most.
func anyDamage(t *testing.T, most int) {
	seed := devicetest.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 18))
	stores := map[string]func() plainStore{} // all of them at once take much memory
	for name, s := range corpus.Load(t) {
		p := plainStore{naive.Of(s.COW(t)), s.Origin(t)}
		if s.Status != "Invalid" && corpus.Digest(p.view()) == s.ViewSHA256 {
			stores[name] = func() plainStore { return p }
		}
	}
	for _, sectors := range []int{1, 8, 32} {
		e := 32 * sectors
		for _, n := range []int{1, e / 2, e - 1, e, e + 1, 2*e + e/3, 3 * e} {
			if sectors == 32 && n > e+1 {
				continue // 2 or 3 such areas are 30 MiB
			}
			for _, run := range []int{1, 40} {
				stores[fmt.Sprintf("%d-sector chunks, %d exceptions in runs of %d", sectors, n, run)] = func() plainStore { return grown(rng, sectors, n, run) }
			}
		}
	}
	met, commands, damages := map[string]int{}, 0, 0
	for _, name := range slices.Sorted(maps.Keys(stores)) {
		p := &property{T: t, plainStore: stores[name](), dir: t.TempDir()}
		p.want = p.view()
		for _, d := range p.damages(rng, most) {
			cow := bytes.Clone(p.Image)
			d.apply(cow)
			damages++
			wrong := p.holds(cow, rng)
			if wrong == "" {
				continue
			}
			class := undetectable(p.List(), naive.Store{Image: cow, Chunk: p.Chunk}.List(), p.plainStore)
			if met[class]++; class == "" {
				t.Errorf("%s, %s: %s", name, d.what, wrong)
			}
		}
		commands += p.commands
	}
	t.Logf("%d damages to %d stores, %d commands; what cannot be found: %v", damages, len(stores), commands, met)
	page, err := os.ReadFile("../internal/manual/pages/dmcow-rules.7.txt")
	if err != nil {
		t.Fatal(err)
	}
	for class := range met {
		if class != "" && !strings.Contains(strings.ToLower(strings.Join(strings.Fields(string(page)), " ")), class) {
			t.Errorf("dmcow-rules(7) does not list: %s", class)
		}
	}
}
