// Package process has what a command does with processes: it goes to the background.
package process

import (
	"context"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"strconv"
	"syscall"
)

// daemonVariable is the environment variable that tells a process that it is the one in the
// background: it has the number of the process that has started it. Its file descriptor
// readyDescriptor is a pipe to that then.
const (
	daemonVariable  = "DMCOW_DAEMON"
	readyDescriptor = 3
)

// StartedBy is the pipe to the process that has started this one in the background; it is nil
// where that was nobody. It is asked before any file is opened.
func StartedBy() *os.File {
	var st syscall.Stat_t
	if os.Getenv(daemonVariable) != strconv.Itoa(os.Getppid()) ||
		syscall.Fstat(readyDescriptor, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return nil
	}
	return os.NewFile(readyDescriptor, "ready")
}

// StartDaemon runs the same command in the background, and waits until that has come to its point, or has
// failed: this process is to exit with its status. Output is what it has for standard output, nil for none.
func StartDaemon(ctx context.Context, output *os.File) (status int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	p, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), daemonVariable+"="+strconv.Itoa(os.Getpid())),
		Files: []*os.File{null, output, os.Stderr, theirs},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	theirs.Close()
	if err != nil {
		return 0, err
	}
	// Ctrl-C does not reach another session.
	keep := context.AfterFunc(ctx, func() { _ = p.Signal(syscall.SIGTERM) })
	so := make([]byte, 1)
	n, _ := ready.Read(so)
	keep() // ctx ends with this process, too
	if n == 1 {
		return int(so[0]), nil
	}
	end, err := p.Wait()
	if err == nil && end.ExitCode() < 0 {
		err = fmt.Errorf("ended: %v", end)
	}
	if err != nil {
		return 0, err
	}
	return end.ExitCode(), nil
}

// Detach tells the process that started this one the status so far, and leaves its terminal. What
// there is to say goes to the log that it returns, the system's, from now on.
func Detach(ready *os.File, status int) io.Writer {
	_, _ = ready.Write([]byte{byte(status)})
	ready.Close()
	_ = os.Chdir("/")
	for fd := 1; fd <= 2; fd++ { // as standard input is
		_ = syscall.Dup3(0, fd, 0)
	}
	log, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_WARNING, "dmcow")
	if err != nil {
		return io.Discard
	}
	return log
}
