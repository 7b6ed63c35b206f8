package repair_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

const originBytes = damaged.OriginSectors * format.SectorSize

// unaided is what becomes of the damaged stores without the user's word: what a check
// finds afterwards. The others stay as they are.
var unaided = map[string]string{"magic-0": "sound 40"}

// aided is what becomes of stores with the user's word on all, and on the header where
// that is damaged: by "HEADER result exceptions".
var aided = map[string]string{
	"duplicate-old":            "sound 39",
	"duplicate-new":            "sound 40",
	"new-is-metadata-area":     "sound 39",
	"new-is-own-area":          "sound 32",
	"new-beyond-device":        "sound 39",
	"new-at-device-end":        "sound 39",
	"new-over-56-bits":         "sound 39",
	"new-all-ones":             "sound 39",
	"new-sector-overflow":      "sound 39",
	"old-beyond-origin":        "sound 39",
	"old-at-origin-end":        "sound 39",
	"old-huge":                 "sound 39",
	"zero-new-in-the-middle":   "sound 39",
	"terminator-in-the-middle": "sound 39",
	"terminator-in-area-1":     "sound 39",
	"torn-commit":              "sound 32",
	"truncated-data":           "sound 35",
	"truncated-metadata":       "sound 31",
}

// stays are the damaged stores that no word of the user's mends: nothing speaks for a
// store there.
var stays = map[string]bool{"all-ones": true, "text": true}

// TestDamaged mends each damaged store, without the user's word and with it.
func TestDamaged(t *testing.T) {
	for _, c := range damaged.Load(t) {
		t.Run(c.Name, func(t *testing.T) {
			d := devicetest.Of(c.Image)
			p := mend(t, d, originBytes, repair.Choices{})
			want, mended := unaided[c.Name]
			switch got := state(p.After); {
			case mended && got != want:
				t.Errorf("it is %s, expected %s", got, want)
			case !mended && (len(p.Repaired) > 0 || !d.Holds(c.Image)):
				t.Errorf("without the user's word: %v", p.Repaired)
			case !mended && c.Result == "damaged" && len(p.Undecided) == 0 && !stays[c.Name]:
				t.Error("nothing is mended, and nothing is said of what can be")
			}
			choices := everything(repair.KeepFirst)
			if hasAny(c.Rules, headerRules) {
				choices = withHeader(choices, rightChunk(c.Image))
			}
			if stays[c.Name] {
				return
			}
			d = devicetest.Of(c.Image)
			p = mend(t, d, originBytes, choices)
			if want, known := aided[c.Name]; known && state(p.After) != want {
				t.Errorf("with the user's word it is %s, expected %s", state(p.After), want)
			}
			if p.After.Count(check.Error) > 0 {
				t.Errorf("with the user's word it is %s", findings(p.After))
			}
			if again := mend(t, d, originBytes, choices); len(again.Steps) > 0 {
				t.Errorf("mended, and again: %v", again.Repaired)
			}
		})
	}
}

func state(r check.Report) string { return fmt.Sprintf("%s %d", r.Outcome(), r.Exceptions) }

var headerRules = []string{"bad-magic", "bad-version", "bad-chunk-size", "too-small", "wrong-chunk-size", "zeroed-header", "older-store", "lost-header"}

func hasAny(all, some []string) bool {
	return slices.ContainsFunc(all, func(rule string) bool { return slices.Contains(some, rule) })
}

// rightChunk is the chunk size of the list on an image, in sectors.
func rightChunk(image []byte) uint32 {
	e, err := check.Probe(devicetest.Of(image), nil)
	if err != nil || e == nil {
		return 1
	}
	return uint32(e.Geometry.ChunkSectors())
}

// TestHeaders gives stores with a damaged header one that the user names.
func TestHeaders(t *testing.T) {
	for _, c := range damaged.Load(t) {
		if !hasAny(c.Rules, headerRules) || stays[c.Name] {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			for _, valid := range []bool{true, false} {
				right := 0
				for n := uint32(1); n <= format.MaxChunkSectors; n *= 2 {
					g, err := format.NewGeometry(n)
					if err != nil {
						t.Fatal(err)
					}
					d := devicetest.Of(c.Image)
					p, err := repair.Make(options(d, 0, repair.Choices{Header: &repair.Header{Geometry: g, Valid: valid}}))
					if err != nil {
						if !errors.As(err, new(*repair.HeaderError)) {
							t.Error(err)
						}
						continue
					}
					if len(p.Steps) == 0 {
						continue // it is the one that is there
					}
					right++
					if err := p.Apply(d, nil, nil); err != nil {
						t.Error(err)
					}
					want := check.Sound
					if !valid {
						want = check.Invalid
					}
					if p.After.Outcome() != want || p.After.Exceptions == 0 {
						t.Errorf("with %d-sector chunks it is %v", n, findings(p.After))
					}
				}
				if right != 1 {
					t.Errorf("%d chunk sizes are taken, expected the right one", right)
				}
			}
		})
	}
}

// Of what matrix damages, as in package check.
const (
	matrixSectors = 800
	matrixOrigin  = 500 // chunks
)

// TestMatrix damages stores in every way of the matrix, and mends them with the user's
// word on all. A check finds no error then, and every exception that was not damaged
// is there, with its data.
func TestMatrix(t *testing.T) {
	counts := map[string]int{}
	for _, chunk := range []int{1, 2} {
		e := 32 * chunk
		for _, exceptions := range []int{1, e - 1, e, e + 1, 3*e + 5} {
			if testing.Short() && (chunk != 2 || exceptions != 3*e+5) {
				continue
			}
			image := storespec.MustCompile(t, fmt.Sprintf("device %d\nheader chunk=%d\nfill %d 0\ndata 9", matrixSectors, chunk, exceptions))
			sound := devicetest.Of(image)
			keep, n := repair.KeepFirst, 0
			for m := range damaged.Matrix(image, chunk, exceptions, matrixOrigin) {
				keep = map[repair.Keep]repair.Keep{repair.KeepFirst: repair.KeepLast, repair.KeepLast: repair.KeepFirst}[keep]
				if n++; testing.Short() && n%9 > 0 {
					continue
				}
				what, err := mendDamage(t, image, m.Image, sound, chunk, keep)
				if counts[what]++; err != nil {
					t.Errorf("%d exceptions, chunk %d, %s: %v", exceptions, chunk, m.Name, err)
				}
			}
		}
	}
	t.Log(counts)
}

// mendDamage mends a damaged image of a store, which sound holds undamaged, and says what came of it.
func mendDamage(t *testing.T, image, damaged []byte, sound *devicetest.Memory, chunk int, keep repair.Keep) (what string, err error) {
	t.Helper()
	origin := format.Bytes(matrixOrigin * chunk * format.SectorSize)
	choices := everything(keep)
	was := pictureOf(image, matrixOrigin)
	now := pictureIn(damaged, was.Chunk, matrixOrigin)
	list := now.gapless()
	if !headerSurvives(damaged, image) {
		g, gerr := format.NewGeometry(uint32(chunk))
		if gerr != nil {
			t.Fatal(gerr)
		}
		choices.Header = &repair.Header{Geometry: g, Valid: true}
	}
	d := sound.Clone()
	d.Put(0, damaged)
	p, err := repair.Make(options(d, origin, choices))
	if err != nil {
		return "", err
	}
	if err := p.Apply(d, nil, nil); err != nil {
		return "", err
	}
	what = "mended"
	if o := p.After.Outcome(); o != check.Sound && o != check.Invalid {
		if !leavesMisplaced(p.After) {
			return "", fmt.Errorf("left: %s", findings(p.After))
		}
		what = "left, as only a neighbour contradicts it"
	}
	return what, d.Lend(func(image []byte) error {
		after := pictureOf(image, matrixOrigin)
		if err := after.serves(now.saved(list), keep, nil); err != nil {
			return err
		}
		return undamaged(was, now, after)
	})
}

// leavesMisplaced reports whether no other error is left than new chunks that the entries
// around contradict: no choice but --rebuild touches these, and it needs their evidence.
func leavesMisplaced(r check.Report) bool {
	return !slices.ContainsFunc(r.Tallies, func(t check.Tally) bool {
		return t.Severity == check.Error && t.Rule != check.NewChunkOutOfPlace
	})
}

// headerSurvives reports whether the header is there, or only its magic lost.
func headerSurvives(damaged, image []byte) bool {
	return string(damaged[:4]) == string(image[:4]) && string(damaged[8:16]) == string(image[8:16])
}

// undamaged wants the exceptions that a damage has left as they were to be there still,
// unless another one has got their old chunk.
func undamaged(was, now, after picture) error {
	entries := map[naive.Exception]bool{}
	for _, x := range now.gapless() {
		entries[x] = true
	}
	saved := after.saved(after.List())
	for _, x := range was.List() {
		if entries[x] && len(saved[x.Old]) == 0 {
			return fmt.Errorf("%v was not damaged, and is lost", x)
		}
	}
	return nil
}
