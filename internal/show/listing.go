package show

import (
	"bufio"
	"fmt"

	"dmcow/fs"
	"dmcow/internal/words"
)

// Listing is a list of files for people, which is written while they are found.
type Listing struct{ w *bufio.Writer }

// NewListing begins one.
func NewListing(t *Text) *Listing { return &Listing{bufio.NewWriter(t.to)} }

// Add writes a file, as ls -l does.
func (l *Listing) Add(path string, a fs.Attr, target string) error {
	size := fmt.Sprint(a.Size)
	if a.Type == fs.TypeCharDevice || a.Type == fs.TypeBlockDevice {
		size = fmt.Sprintf("%d, %d", a.Major, a.Minor)
	}
	text := words.Printable(path)
	switch a.Type {
	case fs.TypeDirectory:
		text = words.Printable(path + "/")
	case fs.TypeSymlink:
		text += " -> " + words.Printable(target)
	}
	_, err := fmt.Fprintf(l.w, "%s %3d %5d %5d %12s  %s  %s\n", modeWords(a), a.Links, a.UID, a.GID, size, clock(a.Modified.Time()), text)
	return err
}

// Close ends it.
func (l *Listing) Close() error { return l.w.Flush() }

var typeLetters = map[fs.Type]byte{
	fs.TypeFile: '-', fs.TypeDirectory: 'd', fs.TypeSymlink: 'l', fs.TypeCharDevice: 'c', fs.TypeBlockDevice: 'b', fs.TypeFIFO: 'p', fs.TypeSocket: 's',
	fs.TypeUnknown: '?',
}

// modeWords are the letters of a mode.
func modeWords(a fs.Attr) string {
	b := []byte("?rwxrwxrwx")
	b[0] = typeLetters[a.Type]
	for n := range 9 {
		if a.Mode>>(8-n)&1 == 0 {
			b[1+n] = '-'
		}
	}
	for n, letters := range []string{"tT", "sS", "sS"} { // sticky; set group, set user
		if at := 9 - 3*n; a.Mode>>(9+n)&1 != 0 {
			b[at] = letters[1-min(1, int(a.Mode>>(3*n)&1))]
		}
	}
	return string(b)
}

// Got says what was copied.
func Got(files, directories uint64, bytes int64) string {
	text := "copied " + words.Count(files, "file")
	switch directories {
	case 0:
	case 1:
		text += " and 1 directory"
	default:
		text += fmt.Sprintf(" and %d directories", directories)
	}
	return text + ", " + words.Size(bytes)
}
