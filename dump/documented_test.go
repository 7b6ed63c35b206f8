package dump

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/storespec"
)

// TestDocumented: no field that a program is told lacks a name or a text.
func TestDocumented(t *testing.T) {
	for _, d := range Documented() {
		all := Fields(d.Type)
		if len(all) == 0 || d.Flag == "" || d.Shape == "" {
			t.Errorf("%+v: %d fields", d, len(all))
		}
		for _, f := range all {
			if last := f.Name[strings.LastIndex(f.Name, ".")+1:]; last == "" || f.Doc == "" || f.Type == "" {
				t.Errorf("%s %s: %+v", d.Command, d.Flag, f)
			}
		}
	}
	for _, m := range Metrics() {
		if m.Name == "" || m.Help == "" {
			t.Errorf("%+v", m)
		}
	}
}

// TestFields: fields in fields are named by the way to them.
func TestFields(t *testing.T) {
	type inner struct {
		B *uint64 `json:"b" doc:"two"`
	}
	type embedded struct {
		A string `json:"a" doc:"one"`
	}
	type outer struct {
		embedded
		All  []inner           `json:"all" doc:"some"`
		One  *inner            `json:"one,omitempty" doc:"one"`
		Text []string          `json:"text" doc:"words"`
		Map  map[string]string `json:"map" doc:"by name"`
		Yes  bool              `json:"yes" doc:"or no"`
	}
	want := []Field{
		{"a", "text", false, "one"},
		{"all", "array of object", false, "some"}, {"all[].b", "number", true, "two"},
		{"one", "object", true, "one; left out if there is nothing to say"}, {"one.b", "number", true, "two"},
		{"text", "array of text", false, "words"}, {"map", "object", false, "by name"}, {"yes", "true or false", false, "or no"},
	}
	if got := Fields(reflect.TypeFor[outer]()); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

// TestDumpedByHand: what is written by hand has the fields of the type that documents it, and no others.
func TestDumpedByHand(t *testing.T) {
	image, err := storespec.Compile("device 100\nheader chunk=1\nex 0 5 2\nex 2 6 9\n")
	if err != nil {
		t.Fatal(err)
	}
	g, err := format.NewGeometry(1)
	if err != nil {
		t.Fatal(err)
	}
	s := Store{
		Device: "d", Header: &format.Header{},
		Walk:    format.Walk{Device: bytes.NewReader(image), Size: format.Bytes(len(image)), Geometry: g},
		Verdict: func(format.End, error) (string, []string) { return "valid", []string{"a fault"} },
	}
	var b bytes.Buffer
	stop := errors.New("stop")
	if _, err := Exceptions(&b, s, JSON, Selection{Hidden: true, Ranges: true, Stale: true}, func(format.AreaIndex) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	var got dumped
	d := json.NewDecoder(bytes.NewReader(b.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, &b)
	}
	for _, f := range Fields(reflect.TypeFor[dumped]()) {
		if name := `"` + f.Name[strings.LastIndex(f.Name, ".")+1:] + `": `; !strings.Contains(b.String(), name) {
			t.Errorf("there is no %s in %s", name, &b)
		}
	}
}

// TestRowsByHand: the first lines of CSV that is written by hand name the fields that are documented.
func TestRowsByHand(t *testing.T) {
	names := func(of reflect.Type) (all []string) {
		for _, f := range Fields(of) {
			all = append(all, f.Name)
		}
		return all
	}
	for head, of := range map[string]reflect.Type{
		strings.TrimSpace(csvLayout(Selection{Ranges: true, Stale: true}).title): reflect.TypeFor[exceptionRow](),
		FailedHead:    reflect.TypeFor[failedChunk](),
		UncertainHead: reflect.TypeFor[Stretch](),
	} {
		if want := names(of); !slices.Equal(strings.Split(head, ","), want) {
			t.Errorf("%q, want %q", head, want)
		}
	}
}
