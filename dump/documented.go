package dump

import (
	"reflect"
	"strings"
)

// Document is what a command writes for programs in a format: the manual's tables of fields are made of it.
type Document struct {
	Command string // "usage"; empty for a list that a flag of several commands writes
	Flag    string // "--output json", or the flag that names the file
	Shape   string // what there is of the type: "an object", "an array, one object per store", "one row per store"
	Type    reflect.Type
}

// Documented are all documents. Each field of their types says in its tag doc what it is, and in which unit.
func Documented() []Document {
	const (
		asJSON  = "--output json"
		asCSV   = "--output csv"
		object  = "an object"
		objects = "an array, one object per store"
		row     = "one row per store"
	)
	return []Document{
		{"dump", asJSON, object, reflect.TypeFor[dumped]()},
		{"dump", asCSV, "one row per exception, or per run of exceptions", reflect.TypeFor[exceptionRow]()},
		{"usage", asJSON, objects, reflect.TypeFor[Usage]()},
		{"usage", "--by-file --output json", object, reflect.TypeFor[ownedStore]()},
		{"check", asJSON, "an object; for several stores, an array, one object per store", reflect.TypeFor[checked]()},
		{"list", asJSON, objects, reflect.TypeFor[Listed]()},
		{"list", asCSV, row, reflect.TypeFor[Listed]()},
		{"watch", asCSV, "one row per snapshot and look", reflect.TypeFor[Watched]()},
		{"watch", asJSON, "one line per snapshot and look, each an object", reflect.TypeFor[Watched]()},
		{"diff", asJSON, object, reflect.TypeFor[differing]()},
		{"diff", asCSV, "one row per range", reflect.TypeFor[Stretch]()},
		{"files", asJSON, object, reflect.TypeFor[differingFiles]()},
		{"files", asCSV, "one row per file", reflect.TypeFor[csvFile]()},
		{"ls", asJSON, object, reflect.TypeFor[listing]()},
		{"ls", asCSV, "one row per file", reflect.TypeFor[csvEntry]()},
		{"get", asJSON, object, reflect.TypeFor[Got]()},
		{"initialize", asJSON, object, reflect.TypeFor[Initialized]()},
		{"create", asJSON, object, reflect.TypeFor[Created]()},
		{"invalidate", asJSON, object, reflect.TypeFor[Marked]()},
		{"revalidate", asJSON, object, reflect.TypeFor[Marked]()},
		{"merge", asJSON, "an object; for several snapshots, an array with one object per merge", reflect.TypeFor[Merged]()},
		{"receive", asJSON, object, reflect.TypeFor[Received]()},
		{"merge", "--failed", "one row per chunk", reflect.TypeFor[failedChunk]()},
		{"merge-step", asJSON, object, reflect.TypeFor[Stepped]()},
		{"repair", asJSON, object, reflect.TypeFor[repaired]()},
		{"export", asJSON, object, reflect.TypeFor[Exported]()},
		{"send", asJSON, object, reflect.TypeFor[Sent]()},
		{"", "--log", "one line per run, each an object", reflect.TypeFor[Run]()},
		{"", "--uncertain", "one row per range", reflect.TypeFor[Stretch]()},
	}
}

// Field is a field of a document.
type Field struct {
	Name string // "device"; of what stands in another field, "findings[].rule" or "header.magic"
	Type string // text, number, true or false, object, or array of these
	Null bool   // it is null where there is nothing to tell
	Doc  string
}

// Fields are the fields of a type of [Documented], in their order, with those of what stands in them.
func Fields(t reflect.Type) []Field { return fieldsOf(t, "") }

func fieldsOf(t reflect.Type, prefix string) (all []Field) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			all = append(all, fieldsOf(f.Type, prefix)...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner, kind, behind := f.Type, "", ""
		null := inner.Kind() == reflect.Pointer
		if null {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Slice {
			inner, kind, behind = inner.Elem(), "array of ", "[]"
		}
		x := Field{prefix + name, kind + kindName(inner), null, f.Tag.Get("doc")}
		if strings.Contains(options, "omitempty") {
			x.Doc += "; left out if there is nothing to say"
		}
		all = append(all, x)
		if inner.Kind() == reflect.Struct {
			all = append(all, fieldsOf(inner, prefix+name+behind+".")...)
		}
	}
	return all
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Struct, reflect.Map:
		return "object"
	}
	return "number"
}

// Metric is a metric of usage --output prometheus.
type Metric struct{ Name, Help string }

// Metrics are all metrics, each a gauge. Those of a store have the label device and, where they are known, vg, lv,
// uuid and origin.
func Metrics() []Metric {
	all := []Metric{{readable, readableHelp}, {buildInfo, buildHelp}, {written, writtenHelp}}
	for _, m := range metrics {
		all = append(all, Metric{m.name, m.help})
	}
	return all
}
