package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"dmcow/internal/mutants/point"
)

// worker runs tests. It has a directory of its own, with the control file and links to the programs.
type worker struct {
	dir     string
	mutants int
}

func newWorker(dir string, programs []*program, mutants int) (*worker, error) {
	w := &worker{dir: dir, mutants: mutants}
	if err := os.Mkdir(dir, 0o777); err != nil {
		return nil, err
	}
	for _, p := range programs {
		if err := os.Link(p.path, w.program(p)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *worker) program(p *program) string { return filepath.Join(w.dir, filepath.Base(p.path)) }

func (w *worker) controlFile() string { return filepath.Join(w.dir, point.Control) }

// setMutant says which mutant lives from now on, or 0, and has its points traced or not.
func (w *worker) setMutant(n uint32, trace bool) error {
	control := make([]byte, point.Head+w.mutants)
	binary.LittleEndian.PutUint32(control, n)
	if trace {
		control[point.Tracing] = 1
	}
	return os.WriteFile(w.controlFile(), control, 0o666)
}

// trace is what the points have noted since setMutant.
func (w *worker) trace() ([]byte, error) {
	content, err := os.ReadFile(w.controlFile())
	if err != nil {
		return nil, err
	}
	return content[point.Head:], nil
}

// run runs tests of one program. Its error is a *exec.ExitError when they fail, or errTimedOut. No limit is 0.
func (w *worker) run(ctx context.Context, p *program, names []string, limit time.Duration) (took time.Duration, err error) {
	tmp, err := os.MkdirTemp(w.dir, "tmp")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	arguments := append([]string{"-test.run=" + pattern(names), "-test.short", "-test.failfast", "-test.paniconexit0"}, p.arguments...)
	command := exec.Command(w.program(p), arguments...)
	command.Dir = p.dir
	command.Env = append(os.Environ(), "TMPDIR="+tmp)
	return runGroup(ctx, command, limit)
}

// pattern is the -test.run that runs just these: tests, or one subtest.
func pattern(names []string) string {
	if test, sub, ok := strings.Cut(names[0], "/"); ok {
		return "^" + test + "$/^" + regexp.QuoteMeta(sub) + "$"
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// tests lists the tests of a program, and the subtests if these are what it is for.
func (w *worker) tests(p *program) ([]string, error) {
	if err := w.setMutant(0, false); err != nil {
		return nil, err
	}
	arguments := []string{"-test.list=^(Test|Example|Fuzz)"}
	line := regexp.MustCompile(`(?m)^((?:Test|Example|Fuzz)\S*)$`)
	if p.only != "" {
		arguments = []string{"-test.run=^" + p.only + "$", "-test.v", "-test.short"}
		line = regexp.MustCompile(`(?m)^ +--- PASS: (\S+) `)
	}
	command := exec.Command(w.program(p), arguments...)
	command.Dir = p.dir
	out, err := command.CombinedOutput()
	if err != nil {
		return nil, errors.Join(err, errors.New(string(out)))
	}
	var names []string
	for _, m := range line.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	return names, nil
}
