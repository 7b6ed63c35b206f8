package show

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"dmcow/dump"
	"dmcow/fs"
	"dmcow/fs/compare"
	"dmcow/internal/words"
)

// Files shows the files that differ, and what else changed.
func Files(t *Text, f dump.Files) error {
	head := [][2]string{{"snapshot", words.Printable(f.Device)}, {"origin", words.Printable(f.Origin)}}
	if f.Against != "" {
		head = append(head, [2]string{"against", words.Printable(f.Against)})
	}
	t.sheet(append(head, [2]string{"file system", f.Type}))
	all, count := f.Shown()
	if len(all) > 0 {
		t.write("", fileRows(t, all))
	}
	t.Line("\n%s", filesTotal(f, all, count))
	if n := f.Result.Accessed; n > 0 {
		t.Line("only read: %s (--accessed lists them)", words.Count(n, "file"))
	}
	t.Line("%s: %s", "changed chunks", words.Bytes(f.Result.Bytes))
	rows := [][2]string{{"  files", words.Bytes(f.Result.OfFiles)}}
	for _, x := range f.Shares() {
		rows = append(rows, [2]string{"  " + x.What, words.Bytes(x.Bytes)})
	}
	t.sheet(rows)
	return t.err
}

// filesTotal says how many files have become what.
func filesTotal(f dump.Files, shown []compare.File, count int) string {
	kinds := map[compare.Kind]int{}
	every := f
	every.Top = 0
	all, _ := every.Shown()
	for _, x := range all {
		kinds[x.Kind]++
	}
	var parts []string
	for k := compare.Created; k <= compare.Accessed; k++ {
		if kinds[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", kinds[k], kindWord(k)))
		}
	}
	text := words.Count(count, "file") + " differ"
	if count == 1 {
		text += "s"
	}
	if f.Path != "" {
		text += " in " + words.Printable(f.Path)
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if len(shown) < count {
		text += fmt.Sprintf("; shown are the %d with the most changed bytes", len(shown))
	}
	return text
}

func kindWord(k compare.Kind) string {
	if k == compare.Attributes {
		return "in attributes"
	}
	return k.String()
}

// fileRows writes a row for each file: there may be millions.
func fileRows(t *Text, all []compare.File) error {
	if t.err != nil {
		return nil
	}
	head := [4]string{"changed", "before", "after", "what"}
	wide := [4]int{len(head[0]), len(head[1]), len(head[2]), len(head[3])}
	cells := func(f compare.File) [4]string {
		return [4]string{strconv.FormatInt(f.Bytes, 10), fileSize(f, 0), fileSize(f, 1), fileWhat(f)}
	}
	for _, f := range all {
		for i, c := range cells(f) {
			wide[i] = max(wide[i], len(c))
		}
	}
	w := bufio.NewWriter(t.to)
	line := func(c [4]string, path string) {
		fmt.Fprintf(w, "%*s  %*s  %*s  %-*s  %s\n", wide[0], c[0], wide[1], c[1], wide[2], c[2], wide[3], c[3], path)
	}
	fmt.Fprintln(w)
	line(head, "path")
	for _, f := range all {
		line(cells(f), filePath(f))
	}
	return w.Flush()
}

func fileSize(f compare.File, s compare.Side) string {
	if f.Size[s] < 0 || f.Type == fs.TypeDirectory {
		return "-"
	}
	return strconv.FormatInt(f.Size[s], 10)
}

// fileWhat is what has become of a file; of its attributes, which ones.
func fileWhat(f compare.File) string {
	if all := f.Differs.Words(); f.Kind == compare.Attributes && len(all) > 0 {
		return strings.Join(all, ",")
	}
	return f.Kind.String()
}

// filePath are the names of a file.
func filePath(f compare.File) string {
	old, now := pathWords(f, compare.Old), pathWords(f, compare.New)
	switch {
	case old == "" && now == "":
		return fmt.Sprintf("(no name; inode %d)", f.Ino)
	case old == "" || old == now:
		return now
	case now == "":
		return old
	}
	return old + " -> " + now
}

func pathWords(f compare.File, s compare.Side) string {
	var all []string
	for _, p := range f.Paths[s] {
		if f.Type == fs.TypeDirectory {
			p += "/"
		}
		all = append(all, words.Printable(p))
	}
	if len(all) > 1 {
		return all[0] + " (also " + strings.Join(all[1:], ", ") + ")"
	}
	return strings.Join(all, "")
}
