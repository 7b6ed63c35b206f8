package dump

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"dmcow/fs"
)

// listing is what a Listing writes as JSON.
type listing struct {
	listingHead
	Entries []entryRow `json:"entries" doc:"what is in the directory, or the file itself"`
}

type listingHead struct {
	Device string `json:"device" doc:"what the file system lies on, as it was named"`
	Type   string `json:"file_system" doc:"ext2, ext3, ext4 or xfs"`
}

type entryRow struct {
	Path     string  `json:"path" doc:"its path; what is not UTF-8 is replaced by U+FFFD (in CSV it is byte for byte)"`
	Base64   *[]byte `json:"path_base64" doc:"the path in base64 if it is not UTF-8, else null"`
	Type     string  `json:"type" doc:"file, directory, symlink, char, block, fifo or socket"`
	Mode     string  `json:"mode" doc:"permissions, in octal digits"`
	Links    uint64  `json:"links" doc:"names that it has"`
	UID      uint64  `json:"uid" doc:"number of its owner"`
	GID      uint64  `json:"gid" doc:"number of its group"`
	Size     uint64  `json:"size" doc:"size, in bytes"`
	Modified string  `json:"modified" doc:"when its content was changed last, as in 2026-11-28T03:00:00.5Z (RFC 3339, UTC)"`
	Inode    uint64  `json:"inode" doc:"number of its inode"`
	Device   *string `json:"device_number" doc:"of a device file, its major and minor number, as in 8:1; else null"`
	Target   *string `json:"target" doc:"where a symbolic link leads; what is not UTF-8 is replaced by U+FFFD; null for other files"`
	Target64 *[]byte `json:"target_base64" doc:"the same in base64 if it is not UTF-8, else null"`
}

// Listing is a list of files that is written while they are found, as JSON or CSV.
type Listing struct {
	w    *bufio.Writer
	rows *csv.Writer // nil for JSON
	next string      // what stands before the next entry
}

// NewListing begins one.
func NewListing(to io.Writer, asCSV bool, device, kind string) *Listing {
	l := &Listing{w: bufio.NewWriter(to), next: "\n  "}
	if asCSV {
		l.rows = csv.NewWriter(l.w)
		_ = l.rows.Write(columnsOf(csvEntry{})) // Close tells
		return l
	}
	text, _ := json.Marshal(listingHead{device, kind}) // of two texts
	fmt.Fprintf(l.w, "%s, \"entries\": [", text[:len(text)-1])
	return l
}

// csvEntry is a row of a listing.
type csvEntry struct {
	Path     string `json:"path" doc:"its path, byte for byte"`
	Type     string `json:"type" doc:"file, directory, symlink, char, block, fifo or socket"`
	Mode     string `json:"mode" doc:"permissions, in octal digits"`
	Links    uint64 `json:"links" doc:"names that it has"`
	UID      uint64 `json:"uid" doc:"number of its owner"`
	GID      uint64 `json:"gid" doc:"number of its group"`
	Size     uint64 `json:"size" doc:"size, in bytes"`
	Modified string `json:"modified" doc:"when its content was changed last (RFC 3339, UTC)"`
	Inode    uint64 `json:"inode" doc:"number of its inode"`
	Device   string `json:"device_number" doc:"of a device file, its major and minor number, as in 8:1"`
	Target   string `json:"target" doc:"where a symbolic link leads, byte for byte"`
}

// Add writes a file.
func (l *Listing) Add(path string, a fs.Attr, target string) error {
	device := ""
	if a.Type == fs.TypeCharDevice || a.Type == fs.TypeBlockDevice {
		device = fmt.Sprintf("%d:%d", a.Major, a.Minor)
	}
	mode, modified := fmt.Sprintf("%04o", a.Mode&0o7777), a.Modified.Time().Format(time.RFC3339Nano)
	if l.rows != nil {
		number := func(n uint64) string { return strconv.FormatUint(n, 10) }
		return l.rows.Write([]string{
			path, TypeWord(a.Type), mode, number(uint64(a.Links)), number(uint64(a.UID)), number(uint64(a.GID)), number(uint64(a.Size)), modified,
			number(uint64(a.Ino)), device, target,
		})
	}
	n := nameOf(path)
	r := entryRow{
		Path: n.Path, Base64: n.Bytes, Type: TypeWord(a.Type), Mode: mode, Links: uint64(a.Links), UID: uint64(a.UID), GID: uint64(a.GID),
		Size: uint64(a.Size), Modified: modified, Inode: uint64(a.Ino),
	}
	if device != "" {
		r.Device = &device
	}
	if a.Type == fs.TypeSymlink {
		n := nameOf(target)
		r.Target, r.Target64 = &n.Path, n.Bytes
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.w, "%s%s", l.next, line)
	l.next = ",\n  "
	return err
}

// Close ends it.
func (l *Listing) Close() error {
	if l.rows == nil {
		fmt.Fprint(l.w, "]}\n")
		return l.w.Flush()
	}
	l.rows.Flush()
	if err := l.rows.Error(); err != nil {
		return err
	}
	return l.w.Flush()
}

// Got is what was copied out of a file system.
type Got struct {
	Device      string `json:"device" doc:"what the file system lies on, as it was named"`
	Type        string `json:"file_system" doc:"ext2, ext3, ext4 or xfs"`
	Destination string `json:"destination" doc:"the directory, or the new name"`
	Files       uint64 `json:"files" doc:"regular files that were copied"`
	Directories uint64 `json:"directories" doc:"directories"`
	Symlinks    uint64 `json:"symlinks" doc:"symbolic links"`
	Specials    uint64 `json:"specials" doc:"devices, pipes and sockets"`
	Links       uint64 `json:"hard_links" doc:"further names of files that were copied"`
	Bytes       uint64 `json:"bytes" doc:"content that was written, without holes"`
	Skipped     uint64 `json:"attributes_not_set" doc:"extended attributes that could not be set"`
}
