package inuse

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// disk is a block device that there is not: nothing is below it.
func disk(n uint32) Place { return Place{Number: Number{1 << 11, n}} }

// TestMeet: spans meet where they share a byte of one device.
func TestMeet(t *testing.T) {
	a := []Span{{disk(1), 100, 200}, {disk(2), 0, 50}}
	for _, c := range []struct {
		b    []Span
		want bool
	}{
		{nil, false},
		{a, true},
		{[]Span{{disk(1), 199, 300}}, true}, {[]Span{{disk(1), 200, 300}}, false},
		{[]Span{{disk(1), 0, 101}}, true}, {[]Span{{disk(1), 0, 100}}, false},
		{[]Span{{disk(1), 120, 130}}, true}, {[]Span{disk(1).all()}, true},
		{[]Span{{disk(3), 0, 500}, {disk(2), 60, 200}, {disk(1), 0, 100}}, false},
		{[]Span{{disk(3), 0, 500}, {disk(2), 49, 200}}, true},
	} {
		if meet(a, c.b) != c.want || meet(c.b, a) != c.want {
			t.Errorf("%v and %v: expected %v", a, c.b, c.want)
		}
	}
}

// TestLowestOfNothingKnown: what nothing is known of is as low as it gets.
func TestLowestOfNothingKnown(t *testing.T) {
	s := Span{disk(1), 100, 200}
	if got := s.lowest(); !reflect.DeepEqual(got, []Span{s}) {
		t.Errorf("%v", got)
	}
}

// TestUnder: of a span, what is in the piece is moved to where it is kept, however
// long the piece is.
func TestUnder(t *testing.T) {
	part := newPiece(1000, 100, disk(1), 7000)
	rest := newPiece(0, math.MaxInt64-512, disk(1), 512)
	for _, c := range []struct {
		p          Piece
		start, end int64
		want       []Span
	}{
		{part, 0, math.MaxInt64, []Span{{disk(1), 7000, 7100}}},
		{part, 0, 1000, nil}, {part, 0, 1001, []Span{{disk(1), 7000, 7001}}},
		{part, 1020, 1030, []Span{{disk(1), 7020, 7030}}},
		{part, 1099, 2000, []Span{{disk(1), 7099, 7100}}}, {part, 1100, 2000, nil},
		{rest, 0, math.MaxInt64, []Span{{disk(1), 512, math.MaxInt64}}},
		{rest, 100, 200, []Span{{disk(1), 612, 712}}},
		{newPiece(0, 0, disk(1), 0), 0, 100, nil},
	} {
		if got := c.p.under(Span{disk(0), c.start, c.end}); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v, %d to %d: %v, expected %v", c.p, c.start, c.end, got, c.want)
		}
	}
}

// TestUnderStripes: of any part of a striped piece, each stripe keeps one stretch, of
// the bytes that are found one by one.
func TestUnderStripes(t *testing.T) {
	const chunk, rows = 4, 5
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range int64(4) {
		p := Piece{Start: 30, Length: (n + 1) * chunk * rows, Chunk: chunk}
		for i := range n + 1 {
			p.Stripes = append(p.Stripes, Stripe{On: disk(uint32(i)), Start: 100 * (i + 1)})
		}
		for range 300 {
			start := 20 + rng.Int64N(p.Length+20)
			s := Span{disk(9), start, start + rng.Int64N(p.Length+20)}
			if got, want := p.under(s), byByte(p, s); !reflect.DeepEqual(got, want) {
				t.Fatalf("%d stripes, %d to %d: %v, expected %v", n+1, s.Start, s.End, got, want)
			}
		}
	}
}

// byByte is what under has to find.
func byByte(p Piece, s Span) (all []Span) {
	found := make([]Span, len(p.Stripes))
	for at := max(s.Start, p.Start); at < min(s.End, p.Start+p.Length); at++ {
		number, in := (at-p.Start)/p.Chunk, (at-p.Start)%p.Chunk
		i, row := number%int64(len(p.Stripes)), number/int64(len(p.Stripes))
		to := p.Stripes[i].Start + row*p.Chunk + in
		if found[i].End == 0 {
			found[i] = Span{p.Stripes[i].On, to, to}
		}
		found[i].End++
	}
	for _, f := range found {
		if f.End > 0 {
			all = append(all, f)
		}
	}
	return all
}

// TestRowPiece: of the targets that are known, it is told where they keep what; of all
// else, and of arguments that are none, it is not.
func TestRowPiece(t *testing.T) {
	stripes := []Stripe{{On: Place{Number: Number{7, 0}}, Start: 8 * 512}, {On: Place{Number: Number{7, 1}}, Start: 16 * 512}}
	for _, c := range []struct {
		kind string
		args []string
		want *Piece
	}{
		{"linear", []string{"7:0", "8"}, &Piece{512, 1024, 1024, stripes[:1]}},
		{"striped", []string{"2", "1", "7:0", "8", "7:1", "16"}, &Piece{512, 1024, 512, stripes}},
		{"snapshot-origin", []string{"7:0"}, &Piece{512, 1024, 1024, []Stripe{{On: stripes[0].On, Start: 512}}}},
		{"snapshot", []string{"7:0", "7:1", "P", "8"}, nil},
		{"error", nil, nil}, {"linear", nil, nil}, {"linear", []string{"7:0"}, nil}, {"linear", []string{"-", "8"}, nil},
		{"striped", []string{"2", "0", "7:0", "8"}, nil}, {"striped", []string{"2", "8"}, nil},
		{"striped", []string{"2", "8", "7:0", "8", "7:1"}, nil}, {"snapshot-origin", nil, nil},
	} {
		got, ok := row{Target{c.kind, c.args}, 512, 1024}.piece()
		if ok != (c.want != nil) || ok && !reflect.DeepEqual(got, *c.want) {
			t.Errorf("%s %q: %+v, %v; expected %+v", c.kind, c.args, got, ok, c.want)
		}
	}
}

// TestMeetAtRandom holds meet to a look at each pair.
func TestMeetAtRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	some := func() (all []Span) {
		for range rng.IntN(8) {
			start := rng.Int64N(100)
			all = append(all, Span{disk(uint32(rng.IntN(3))), start, start + 1 + rng.Int64N(6)})
		}
		return all
	}
	met := 0
	for range 20000 {
		a, b := some(), some()
		want := false
		for _, x := range a {
			for _, y := range b {
				want = want || x.On.is(y.On) && x.Start < y.End && y.Start < x.End
			}
		}
		if got := meet(a, b); got != want {
			t.Fatalf("%v and %v: %v, expected %v", a, b, got, want)
		}
		if want {
			met++
		}
	}
	if met < 2000 || met > 18000 {
		t.Errorf("%d of 20000 meet", met)
	}
}
