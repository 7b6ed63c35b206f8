package show

import (
	"bufio"
	"fmt"

	"dmcow/dump"
	"dmcow/internal/words"
)

// Owned shows who owns the chunks of a store.
func Owned(t *Text, o dump.Owned) error {
	t.sheet([][2]string{{"device", words.Printable(o.Device)}, {"origin", words.Printable(o.Origin)}, {"file system", o.Type}})
	if shown := o.Shown(); len(shown) > 0 {
		t.write("", ownedRows(t, shown))
	}
	text := fmt.Sprintf("\nchunks: %s", words.Bytes(o.Bytes))
	if n := len(o.Files) - len(o.Shown()); n > 0 {
		text += fmt.Sprintf("; %d more with less bytes", n)
	}
	t.Line("%s", text)
	shares := append(o.Shares(), dump.SidesShare{What: "all", Snapshot: uint64(o.Bytes), Origin: uint64(o.Bytes)})
	if err := table(t, ownedHead, shares, ownedRow); err != nil {
		return err
	}
	t.Line("\nthe store itself: %s of header and metadata areas, %s leaked", words.Size(o.Metadata), words.Size(o.Leaked))
	return t.err
}

var ownedHead = []column{{Head: "what"}, {Head: "on the snapshot", Right: true}, {Head: "on the origin", Right: true}}

func ownedRow(s dump.SidesShare, _ int) []string {
	return []string{s.What, words.Size(s.Snapshot), words.Size(s.Origin)}
}

// ownedRows writes a row for each file: there may be millions.
func ownedRows(t *Text, all []dump.OwnedFile) error {
	if t.err != nil {
		return nil
	}
	head := [2]string{"snapshot", "origin"}
	wide := [2]int{len(head[0]), len(head[1])}
	for _, f := range all {
		wide[0], wide[1] = max(wide[0], len(fmt.Sprint(f.Snapshot))), max(wide[1], len(fmt.Sprint(f.Origin)))
	}
	w := bufio.NewWriter(t.to)
	fmt.Fprintf(w, "\n%*s  %*s  path\n", wide[0], head[0], wide[1], head[1])
	for _, f := range all {
		path := words.Printable(f.Path)
		if path == "" {
			path = fmt.Sprintf("(no name; inode %d)", max(f.Ino[0], f.Ino[1]))
		}
		fmt.Fprintf(w, "%*d  %*d  %s\n", wide[0], f.Snapshot, wide[1], f.Origin, path)
	}
	return w.Flush()
}
