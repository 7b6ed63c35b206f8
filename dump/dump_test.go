package dump

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
)

// row is an exception, or a run of them, in an output.
type row struct {
	Area, Index, Old, New, Chunks uint64
	State, Grade                  string
}

// output is a dump that was read back.
type output struct {
	Device      string
	SizeSectors uint64 `json:"size_sectors"`
	Header      *struct {
		Magic        string
		Valid        uint32
		Version      uint32
		ChunkSectors uint32 `json:"chunk_sectors"`
	}
	Exceptions []struct {
		Area   uint64
		Index  uint64
		Old    uint64 `json:"old_chunk"`
		New    uint64 `json:"new_chunk"`
		Chunks uint64
		State  string
		Grade  string
	}
	State string
	Error *string
}

// storeOf is the store of a spec; its header must be legal.
func storeOf(t testing.TB, d *devicetest.Memory) Store {
	t.Helper()
	head := make([]byte, format.HeaderSize)
	d.Peek(head, 0)
	h := format.DecodeHeader(head)
	g, err := format.NewGeometry(h.ChunkSectors)
	if err != nil {
		t.Fatal(err)
	}
	return Store{
		Device: "a \"b\"\n<c>", Header: &h,
		Walk: format.Walk{Device: d, Size: format.Bytes(d.Size()), Geometry: g},
		Verdict: func(end format.End, err error) (string, []string) {
			return fmt.Sprintf("%d, %v", end.Exceptions, err), nil
		},
	}
}

func goOn(format.AreaIndex) error { return nil }

// dumpRows dumps in one of the formats, and reads that back.
func dumpRows(t testing.TB, s Store, f Format, sel Selection) ([]row, output, error) {
	t.Helper()
	var b bytes.Buffer
	_, err := Exceptions(&b, s, f, sel, goOn)
	switch f {
	case JSON:
		out := parseJSON(t, b.Bytes())
		var rows []row
		for _, x := range out.Exceptions {
			rows = append(rows, row(x))
		}
		return rows, out, err
	case CSV:
		r := csv.NewReader(&b)
		return parseFields(t, r.Read), output{}, err
	}
	lines := bytes.Split(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("\n"))
	return parseFields(t, func() ([]string, error) {
		if len(lines) == 0 {
			return nil, io.EOF
		}
		line := lines[0]
		lines = lines[1:]
		line = bytes.ReplaceAll(line, []byte("d chunk"), []byte("d_chunk"))
		line = bytes.ReplaceAll(line, []byte("w chunk"), []byte("w_chunk"))
		var fields []string
		for _, field := range bytes.Fields(line) {
			fields = append(fields, string(field))
		}
		return fields, nil
	}), output{}, err
}

func parseJSON(t testing.TB, text []byte) (out output) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("more than one object:\n%s", text)
	}
	return out
}

// parseFields reads rows by the columns that the title names.
func parseFields(t testing.TB, next func() ([]string, error)) (rows []row) {
	t.Helper()
	title, err := next()
	for err == nil {
		var fields []string
		if fields, err = next(); err != nil {
			break
		}
		if len(fields) != len(title) {
			t.Fatalf("row %q under %q", fields, title)
		}
		var r row
		columns := map[string]*uint64{
			"area": &r.Area, "index": &r.Index, "old_chunk": &r.Old, "new_chunk": &r.New, "chunks": &r.Chunks,
		}
		for i, name := range title {
			switch name {
			case "state":
				r.State = fields[i]
				continue
			case "grade":
				r.Grade = strings.TrimPrefix(fields[i], "-") // people see that there is none
				continue
			}
			n, err := strconv.ParseUint(fields[i], 10, 64)
			if err != nil || columns[name] == nil {
				t.Fatalf("%s %q: %v", name, fields[i], err)
			}
			*columns[name] = n
		}
		rows = append(rows, r)
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	return rows
}

// oddStore has runs that go on over areas and batches, numbers of all lengths,
// and hidden exceptions.
const oddStore = `
	device 400
	header chunk=1
	fill 40 1000
	ex 40 1040 5      # the old chunk goes on, the new one does not
	ex 41 1041 6
	ex 42 1043 7
	ex 43 1045 8      # the other way round
	ex 44 99999999 99999999
	ex 45 100000000 100000000
	ex 46 9999999999999999 9999999999999999
	ex 47 10000000000000000 10000000000000000
	ex 48 0xfffffffffffffffe 0xfffffffffffffffd
	ex 49 max 0xfffffffffffffffe
	ex 50 0 max       # follows in new chunks alone: there is none behind 2^64-1
	ex 51 7 33
	fill 40 500
	# 92 is the terminator
	ex 93 540 76      # would go on with the last live ones
	ex 94 541 77
	ex 95 3 0`

// liveRows is the list of a store in memory, and what is hidden behind it, read without the
// program's code.
func liveRows(s Store, hidden bool) (rows []row) {
	plain := naive.Of(s.Walk.Device.(*devicetest.Memory).Image())
	e, end := plain.PerArea(), len(plain.List())
	slots := end
	if hidden {
		slots = (end/e + 1) * e // to the end of the list's last area
	}
	for n := range slots {
		x, _ := plain.Slot(n)
		if x.New == 0 {
			continue
		}
		r := row{Area: uint64(n / e), Index: uint64(n % e), Old: x.Old, New: x.New}
		switch {
		case !hidden: // then there is no state
		case n < end:
			r.State = "live"
		default:
			r.State = "hidden"
		}
		rows = append(rows, r)
	}
	return rows
}

// joined is rows joined to runs.
func joined(rows []row) (runs []row) {
	for i, r := range rows {
		if i > 0 && r.State == rows[i-1].State && rows[i-1].Old != math.MaxUint64 &&
			r.Old == rows[i-1].Old+1 && r.New == rows[i-1].New+1 {
			runs[len(runs)-1].Chunks++
			continue
		}
		r.Chunks = 1
		runs = append(runs, r)
	}
	return runs
}

// TestExceptions: in every format, what is written reads back as what stands
// on the device, chosen and joined as asked for.
func TestExceptions(t *testing.T) {
	s := storeOf(t, devicetest.Of(storespec.MustCompile(t, oddStore)))
	area := format.AreaIndex(1)
	for _, f := range formats {
		for bits := range 32 {
			var sel Selection
			if bits&1 != 0 {
				sel.Area = &area
			}
			if bits&2 != 0 {
				sel.Old = &Range{505, 1e16}
			}
			if bits&4 != 0 {
				sel.New = &Range{5, 99}
			}
			sel.Hidden, sel.Ranges = bits&8 != 0, bits&16 != 0
			var want []row
			for _, r := range liveRows(s, sel.Hidden) {
				if (sel.Area == nil || r.Area == 1) && (sel.Old == nil || r.Old >= 505 && r.Old <= 1e16) &&
					(sel.New == nil || r.New >= 5 && r.New <= 99) {
					want = append(want, r)
				}
			}
			if sel.Ranges {
				want = joined(want)
			}
			got, _, err := dumpRows(t, s, f, sel)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, %+v: %v\n%v\nwant\n%v", f, sel, err, got, want)
			}
		}
	}
}

// TestJSON has what stands around the rows.
func TestJSON(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, oddStore))
	s := storeOf(t, d)
	_, out, err := dumpRows(t, s, JSON, Selection{})
	if err != nil || out.Device != s.Device || out.SizeSectors != 400 || out.Error != nil || out.State != "92, <nil>" {
		t.Errorf("%+v, %v", out, err)
	}
	if h := out.Header; h == nil || h.Magic != "SnAp" || h.Valid != 1 || h.Version != 1 || h.ChunkSectors != 1 {
		t.Errorf("header %+v", h)
	}
	s.Header, s.Walk.Geometry = nil, format.Geometry{}
	rows, out, err := dumpRows(t, s, JSON, Selection{})
	if err != nil || out.Header != nil || rows != nil || out.Exceptions == nil || out.SizeSectors != 400 {
		t.Errorf("of a blank device: %+v, %v", out, err)
	}
}

// TestManyRows: rows of many batches keep their order.
func TestManyRows(t *testing.T) {
	s := storeOf(t, devicetest.Of(storespec.MustCompile(t, "device 70000\nheader chunk=1\nfill 60000")))
	want := liveRows(s, false)
	for _, f := range formats {
		if got, _, err := dumpRows(t, s, f, Selection{}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %d rows, want %d, or others", f, err, len(got), len(want))
		}
	}
}

var errStop = errors.New("stop")
