package dump

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Listed is a store among others: what there is to say of where it is, and its usage. What
// cannot be told is null. Of a store that cannot be read, the state is "unreadable".
type Listed struct {
	Name          string  `json:"name"`       // VG/LV, or that of a device-mapper device
	Active        bool    `json:"active"`     // its COW device is mapped here
	Merging       bool    `json:"merging"`    // a merge into the origin was begun
	Origin        *string `json:"origin"`     // VG/LV, or a path
	COWDevice     *string `json:"cow_device"` // its path, while there is one
	OriginSectors *uint64 `json:"origin_sectors"`
	Usage
}

// ListJSON writes an array of objects.
func ListJSON(w io.Writer, all []Listed) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(append([]Listed{}, all...))
}

// ListCSV writes a line for each store, under a first line of the JSON fields' names. What
// cannot be told is empty.
func ListCSV(w io.Writer, all []Listed) error {
	c := csv.NewWriter(w)
	if err := c.Write(listFields()); err != nil {
		return err
	}
	for _, l := range all {
		if err := c.Write(listRow(l)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// listFields are the names of all fields, in order.
func listFields() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Listed]()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func listRow(l Listed) (row []string) {
	v := reflect.ValueOf(l)
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Tag.Get("json") == "" {
			continue
		}
		field := v.FieldByIndex(f.Index)
		if field.Kind() == reflect.Pointer {
			if field.IsNil() {
				row = append(row, "")
				continue
			}
			field = field.Elem()
		}
		row = append(row, fmt.Sprint(field.Interface()))
	}
	return row
}
