package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var errTimedOut = errors.New("the tests take too long")

// runGroup runs a command with all that it starts, and ends it where it takes longer than limit (none if 0). On a
// machine that has other things to do, that is not enough: it must have had its time on a processor, too, or not
// even have asked for one.
func runGroup(ctx context.Context, command *exec.Cmd, limit time.Duration) (took time.Duration, err error) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := time.Now()
	if err := command.Start(); err != nil {
		return 0, err
	}
	group := command.Process.Pid
	end := func() { _ = syscall.Kill(-group, syscall.SIGKILL) }
	defer end() // whatever a test left behind
	defer context.AfterFunc(ctx, end)()
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	tick := time.NewTicker(grace / 5)
	defer tick.Stop()
	used, since := time.Duration(0), start // since when it has used no more than that
	for over := false; ; {
		select {
		case err = <-done:
			if ctx.Err() != nil {
				err = ctx.Err()
			} else if over {
				err = errTimedOut
			}
			return time.Since(start), err
		case <-tick.C:
			if limit == 0 || time.Since(start) < limit {
				continue
			}
			now := processorTime(group)
			if now > used+10*time.Millisecond {
				used, since = now, time.Now()
			}
			if used > limit || time.Since(since) > grace {
				over = true
				end()
			}
		}
	}
}

// processorTime is what the processes of a group have used, with those that they waited for.
func processorTime(group int) (sum time.Duration) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all that Go runs on
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		stat, _ := os.ReadFile(path)
		_, fields, _ := strings.Cut(string(stat), ") ") // behind the name
		f := strings.Fields(fields)
		if len(f) < 15 || f[2] != strconv.Itoa(group) {
			continue
		}
		for _, ticks := range f[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.Atoi(ticks)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}
