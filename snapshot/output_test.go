package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const listHead = "list of nothing\n"

// TestListFile: a list goes to a new file, over an empty one or an older list, and over nothing else.
func TestListFile(t *testing.T) {
	r := newRig(t)
	r.file("empty", nil)
	r.file("older", []byte(listHead+"row\nrow\nrow\n"))
	r.file("text", []byte("list of something"))
	r.file("short", []byte(listHead[:5]))
	out, err := os.Create("stdout")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := os.Mkdir("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".", "here"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		here + "/cow": "already used for something else",
		"":            "", "-": "", "new": "", "empty": "", "older": "", "pipe": "", os.DevNull: "",
		"text": "holds something other", "short": "holds something other", "stdout": "standard output or standard error goes to it", "dir": "not a regular file",
		"cow": "already used for something else", "here/cow": "already used for something else", "none/list": "no such file", "text/list": "not a directory",
	} {
		l := ListFile{Name: name, Head: listHead, Stdout: io.Discard, Outputs: []*os.File{nil, out}}
		switch err := l.Check("", "cow", "origin"); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "":
			r.refused(err, wanted{Unable, name, want, nil})
		}
	}
	rows := func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Repeat("row\n", 50_000))
		return err
	}
	want := listHead + strings.Repeat("row\n", 50_000)
	for _, name := range []string{"new", "empty", "older"} {
		if err := (ListFile{Name: name, Head: listHead}).Write(rows); err != nil || string(r.read(name)) != want {
			t.Errorf("%s: %d bytes, %v", name, len(r.read(name)), err)
		}
	}
	var stdout bytes.Buffer
	if err := (ListFile{Name: "-", Head: listHead, Stdout: &stdout}).Write(rows); err != nil || stdout.String() != want {
		t.Errorf("standard output: %d bytes, %v", stdout.Len(), err)
	}
	if err := (ListFile{Head: listHead}).Write(func(io.Writer) error { return errBroken }); err != nil {
		t.Errorf("without a name: %v", err)
	}
	piped := make(chan string)
	go func() {
		content, _ := os.ReadFile("pipe")
		piped <- string(content)
	}()
	if err := (ListFile{Name: "pipe", Head: listHead}).Write(rows); err != nil || <-piped != want {
		t.Errorf("a pipe: %v", err)
	}
	for _, name := range []string{"pipe", "dir"} { // of a pipe, nobody reads
		l := ListFile{Name: name, Head: listHead, Regular: true}
		r.refused(l.Check(), wanted{Unable, name, "not a regular file", nil})
		r.refused(l.Write(rows), wanted{Unable, name, "not a regular file", nil})
	}
}

// TestListFileFails: where the rows cannot be told, an older list stays, and nothing is left of a new one.
func TestListFileFails(t *testing.T) {
	r := newRig(t)
	older := []byte(listHead + "row\n")
	r.file("older", older)
	for _, failing := range []int{1, 2} { // which call of rows
		calls := 0
		rows := func(w io.Writer) error {
			if calls++; calls == failing {
				return errBroken
			}
			return nil
		}
		for _, name := range []string{"new", "older"} {
			calls = 0
			if err := (ListFile{Name: name, Head: listHead}).Write(rows); !errors.Is(err, errBroken) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := os.Stat("new"); !errors.Is(err, fs.ErrNotExist) || !bytes.Equal(r.read("older"), older) {
			t.Errorf("call %d: something is left: %v", failing, err)
		}
	}
	if err := (ListFile{Name: "none/list", Head: listHead}).Write(func(io.Writer) error { return nil }); asRefusal(err) == nil {
		t.Errorf("without a directory: %v", err)
	}
	if err := (ListFile{Name: "-", Head: listHead, Stdout: fullStream{}}).Write(func(io.Writer) error { return nil }); !errors.Is(err, errBroken) || asRefusal(err) != nil {
		t.Errorf("standard output: %v", err)
	}
}

// fullStream takes nothing.
type fullStream struct{}

func (fullStream) Write([]byte) (int, error) { return 0, errBroken }

// TestStreamFails: an error of a stream is passed on as it is, whoever writes to it.
func TestStreamFails(t *testing.T) {
	r := changing(t)
	full := &Stream{Writer: fullStream{}}
	for name, do := range map[string]func() error{
		"export": func() error { return exported(r, OutputRequest{Stream: full}) },
		"repair": func() error { return repaired(r, RepairRequest{Request: Request{COW: "bad"}, Stream: full}) },
		"create": func() error { return storeMade(r, CreateRequest{Stream: full, Base: "origin", Image: "image"}) },
	} {
		if err := do(); !errors.Is(err, errBroken) || asRefusal(err) != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStreams: what goes to a stream is what goes to a file.
func TestStreams(t *testing.T) {
	r := changing(t)
	for name, do := range map[string]func(*Stream) error{
		"export": func(s *Stream) error {
			if s == nil {
				return exported(r, OutputRequest{Name: "new", Mode: Private})
			}
			return exported(r, OutputRequest{Stream: s})
		},
		"repair": func(s *Stream) error {
			if s == nil {
				return repaired(r, RepairRequest{Request: Request{COW: "bad"}, CopyTo: "new"})
			}
			return repaired(r, RepairRequest{Request: Request{COW: "bad"}, Stream: s})
		},
		"create": func(s *Stream) error {
			if s == nil {
				return storeMade(r, CreateRequest{Request: Request{COW: "new"}, Base: "origin", Image: "image"})
			}
			return storeMade(r, CreateRequest{Stream: s, Base: "origin", Image: "image"})
		},
	} {
		os.Remove("new")
		var streamed bytes.Buffer
		if err := errors.Join(do(nil), do(&Stream{Writer: &streamed})); err != nil || streamed.Len() == 0 || !bytes.Equal(streamed.Bytes(), r.read("new")) {
			t.Errorf("%s: %d bytes, %v", name, streamed.Len(), err)
		}
	}
	for _, name := range []string{"null", "pipe"} { // an output that not a regular file is written as a stream
		if name == "pipe" {
			if err := unix.Mkfifo(name, 0o600); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = os.ReadFile("pipe") }()
		} else if err := os.Symlink(os.DevNull, name); err != nil {
			t.Fatal(err)
		}
		if err := exported(r, OutputRequest{Name: name, Mode: Private}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestShrunkMeanwhile: what turns out to be shorter than it was is refused by its own name, and what was to be
// made of it is not left.
func TestShrunkMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		plan  func(rig) (func() error, error)
		file  string // which is cut short
		about string // the refusal
	}{
		"export": {func(r rig) (func() error, error) {
			x, err := r.PlanExport(ExportRequest{ViewRequest: of("cow"), Output: OutputRequest{Name: "new", Mode: Private}})
			return func() error { defer x.Close(); return x.Do() }, err
		}, "cow", "cow"},
		"create, its image": {func(r rig) (func() error, error) {
			x, err := r.PlanCreate(CreateRequest{Request: Request{COW: "new"}, Base: "origin", Image: "image"})
			return func() error { defer x.Close(); return x.Do() }, err
		}, "image", "image"},
		"create, its origin": {func(r rig) (func() error, error) {
			x, err := r.PlanCreate(CreateRequest{Request: Request{COW: "new"}, Base: "origin", Image: "image"})
			return func() error { defer x.Close(); return x.Do() }, err
		}, "origin", "origin"},
		"repair to a copy": {func(r rig) (func() error, error) {
			x, err := r.PlanRepair(RepairRequest{Request: Request{COW: "bad"}, CopyTo: "new"})
			return func() error { defer x.Close(); _, err := x.Do(); return err }, err
		}, "bad", "bad"},
		"repair to a stream": {func(r rig) (func() error, error) {
			x, err := r.PlanRepair(RepairRequest{Request: Request{COW: "bad"}, Stream: &Stream{Writer: io.Discard}})
			return func() error { defer x.Close(); _, err := x.Do(); return err }, err
		}, "bad", "bad"},
		"merge": {func(r rig) (func() error, error) {
			x, err := r.PlanMerge(into(nil))
			return func() error { defer x.Close(); _, err := x.Do(); return err }, err
		}, "cow", "cow"},
		"check": {func(r rig) (func() error, error) {
			c, err := r.Look(Request{COW: "cow"})
			return func() error {
				defer c.Close()
				s, err := r.Survey(c)
				if err == nil {
					return refuse(c.Text, Unreadable, s.Unreadable())
				}
				return err
			}, err
		}, "cow", "cow"},
	} {
		t.Run(name, func(t *testing.T) {
			r := changing(t)
			do, err := c.plan(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(c.file, 700); err != nil {
				t.Fatal(err)
			}
			err = do()
			if refusal := asRefusal(err); refusal == nil || refusal.Device != c.about || refusal.Err == nil || refusal.Code != Unreadable && refusal.Code != Unable {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat("new"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something is left: %v", err)
			}
		})
	}
}

// TestCopyLarge: a copy of a store that is read in many pieces, with holes, is the store, and mended.
func TestCopyLarge(t *testing.T) {
	r := newRig(t)
	r.store("bad", "device 1025\nheader chunk=1\nfill 700\ndata 9\nex 5 12 6")
	cow := r.read("bad")
	for _, extra := range []int{0, 1, 64<<10 - 1} {
		whole := append(append(bytes.Clone(cow), make([]byte, 200<<10)...), bytes.Repeat([]byte{1}, extra)...)
		r.file("bad", whole)
		os.Remove("new")
		if err := repaired(r, RepairRequest{Request: Request{COW: "bad"}, CopyTo: "new"}); err != nil {
			t.Fatal(err)
		}
		got := r.read("new")
		if len(got) != len(whole) || !bytes.Equal(got[2*512:33*512], whole[2*512:33*512]) || !bytes.Equal(got[700*512:], whole[700*512:]) {
			t.Errorf("%d bytes of %d, or others", len(got), len(whole))
		}
		var told []string
		r.options.Watch = func(device string, unit Unit, most uint64) Watcher {
			if unit == Bytes {
				told = append(told, fmt.Sprint(device, " ", most))
			}
			return nil
		}
		if err := repaired(r, RepairRequest{Request: Request{COW: "bad"}, Stream: &Stream{Writer: io.Discard}}); err != nil || len(told) != 1 || told[0] != fmt.Sprint("bad ", len(whole)) {
			t.Errorf("watched: %v, %v", told, err)
		}
		r.options.Watch = nil
	}
}
