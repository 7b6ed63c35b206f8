package cmd

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// A shown block is a run of indented lines in a text: command lines behind a prompt, each with what it prints, or
// command lines alone. "..." stands for lines that are left out, and at a line's end for the rest of it.
type shown struct {
	file   string
	first  int // its first line, from 0
	indent string
	lines  []string // without the indent
}

// documents are the texts that show command lines, with what they indent these by.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"../README.md": "    "}
	for pattern, indent := range map[string]string{"manual/*.txt": "  ", "../internal/manual/pages/*.txt": "  ", "../docs/*.md": "    "} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			all[file] = indent
		}
	}
	return all
}

func blocksOf(t *testing.T, file, indent string) (all []shown) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for i, line := range strings.Split(string(b), "\n") {
		text, indented := strings.CutPrefix(line, indent)
		switch {
		case indented && !inside:
			all = append(all, shown{file, i, indent, []string{text}})
			inside = true
		case inside && (indented || line == ""):
			all[len(all)-1].lines = append(all[len(all)-1].lines, text)
		default:
			inside = false
		}
	}
	return all
}

// Command lines of dmcow's, behind a prompt and alone.
var (
	prompted = regexp.MustCompile(`^[$#] .*(dmcow |gunzip )`)
	alone    = regexp.MustCompile(`^(DMCOW_PV=\S+ )?dmcow `)
)

// commands are the numbers of a block's lines that are command lines: those behind a prompt, or all where none has one.
func (s shown) commands() (at []int, sessions bool) {
	for _, lines := range []*regexp.Regexp{prompted, alone} {
		for i, line := range s.lines {
			if lines.MatchString(line) {
				at = append(at, i)
			}
		}
		if len(at) > 0 {
			return at, lines == prompted
		}
	}
	return nil, false
}

// TestSessions runs every command line that the README, the manual and the documents show, root's on copies in image
// files, and compares what is shown of what it prints. DMCOW_GOLDEN=1 has the texts show what it prints now.
func TestSessions(t *testing.T) {
	count := 0
	for file, indent := range documents(t) {
		for _, s := range slices.Backward(blocksOf(t, file, indent)) {
			at, sessions := s.commands()
			if len(at) == 0 {
				continue
			}
			count += len(at)
			t.Run(filepath.Base(file)+"/"+s.lines[at[0]], func(t *testing.T) {
				b := newBench(t, s)
				outputs := make([]string, len(at))
				for n, i := range at {
					outputs[n] = b.run(t, strings.TrimLeft(s.lines[i], "$# "))
				}
				if !sessions {
					return
				}
				for n, i := range slices.Backward(at) { // from the last, as lines may be rewritten
					end := len(s.lines)
					if n+1 < len(at) {
						end = at[n+1]
					}
					s.compare(t, i, end, outputs[n])
				}
			})
		}
	}
	if count < 80 {
		t.Errorf("only %d command lines", count)
	}
}

// changing is what differs from run to run.
var changing = regexp.MustCompile(`in \d+\.\d s( \([\d.]+ [KMG]?i?B(ytes)?/s\))?`)

// compare holds what a command printed to the lines that are shown behind its own.
func (s shown) compare(t *testing.T, command, end int, output string) {
	t.Helper()
	for end > command+1 && s.lines[end-1] == "" {
		end--
	}
	want := s.lines[command+1 : end]
	if prompt := slices.IndexFunc(want, func(line string) bool { return strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "$ ") }); prompt >= 0 {
		want, end = want[:prompt], command+1+prompt // of another program
	}
	if len(want) == 0 {
		return
	}
	output = changing.ReplaceAllString(strings.ReplaceAll(output, " [y/N] ", " [y/N] y\n"), "in 0.1 s")
	got := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if agrees(got, want) {
		return
	}
	if os.Getenv("DMCOW_GOLDEN") == "" {
		t.Errorf("%s:%d: %s prints\n%s\nshown is\n%s", s.file, s.first+command+1, s.lines[command], strings.Join(got, "\n"), strings.Join(want, "\n"))
		return
	}
	s.rewrite(t, command+1, end, abridged(got, want))
}

// agrees reports whether what is printed is what is shown.
func agrees(got, want []string) bool {
	for len(want) > 0 {
		if want[0] == "..." {
			want = want[1:]
			if len(want) == 0 {
				return true
			}
			if len(got) < len(want) {
				return false
			}
			got = got[len(got)-len(want):]
			continue
		}
		if len(got) == 0 {
			return false
		}
		if start, cut := strings.CutSuffix(want[0], " ..."); got[0] != want[0] && !(cut && strings.HasPrefix(got[0], start)) {
			return false
		}
		got, want = got[1:], want[1:]
	}
	return len(got) == 0
}

// abridged leaves out as many lines as were left out.
func abridged(got, want []string) []string {
	at := slices.Index(want, "...")
	if at < 0 || at > len(got) {
		return got
	}
	tail := want[at+1:]
	return slices.Concat(got[:at], []string{"..."}, got[max(at, len(got)-len(tail)):])
}

func (s shown) rewrite(t *testing.T, from, to int, lines []string) {
	t.Helper()
	b, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(string(b), "\n")
	var with []string
	for _, line := range lines {
		if line != "" {
			line = s.indent + line
		}
		with = append(with, line)
	}
	all = slices.Replace(all, s.first+from, s.first+to, with...)
	if err := os.WriteFile(s.file, []byte(strings.Join(all, "\n")), 0o666); err != nil {
		t.Fatal(err)
	}
}

// bench is a directory with the images that a block names, and programs in place of those that it pipes into.
type bench struct {
	dir, block string
}

// places are what a block names on a machine, and the image that stands for it here.
var places = strings.NewReplacer(
	"/dev/mapper/*-cow", "snap.cow", "/dev/mapper/vg0-snap-cow", "snap.cow", "/dev/vg0/data", "origin.img", "vg0/data", "vg0/origin",
	"/dev/vg0/cow", "new.cow", "/dev/vg0/base", "old.img", "/dev/vg1/copy", "copy.img", "vg1/copy", "copy.img", "/mnt/snap", "mnt", "/srv/images", "images",
)

// other are those in a volume group with several snapshots.
var other = strings.NewReplacer("vg0/monday", "vg0/s4", "vg0/tuesday", "vg0/s16", "vg0/snap", "vg0/s64")

// made is how the file is made that the last word of a part of a command line names.
var made = map[string]string{
	"merge before.undo":   "dmcow merge vg0/snap --undo before.undo --yes",
	"merge snap.cow.undo": "dmcow repair --rebuild --yes snap.cow",
	"receive copy.img":    "dmcow export vg0/monday copy.img",
	" monday.delta":       "dmcow send vg0/monday monday.delta",
	" first.delta":        "dmcow send vg0/monday --full first.delta",
}

func newBench(t *testing.T, s shown) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), block: strings.Join(s.lines, "\n")}
	program, err := exec.LookPath("dmcow")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(b.dir, "bin")+":"+os.Getenv("PATH"))
	for _, dir := range []string{"bin", "mnt", "build", "images", "rescued"} {
		if err := os.Mkdir(filepath.Join(b.dir, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing is mounted or watched here: other tests do that.
	script := "#!/bin/sh\n[ \"$1\" != watch ] || set -- \"$@\" --once\n[ \"$1\" != mount ] || set -- \"$@\" --dry-run\nexec " + program + " \"$@\"\n"
	for name, text := range map[string]string{"bin/dmcow": script, "dmcow": script, "bin/jq": "#!/bin/sh\ncat >/dev/null\n", "bin/zstd": "#!/bin/sh\ncat\n", "bin/ssh": "#!/bin/sh\nshift\nexec sh -c \"$*\"\n"} {
		devicetest.WriteFile(t, filepath.Join(b.dir, name), []byte(text))
		if err := os.Chmod(filepath.Join(b.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "testdata"), filepath.Join(b.dir, "testdata")); err != nil {
		t.Fatal(err)
	}
	b.images(t)
	return b
}

// images makes the images that the block names.
func (b *bench) images(t *testing.T) {
	t.Helper()
	text := places.Replace(b.block)
	write := func(content func() []byte, names ...string) {
		for _, name := range names {
			if strings.Contains(text, name) {
				devicetest.WriteFile(t, filepath.Join(b.dir, name), content())
			}
		}
	}
	unzipped := func(name string) func() []byte {
		return func() []byte { return devicetest.Unzip(t, "../testdata/"+name+".gz") }
	}
	store := func(spec string) func() []byte { return func() []byte { return storespec.MustCompile(t, spec) } }
	write(unzipped("kernel/lvm-ext4.cow"), "snap.cow", "snap.img", "evidence.cow", "later.cow", "overlay.img", "build/snap.cow", "old.cow")
	write(unzipped("kernel/lvm-ext4.origin"), "origin.img", "rootfs.img", "build/origin.img")
	write(func() []byte { return make([]byte, 1<<20) }, "old.img", "new.cow")
	write(func() []byte { return append(make([]byte, 1<<20-1), 1) }, "new.img")
	write(store("device 200\nheader chunk=1\nfill 40\nex 5 12 7\ndata 9"), "damaged.cow")
	write(store(lostSector), "lost.cow")
	if strings.Contains(text, "snap.cow.undo") {
		write(store(lostSector), "snap.cow")
	}
	if strings.Contains(text, "--piece super:1m:") {
		store := unzipped("kernel/lvm-ext4.cow")()
		devicetest.WriteFile(t, filepath.Join(b.dir, "super"), slices.Concat(make([]byte, 1<<20), store, make([]byte, 64<<20-len(store))))
		devicetest.WriteFile(t, filepath.Join(b.dir, "userdata"), make([]byte, 28<<20))
	}
	write(unzipped("lvm/linear.0"), "build/disk.img")
	text += " disk.img"
	if strings.Contains(text, " images") {
		text += " images/disk.img"
	}
	if isOfFiles(text) {
		text += " files.img"
	}
	if isOfSeveral(text) {
		text += " disk1.img disk2.img"
	}
	write(unzipped("lvm/linear.0"), "disk.img", "images/disk.img")
	write(func() []byte { return fileGroup(t) }, "files.img")
	write(unzipped("lvm/several.0"), "disk1.img")
	write(unzipped("lvm/several.1"), "disk2.img")
	text += strings.ReplaceAll(b.block, "vg0/root-snap", "two.img")
	write(func() []byte { return twoOrigins(t, 20) }, "two.img")
}

// isOfSeveral says whether a line is of a volume group with several snapshots, on two disks.
func isOfSeveral(line string) bool {
	return strings.Contains(line, "vg0/monday") || strings.Contains(line, "disk1.img")
}

// ofFiles are the commands that read files.
var ofFiles = regexp.MustCompile(`dmcow (files|ls|get|usage --by-file) .*vg0/`)

// isOfFiles says whether a line is of files in a volume group.
func isOfFiles(line string) bool { return ofFiles.MatchString(line) }

// paths are files and directories that are named, and those that are there.
var paths = strings.NewReplacer("/etc/fstab", "/file-00.txt", "/home/anna/letter.txt", "/file-01.txt", "/home/anna", "/lost+found", "/home", "/", "/etc", "/lost+found")

// lostSector is a list of which a sector was zeroed.
const lostSector = "device 1000\nheader chunk=4\nfill 100 100\ndata 9\nraw 2560 00*512"

// lacks reports whether a command line reads the file that the last word of its part names, and which is not there.
func (b *bench) lacks(line, part string) bool {
	words := strings.Fields(part)
	_, err := os.Stat(filepath.Join(b.dir, words[len(words)-1]))
	writes := strings.Contains(line, " --to-store") || strings.HasPrefix(part, " ") && !strings.Contains(line, "receive ")
	return err != nil && !writes && strings.Contains(places.Replace(line), part)
}

// run runs a command line, answers yes, and returns what it prints on both streams.
func (b *bench) run(t *testing.T, line string) string {
	t.Helper()
	for part, command := range made {
		if b.lacks(line, part) {
			b.run(t, command)
		}
	}
	keyboard, screen := terminal(t)
	if _, err := io.WriteString(keyboard, "y\n"); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	pv := "disk.img"
	if isOfSeveral(line) {
		pv, line = "disk1.img:disk2.img", other.Replace(line)
	}
	if strings.Contains(line, "vg0/root-snap") {
		pv, line = "two.img", strings.NewReplacer("root-snap", "one-snap", "var-snap", "two-snap").Replace(line)
	}
	if isOfFiles(line) {
		pv, line = "files.img", paths.Replace(line)
	}
	c := exec.Command("sh", "-c", places.Replace(line))
	c.Env = append(os.Environ(), "DMCOW_PV="+pv, "TZ=UTC")
	c.Dir, c.Stdin, c.Stdout, c.Stderr = b.dir, screen, &output, &output
	_ = c.Run()
	switch status := c.ProcessState.ExitCode(); {
	case status < int(statusFailed), status == int(statusReached):
	default:
		t.Errorf("%s: exit status %d\n%s", line, status, &output)
	}
	return output.String()
}
