package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// jobVariable is the environment variable that tells process 1 where its job
// is. The kernel hands words of its command line that it does not know on as
// variables; that line is too short for the job itself.
const jobVariable = "UMLEXEC_JOB"

// A job is what to run, and the directory through which the two sides talk.
// Home holds it as the file "job"; the program's output comes as "stdout" and
// "stderr", its exit status as "status". Home/tmp is where the tmpfs for
// TMPDIR is mounted inside: whatever directory of the machine were taken
// instead, somebody's test binaries might be under it.
type job struct {
	Home     string
	Modules  string // the directory of the kernel's modules
	Programs string // what comes first in PATH, with a colon behind it, or ""
	Args     []string
	Dir      string   // where to run
	Env      []string // NAME=VALUE
	Writable []string // directories that stay writable
	Merged   bool     // standard error goes to "stdout" too
}

func (j *job) path(name string) string { return filepath.Join(j.Home, name) }

// newJob makes the job's directory. The caller removes it.
func newJob(k kernel, args []string) (*job, error) {
	j := &job{
		Modules: k.modules, Programs: k.programs, Args: args, Env: passedOn(os.Environ()), Writable: coverageDirs(args),
		Merged: sameFile(os.Stdout, os.Stderr),
	}
	var err error
	if j.Dir, err = os.Getwd(); err != nil {
		return nil, err
	}
	if out := os.Getenv("DMCOW_LAB_OUT"); out != "" {
		dir, err := filepath.Abs(out)
		if err != nil {
			return nil, err
		}
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
			return nil, fmt.Errorf("DMCOW_LAB_OUT: %s is not a directory", dir)
		}
		j.Writable = append(j.Writable, dir)
		j.Env = append(j.Env, "DMCOW_LAB_OUT="+dir)
	}
	if j.Home, err = os.MkdirTemp("", "umlexec"); err != nil {
		return nil, err
	}
	if j.Home, err = filepath.Abs(j.Home); err != nil {
		return nil, err
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	return j, errors.Join(os.Mkdir(j.path("tmp"), 0o700), os.WriteFile(j.path("job"), b, 0o600),
		os.WriteFile(j.path("stdout"), nil, 0o600), os.WriteFile(j.path("stderr"), nil, 0o600))
}

func loadJob(home string) (*job, error) {
	b, err := os.ReadFile(filepath.Join(home, "job"))
	if err != nil {
		return nil, err
	}
	j := new(job)
	return j, json.Unmarshal(b, j)
}

func passedOn(env []string) []string {
	return slices.DeleteFunc(env, func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return name != "CI" && name != "LANG" && !strings.HasPrefix(name, "DMCOW_")
	})
}

// coverageDirs are where a test binary writes for go test -cover.
func coverageDirs(args []string) []string {
	var dirs []string
	for _, arg := range args {
		if profile, found := strings.CutPrefix(arg, "-test.coverprofile="); found {
			dirs = append(dirs, filepath.Dir(profile))
		}
		if dir, found := strings.CutPrefix(arg, "-test.gocoverdir="); found {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// follow copies the program's output as it grows. The function that it returns
// copies the rest and ends that.
func (j *job) follow() (finish func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for name, to := range map[string]io.Writer{"stdout": os.Stdout, "stderr": os.Stderr} {
		wg.Go(func() { copyGrowing(to, j.path(name), done) })
	}
	return func() { close(done); wg.Wait() }
}

func copyGrowing(to io.Writer, path string, done <-chan struct{}) {
	f, err := os.Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "umlexec:", err)
		return
	}
	defer f.Close()
	for last := false; ; {
		if _, err := io.Copy(to, f); err != nil || last {
			return
		}
		select {
		case <-done:
			last = true
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sameFile matters because the order of what goes to one file must be kept.
func sameFile(a, b *os.File) bool {
	fa, errA := a.Stat()
	fb, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}
