package cmd

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dmcow/internal/storespec"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dmcow": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command line as its users do. Goldens are updated with
// DMCOW_GOLDEN=1.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../testdata/script",
		Cmds:                scriptCommands(),
		UpdateScripts:       os.Getenv("DMCOW_GOLDEN") != "",
		RequireExplicitExec: true,
	})
}

// contract is what every command exits with, by what it finds. It stands here
// a second time on purpose: the code's table is tested against it.
var contract = map[string]map[string]status{
	"dump":  {"SOUND": 0, "INVALID": 2, "DAMAGED": 4, "BLANK": 0, "FOREIGN": 4, "UNREADABLE": 8},
	"usage": {"SOUND": 0, "INVALID": 2, "DAMAGED": 4, "BLANK": 0, "FOREIGN": 4, "UNREADABLE": 8},
}

// TestEveryCommand runs the scripts that hold for every command, once for each:
// the command is $CMD, and what it has to exit with is in $SOUND and so on.
func TestEveryCommand(t *testing.T) {
	for _, command := range newParser(&cli{}, io.Discard, io.Discard).Model.Children {
		if contract[command.Name] == nil {
			t.Errorf("%s: the contract has no exit statuses for it", command.Name)
		}
	}
	for name, want := range contract {
		t.Run(name, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir:                 "../testdata/script/every",
				Cmds:                scriptCommands(),
				RequireExplicitExec: true,
				Setup: func(e *testscript.Env) error {
					e.Setenv("CMD", name)
					for content, s := range want {
						e.Setenv(content, strconv.Itoa(int(s)))
					}
					return nil
				},
			})
		})
	}
}

func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"status":  scriptStatus,
		"store":   scriptStore,
		"kernel":  scriptKernel,
		"sparse":  scriptSparse,
		"pattern": scriptPattern,
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
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), unpack(ts, args[1]+".cow.gz"), 0o666))
}

// sourceDir is where the package's source is: a script runs elsewhere.
var sourceDir, _ = os.Getwd()

func unpack(ts *testscript.TestScript, name string) []byte {
	f, err := os.Open(filepath.Join(sourceDir, "../testdata/kernel", name))
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
