package cmd

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dmcow/cmd/manual"
	"dmcow/internal/device"
	"dmcow/internal/pvimage"
	"dmcow/internal/storespec"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dmcow": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) },
		"dmcow-impatient": func() {
			barPatience = 0
			os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the command line as its users do. Goldens are updated with
// DMCOW_GOLDEN=1.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../testdata/script",
		Cmds:                scriptCommands(),
		Condition:           isRoot,
		UpdateScripts:       os.Getenv("DMCOW_GOLDEN") != "",
		RequireExplicitExec: true,
	})
}

// isRoot is the condition "root".
func isRoot(name string) (bool, error) {
	if name != "root" {
		return false, fmt.Errorf("unknown condition %s", name)
	}
	return os.Getuid() == 0, nil
}

// terms are what the design lays down for a command: what it exits with, by what
// it finds. They stand here a second time on purpose: the code's table is tested
// against them.
type terms struct {
	kind   string // reading, finding, making, writing, viewing or sending: which scripts hold for it; empty for none
	needs  string // what its command line needs beside COW
	status map[string]status
	behind string // what it needs behind COW
}

var (
	looks = map[string]status{"SOUND": 0, "INVALID": 2, "DAMAGED": 4, "LIST": 4, "BLANK": 0, "FOREIGN": 4, "UNREADABLE": 8}
	shows = map[string]status{"SOUND": 0, "INVALID": 8, "DAMAGED": 4, "LIST": 4, "BLANK": 8, "FOREIGN": 8, "UNREADABLE": 8}
	// What these scripts have is no file system.
	seen   = map[string]status{"SOUND": 8, "INVALID": 8, "DAMAGED": 4, "LIST": 4, "BLANK": 8, "FOREIGN": 8, "UNREADABLE": 8}
	merged = map[string]status{"SOUND": 0, "INVALID": 8, "DAMAGED": 4, "LIST": 4, "BLANK": 8, "FOREIGN": 8, "UNREADABLE": 8}
	makes  = map[string]status{"SOUND": 8, "INVALID": 8, "DAMAGED": 8, "LIST": 8, "BLANK": 0, "FOREIGN": 8, "UNREADABLE": 8}
)

var contract = map[string]terms{
	"dump":       {"reading", "", looks, ""},
	"usage":      {"reading", "", looks, ""},
	"watch":      {"", "", looks, ""}, // waits: watch*.txtar
	"check":      {"finding", "", looks, ""},
	"list":       {"", "", looks, ""}, // takes no device
	"initialize": {"making", "", makes, ""},
	"create":     {"making", "--origin base --from image", makes, ""},
	"merge":      {"writing", "--into base", merged, ""},
	"merge-step": {"writing", "--into base --steps 1000", merged, ""},
	"receive":    {"", "", merged, ""}, // takes no COW device: receive*.txtar
	"export":     {"viewing", "--origin base", shows, ""},
	"diff":       {"viewing", "--origin base", shows, ""},
	"files":      {"viewing", "--origin base", seen, ""},
	"ls":         {"viewing", "--origin base", seen, ""},
	"get":        {"viewing", "--origin base -r", seen, "/ mnt"},
	"send":       {"sending", "--origin base", shows, ""},
	"mount":      {"viewing", "--origin base --dry-run", shows, "mnt"},
	"repair": {"writing", "--no-undo",
		map[string]status{"SOUND": 0, "INVALID": 0, "DAMAGED": 4, "LIST": 4, "BLANK": 0, "FOREIGN": 4, "UNREADABLE": 8}, ""},
	"revalidate": {"writing", "--assume-origin-unchanged",
		map[string]status{"SOUND": 0, "INVALID": 0, "DAMAGED": 4, "LIST": 4, "BLANK": 8, "FOREIGN": 4, "UNREADABLE": 8}, ""},
	"invalidate": {"writing", "",
		map[string]status{"SOUND": 0, "INVALID": 0, "DAMAGED": 4, "LIST": 0, "BLANK": 8, "FOREIGN": 4, "UNREADABLE": 8}, ""},
}

// TestEveryCommand runs the scripts that hold for every command, once for each,
// and those that hold for its kind. What it has to exit with is in $SOUND and so
// on, and its name in $CMD.
func TestEveryCommand(t *testing.T) {
	commands := newParser(&cli{}, nil, io.Discard, io.Discard).Model.Children
	for _, command := range commands {
		c, known := contract[command.Name]
		if c.status == nil {
			t.Errorf("%s: the contract has no exit statuses for it", command.Name)
		}
		if !known || c.kind == "" && !slices.Contains([]string{"list", "receive", "watch"}, command.Name) {
			t.Errorf("%s: there is no bad input for it", command.Name)
		}
		if _, known := exits[command.Name]; !known {
			t.Errorf("%s: it has no row in the table of exit statuses", command.Name)
		}
		if command.Detail == "" {
			t.Errorf("%s: it has no manual text", command.Name)
		}
	}
	if texts := manual.Count(); texts != len(commands) {
		t.Errorf("%d commands have %d manual texts", len(commands), texts)
	}
	for name, c := range contract {
		for _, dir := range []string{"every", c.kind} {
			if c.kind == "" {
				continue
			}
			scripts, err := filepath.Glob(filepath.Join("../testdata/script", dir, "*.txtar"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range scripts {
				t.Run(name+"/"+dir, func(t *testing.T) { testscript.Run(t, c.params(name, file)) })
			}
		}
	}
}

func (c terms) params(name, file string) testscript.Params {
	commands := scriptCommands()
	// "command N ARG...": the command that is tested exits with N.
	commands["command"] = func(ts *testscript.TestScript, neg bool, args []string) {
		line := slices.Concat(args[:1], []string{"dmcow", name}, strings.Fields(c.needs), args[1:])
		if len(args) > 1 {
			line = append(line, strings.Fields(c.behind)...)
		}
		scriptStatus(ts, neg, line)
	}
	return testscript.Params{
		Files:               []string{file},
		Cmds:                commands,
		RequireExplicitExec: true,
		Condition: func(kind string) (bool, error) {
			return kind == "writes" && (c.kind == "making" || c.kind == "writing") || kind == "finds" && c.kind == "finding", nil
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("CMD", name)
			program, err := exec.LookPath("dmcow")
			if err != nil {
				return err
			}
			e.Setenv("BIN", filepath.Dir(program)) // a PATH with nothing else in it
			for content, s := range c.status {
				e.Setenv(content, strconv.Itoa(int(s)))
			}
			// What create and merge need: two images, with a difference.
			base := make([]byte, 1<<20)
			image := slices.Clone(base)
			image[len(image)/2] = 1
			return errors.Join(os.Mkdir(filepath.Join(e.WorkDir, "mnt"), 0o777), os.WriteFile(filepath.Join(e.WorkDir, "base"), base, 0o666),
				os.WriteFile(filepath.Join(e.WorkDir, "image"), image, 0o666))
		},
	}
}

func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"status":  scriptStatus,
		"store":   scriptStore,
		"kernel":  scriptKernel,
		"origin":  scriptOrigin,
		"group":   scriptGroup,
		"sparse":  scriptSparse,
		"pattern": scriptPattern,
		"patch":   scriptPatch,
		"hold":    scriptHold,
		"lvm":     scriptLVM,
	}
}

// scriptStatus is "status N PROGRAM ARG...": run it, and have it exit with N.
func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// scriptStore is "store IMAGE SPEC": compile the spec in a file to an image.
func scriptStore(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: store IMAGE SPEC")
	}
	image, err := storespec.Compile(ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), image, 0o666))
}

// scriptKernel is "kernel IMAGE NAME": unpack the COW device of a store that
// the kernel made.
func scriptKernel(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: kernel IMAGE NAME")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), unpack(ts, "kernel/"+args[1]+".cow.gz"), 0o666))
}

// scriptOrigin is "origin IMAGE NAME": unpack the origin of such a store.
func scriptOrigin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: origin IMAGE NAME")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), unpack(ts, "kernel/"+args[1]+".origin.gz"), 0o666))
}

// scriptGroup is "group NAME": unpack the disks of a group that LVM made, NAME.0 and so on.
func scriptGroup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: group NAME")
	}
	all, err := filepath.Glob(filepath.Join(sourceDir, "../testdata/lvm", args[0]+".*.gz"))
	if err != nil || len(all) == 0 {
		ts.Fatalf("no group %s: %v", args[0], err)
	}
	for _, path := range all {
		name := filepath.Base(path)
		ts.Check(os.WriteFile(ts.MkAbs(strings.TrimSuffix(name, ".gz")), unpack(ts, "lvm/"+name), 0o666))
	}
}

// sourceDir is where the package's source is: a script runs elsewhere.
var sourceDir, _ = os.Getwd()

func unpack(ts *testscript.TestScript, name string) []byte {
	f, err := os.Open(filepath.Join(sourceDir, "../testdata", name))
	ts.Check(err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	ts.Check(err)
	image, err := io.ReadAll(z)
	ts.Check(err)
	return image
}

// scriptSparse is "sparse IMAGE BYTES": make a file of zeros.
func scriptSparse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sparse IMAGE BYTES")
	}
	n, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), nil, 0o666))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// scriptPattern is "pattern IMAGE BYTES TEXT": make a file of a text again and
// again. In the text, \xHH is a byte.
func scriptPattern(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: pattern IMAGE BYTES TEXT")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[2], `"`, `\"`) + `"`)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte(text), n/len(text)+1)[:n], 0o666))
}

// scriptPatch is "patch IMAGE OFFSET BYTE": put a byte, in hexadecimal digits, at
// an offset.
func scriptPatch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: patch IMAGE OFFSET BYTE")
	}
	offset, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	b, err := strconv.ParseUint(args[2], 16, 8)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte{byte(b)}, offset)
	ts.Check(err)
	ts.Check(f.Close())
}

// scriptLVM is "lvm IMAGE UUID [TEXT...]": make a physical volume of 4 MiB, with up to two
// copies of metadata, each in a file, or without.
func scriptLVM(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 4 {
		ts.Fatalf("usage: lvm IMAGE UUID [TEXT...]")
	}
	v := pvimage.Volume{UUID: args[1], Size: 4 << 20, Label: 1}
	for i, file := range args[2:] {
		v.Areas = append(v.Areas, pvimage.Area{Offset: []int64{4096, 131072}[i], Size: 65536, Start: 512, Text: ts.ReadFile(file)})
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), v.Image(), 0o666))
}

// scriptHold is "hold IMAGE": lock it until the script ends, from a process
// whose number is in $HOLDER.
func scriptHold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hold IMAGE")
	}
	w, err := device.OpenWritable(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { w.Close() })
	ts.Setenv("HOLDER", strconv.Itoa(os.Getpid()))
}
