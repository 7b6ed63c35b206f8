package dump

import (
	"encoding/csv"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Listed is a store among others: what there is to say of where it is, and its usage. What
// cannot be told is null. Of a store that cannot be read, the state is "unreadable".
type Listed struct {
	Name          string  `json:"name" doc:"VG/LV, or the name of a device-mapper device"`
	Active        bool    `json:"active" doc:"whether the kernel has the snapshot loaded"`
	Merging       bool    `json:"merging" doc:"whether a merge into the origin has begun"`
	Origin        *string `json:"origin" doc:"the origin, as VG/LV or as a path"`
	COWDevice     *string `json:"cow_device" doc:"path of the COW device, if it exists"`
	OriginSectors *uint64 `json:"origin_sectors" doc:"size of the snapshot itself, in sectors; the origin may be larger"`
	Usage
}

// ListJSON writes an array of objects.
func ListJSON(w io.Writer, all []Listed) error {
	return writeJSON(w, append([]Listed{}, all...))
}

// ListCSV writes a line for each store, under a first line of the JSON fields' names. What
// cannot be told is empty.
func ListCSV(w io.Writer, all []Listed) error { return writeRows(w, true, all) }

// writeRows writes a line of CSV for each record: its JSON fields, those of embedded ones too, and nothing for what cannot
// be told; and before that their names, where they are asked for.
func writeRows[T any](w io.Writer, head bool, all []T) error {
	fields, names := rowFields(reflect.TypeFor[T]())
	out := csv.NewWriter(w)
	if head {
		out.Write(names)
	}
	row := make([]string, len(fields))
	for i := range all {
		v := reflect.ValueOf(&all[i]).Elem()
		for n, f := range fields {
			row[n] = fieldText(v.FieldByIndex(f.Index))
		}
		out.Write(row)
	}
	out.Flush()
	return out.Error()
}

// rowFields are all fields of a record, in order, and their names.
func rowFields(t reflect.Type) (fields []reflect.StructField, names []string) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue // an embedded record, whose fields follow
		}
		fields, names = append(fields, f), append(names, name)
	}
	return fields, names
}

// fieldText is a field's value; empty where it cannot be told.
func fieldText(field reflect.Value) string {
	if field.Kind() == reflect.Pointer {
		field = field.Elem()
	}
	if !field.IsValid() {
		return ""
	}
	return fmt.Sprint(field.Interface())
}

// columnsOf are the names of the columns of a row.
func columnsOf(row any) (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeOf(row)) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
