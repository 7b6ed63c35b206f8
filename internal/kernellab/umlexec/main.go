// Umlexec runs a program as root in a kernel of its own, without
// virtualisation and without root rights:
//
//	go test -exec "go run dmcow/internal/kernellab/umlexec" ./...
//	umlexec PROGRAM [ARGUMENT...]
//
// It boots the User-Mode Linux kernel of Debian's package user-mode-linux, the installed
// one or another release's (see kernels in the directory above), with
// this machine's root file system read-only, device-mapper and its targets
// loaded, and a tmpfs for TMPDIR. The program runs in the current directory;
// its output is passed on as it comes, and its exit status at the end. (Through
// "go run" a status other than 0 becomes 1, so build umlexec where it matters.)
//
// Environment:
//
//	DMCOW_LAB_KERNEL   a directory with another kernel than the installed one: linux.uml, modules, and
//	                   programs of its release in bin, which come first in PATH
//	DMCOW_LAB_OUT      a directory that stays writable, at the same path, and outlives the run
//	DMCOW_LAB_IMAGES   PATH[:PATH...], files of this machine that become /dev/ubda, /dev/ubdb, ...
//	DMCOW_LAB_MEM      the kernel's memory, 512M unless set
//	DMCOW_LAB_PROCESSORS  all: the kernel's own disks are served on another processor than the rest, if there is one
//	DMCOW_LAB_TIMEOUT  when to give up, 10m unless set
//
// Variables that begin with DMCOW_ and CI reach the program, and so do
// DMCOW_KERNEL=require, which makes kernel tests fail where they would skip, and
// TMPDIR, HOME and PATH as they must be inside.
//
// Exit status 125 means that the program did not run to its end.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// statusNoRun is the exit status that says that umlexec, not the program,
// failed; env(1), timeout(1) and docker use the same.
const statusNoRun = 125

func main() {
	if os.Getpid() == 1 {
		runInit()
	}
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "umlexec:", err)
	}
	os.Exit(status)
}

func run(args []string) (int, error) {
	if len(args) == 0 {
		return statusNoRun, errors.New("usage: umlexec PROGRAM [ARGUMENT...]")
	}
	k, err := findKernel()
	if err != nil {
		return statusNoRun, err
	}
	timeout, err := time.ParseDuration(cmp.Or(os.Getenv("DMCOW_LAB_TIMEOUT"), "10m"))
	if err != nil {
		return statusNoRun, fmt.Errorf("DMCOW_LAB_TIMEOUT: %w", err)
	}
	j, err := newJob(k, args)
	if err != nil {
		return statusNoRun, err
	}
	defer os.RemoveAll(j.Home)

	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, fmt.Errorf("no end after %v", timeout))
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := j.boot(ctx, k.program); err != nil {
		return statusNoRun, err
	}
	return j.status(ctx)
}

// boot runs the kernel until it powers off, passing the program's output on.
func (j *job) boot(ctx context.Context, kernel string) error {
	args, err := j.kernelArgs()
	if err != nil {
		return err
	}
	console, err := os.Create(j.path("console"))
	if err != nil {
		return err
	}
	defer console.Close()
	ctx, cancel := withParent(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, kernel, args...)
	cmd.Stdout, cmd.Stderr = console, console
	// A group of its own: a Ctrl-C at the terminal then comes here alone, and
	// SIGTERM lets the kernel take down the processes that it consists of.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 3 * time.Second

	finish := j.follow()
	defer finish()
	done, err := startOnOne(cmd)
	if err != nil {
		return err
	}
	defer done()
	_ = cmd.Wait() // how the kernel ended says nothing: status tells by the file that the program's end leaves
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return nil
}

func (j *job) kernelArgs() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{
		"mem=" + cmp.Or(os.Getenv("DMCOW_LAB_MEM"), "512M"),
		"seccomp=auto", // kernels from 6.16 on take half of the time with it, older ones take no notice
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
		"init=" + self,
		"uml_dir=" + j.Home + "/", // by default it fills ~/.uml
		"con=null", "con0=null,fd:1", "quiet",
		"panic=-1",
		jobVariable + "=" + j.Home,
	}
	for i, image := range filepath.SplitList(os.Getenv("DMCOW_LAB_IMAGES")) {
		path, err := filepath.Abs(image)
		if err != nil {
			return nil, err
		}
		args = append(args, fmt.Sprintf("ubd%c=%s", 'a'+i, path))
	}
	return args, nil
}

// status is the exit status that the program left, or why it left none.
func (j *job) status(ctx context.Context) (int, error) {
	if b, err := os.ReadFile(j.path("status")); err == nil {
		if status, err := strconv.Atoi(string(b)); err == nil {
			return status, nil
		}
	}
	why := "the kernel did not reach the program's end"
	if ctx.Err() != nil {
		why += ": " + context.Cause(ctx).Error()
	}
	console, _ := os.ReadFile(j.path("console"))
	lines := strings.Split(strings.TrimSpace(string(console)), "\n")
	lines = lines[max(0, len(lines)-20):]
	return statusNoRun, fmt.Errorf("%s; its console's last lines:\n%s", why, strings.Join(lines, "\n"))
}

// withParent returns a context that also ends when the process that started
// this one does: go test kills only "go run", and nobody would end the kernel.
func withParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		for ctx.Err() == nil && os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		cancel()
	}()
	return ctx, cancel
}
