package dump

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dmcow/fs"
	"dmcow/fs/compare"
)

// Files are the files that differ between a snapshot and its origin, or another snapshot.
type Files struct {
	Device, State, Origin string
	Against               string // the other snapshot; empty for the origin
	Type                  string // of the file system
	Chunk                 uint64 // in bytes
	Path                  string // what is in or below it alone is shown; empty for all
	Top                   int    // so many with the most changed bytes are shown; 0 for all
	Result                *compare.Result
}

// Shown are the files that are shown, and how many there are in the path.
func (f Files) Shown() (all []compare.File, count int) {
	all = f.Result.Files
	if dir := strings.TrimRight(f.Path, "/"); dir != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(x compare.File) bool {
			return !slices.ContainsFunc(slices.Concat(x.Paths[0], x.Paths[1]), func(p string) bool {
				return p == dir || strings.HasPrefix(p, dir+"/")
			})
		})
	}
	count = len(all)
	if f.Top > 0 {
		all = slices.Clone(all)
		slices.SortStableFunc(all, func(a, b compare.File) int { return cmp.Compare(b.Bytes, a.Bytes) })
		all = all[:min(f.Top, len(all))]
	}
	return all, count
}

// pathName is a name in a file system, whose bytes need not be text.
type pathName struct {
	Path  string  `json:"path" doc:"a path; what is not UTF-8 is replaced by U+FFFD"`
	Bytes *[]byte `json:"path_base64" doc:"the path in base64 if it is not UTF-8, else null"`
}

func nameOf(path string) pathName {
	if utf8.ValidString(path) {
		return pathName{path, nil}
	}
	return pathName{strings.ToValidUTF8(path, "\ufffd"), new([]byte(path))}
}

// differingFiles is what FilesJSON writes.
type differingFiles struct {
	filesHead
	Files []fileRow `json:"files" doc:"the files that differ"`
}

type filesHead struct {
	Device   string      `json:"device" doc:"the COW device, as it was named"`
	State    string      `json:"state" doc:"valid, invalid or damaged"`
	Origin   string      `json:"origin" doc:"the origin, as it was named"`
	Against  *string     `json:"against" doc:"the other snapshot; null if the snapshot is compared with its origin"`
	Type     string      `json:"file_system" doc:"ext2, ext3, ext4 or xfs"`
	Chunk    uint64      `json:"chunk_bytes" doc:"size of a chunk, in bytes"`
	Bytes    uint64      `json:"changed_bytes" doc:"size of all changed chunks"`
	Count    uint64      `json:"file_count" doc:"files that differ; with --path, in that directory"`
	Accessed uint64      `json:"accessed" doc:"files that differ in nothing but the time of access"`
	Usage    filesShares `json:"usage" doc:"what the bytes of the changed chunks belong to; the sum is changed_bytes"`
}

type filesShares struct {
	Files       uint64 `json:"files" doc:"bytes of the files that differ"`
	Unchanged   uint64 `json:"unchanged_files" doc:"bytes of files that do not differ: written with the same data again, or in a chunk with what changed"`
	Directories uint64 `json:"directories" doc:"bytes of directories that differ"`
	Inodes      uint64 `json:"inode_tables" doc:"bytes of inode tables"`
	Bitmaps     uint64 `json:"bitmaps" doc:"bytes of maps of free space and of inodes"`
	Journal     uint64 `json:"journal" doc:"bytes of the file system's journal"`
	Metadata    uint64 `json:"other_metadata" doc:"bytes of other metadata"`
	Free        uint64 `json:"free" doc:"bytes of free space"`
	Outside     uint64 `json:"outside" doc:"bytes behind the end of the file system"`
}

func sharesOf(r *compare.Result) filesShares {
	s := filesShares{Files: uint64(r.OfFiles)}
	for use, n := range r.Rest {
		*s.of(fs.Use(use)) += uint64(n)
	}
	return s
}

// of is the sum to which bytes of a use belong that no file that differs has.
func (s *filesShares) of(u fs.Use) *uint64 {
	switch u {
	case fs.Outside:
		return &s.Outside
	case fs.Free:
		return &s.Free
	case fs.Journal:
		return &s.Journal
	case fs.InodeTable:
		return &s.Inodes
	case fs.SpaceMap, fs.InodeMap:
		return &s.Bitmaps
	case fs.Directory:
		return &s.Directories
	case fs.Allocated, fs.Data, fs.Unwritten, fs.Symlink:
		return &s.Unchanged
	}
	return &s.Metadata
}

// Share is how many bytes have one use.
type Share struct {
	What  string
	Bytes uint64
}

// Shares are what the changed chunks are used for, besides the files that differ: without what has no bytes.
func (f Files) Shares() (all []Share) {
	s := sharesOf(f.Result)
	for _, x := range []Share{
		{"files that did not change", s.Unchanged}, {"directories", s.Directories}, {"inode tables", s.Inodes}, {"bitmaps", s.Bitmaps},
		{"journal", s.Journal}, {"other metadata", s.Metadata}, {"free space", s.Free}, {"outside the file system", s.Outside},
	} {
		if x.Bytes > 0 {
			all = append(all, x)
		}
	}
	return all
}

// fileRow is a file that differs.
type fileRow struct {
	Change     string     `json:"change" doc:"created, deleted, changed, renamed, linked (it has more hard links, or less), attributes or accessed"`
	Type       string     `json:"type" doc:"file, directory, symlink, char, block, fifo or socket"`
	Inode      uint64     `json:"inode" doc:"number of its inode"`
	Path       string     `json:"path" doc:"its path, of a deleted file the old one; what is not UTF-8 is replaced by U+FFFD; empty if no directory has it"`
	Base64     *[]byte    `json:"path_base64" doc:"the path in base64 if it is not UTF-8, else null"`
	OldPath    *string    `json:"old_path" doc:"its path before, if that was another one, else null"`
	OldBase64  *[]byte    `json:"old_path_base64" doc:"the same in base64 if it is not UTF-8, else null"`
	Links      []pathName `json:"further_paths" doc:"further names (hard links)"`
	OldLinks   []pathName `json:"old_further_paths" doc:"further names before"`
	OldSize    *uint64    `json:"old_size" doc:"size before, in bytes; null if it was created"`
	Size       *uint64    `json:"size" doc:"size after, in bytes; null if it was deleted"`
	Bytes      uint64     `json:"changed_bytes" doc:"bytes of the changed chunks that belong to it, before or after"`
	Attributes []string   `json:"attributes" doc:"attributes that differ: mode, owner, modified, flags, xattrs"`
}

var typeWords = map[fs.Type]string{
	fs.TypeFile: "file", fs.TypeDirectory: "directory", fs.TypeSymlink: "symlink", fs.TypeCharDevice: "char", fs.TypeBlockDevice: "block",
	fs.TypeFIFO: "fifo", fs.TypeSocket: "socket", fs.TypeUnknown: "unknown",
}

// TypeWord is the type of a file in a word.
func TypeWord(t fs.Type) string { return typeWords[t] }

func sizeOf(n int64) *uint64 {
	if n < 0 {
		return nil
	}
	return new(uint64(n))
}

func rowOf(f compare.File) fileRow {
	r := fileRow{
		Change: f.Kind.String(), Type: TypeWord(f.Type), Inode: uint64(f.Ino), Bytes: uint64(f.Bytes), OldSize: sizeOf(f.Size[0]), Size: sizeOf(f.Size[1]),
		Attributes: append([]string{}, f.Differs.Words()...), Links: []pathName{}, OldLinks: []pathName{},
	}
	n := nameOf(f.Path())
	r.Path, r.Base64 = n.Path, n.Bytes
	if before := f.Paths[0]; len(before) > 0 {
		if before[0] != f.Path() {
			n := nameOf(before[0])
			r.OldPath, r.OldBase64 = &n.Path, n.Bytes
		}
		for _, p := range before[1:] {
			r.OldLinks = append(r.OldLinks, nameOf(p))
		}
	}
	for _, p := range f.Paths[1][min(1, len(f.Paths[1])):] {
		r.Links = append(r.Links, nameOf(p))
	}
	return r
}

// FilesJSON writes an object.
func FilesJSON(to io.Writer, f Files) error {
	all, count := f.Shown()
	head := filesHead{
		Device: f.Device, State: f.State, Origin: f.Origin, Type: f.Type, Chunk: f.Chunk, Bytes: uint64(f.Result.Bytes), Count: uint64(count),
		Accessed: f.Result.Accessed, Usage: sharesOf(f.Result),
	}
	if f.Against != "" {
		head.Against = &f.Against
	}
	return writeList(to, head, "files", all, func(x compare.File) any { return rowOf(x) })
}

// writeList writes an object of what a head has, and of rows, one at a time: there may be many.
func writeList[T any](to io.Writer, head any, name string, all []T, row func(T) any) error {
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "%s, %q: [", text[:len(text)-1], name)
	for i, x := range all {
		line, err := json.Marshal(row(x))
		if err != nil {
			return err
		}
		separator := ",\n  "
		if i == 0 {
			separator = "\n  "
		}
		fmt.Fprintf(w, "%s%s", separator, line)
	}
	fmt.Fprint(w, "]}\n")
	return w.Flush()
}

// csvFile is a row of FilesCSV.
type csvFile struct {
	Change     string  `json:"change" doc:"created, deleted, changed, renamed, linked (it has more hard links, or less), attributes or accessed"`
	Type       string  `json:"type" doc:"file, directory, symlink, char, block, fifo or socket"`
	Inode      uint64  `json:"inode" doc:"number of its inode"`
	Path       string  `json:"path" doc:"its path, byte for byte; of a deleted file the old one"`
	OldPath    string  `json:"old_path" doc:"its path before, if that was another one"`
	OldSize    *uint64 `json:"old_size" doc:"size before, in bytes"`
	Size       *uint64 `json:"size" doc:"size after, in bytes"`
	Bytes      uint64  `json:"changed_bytes" doc:"bytes of the changed chunks that belong to it, before or after"`
	Attributes string  `json:"attributes" doc:"attributes that differ, with blanks between them"`
}

// FilesCSV writes a row for each file.
func FilesCSV(to io.Writer, f Files) error {
	w := csv.NewWriter(to)
	if err := w.Write(columnsOf(csvFile{})); err != nil {
		return err
	}
	all, _ := f.Shown()
	for _, x := range all {
		old := ""
		if len(x.Paths[0]) > 0 && x.Paths[0][0] != x.Path() {
			old = x.Paths[0][0]
		}
		row := []string{
			x.Kind.String(), TypeWord(x.Type), strconv.FormatUint(uint64(x.Ino), 10), x.Path(), old, digits(x.Size[0]), digits(x.Size[1]),
			strconv.FormatInt(x.Bytes, 10), strings.Join(x.Differs.Words(), " "),
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func digits(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
