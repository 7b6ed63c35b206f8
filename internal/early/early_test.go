package early_test

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"syscall"
	"testing"

	_ "dmcow/internal/early"
)

// faults are what no code can mend, by the variable that has this program come to it.
var faults = map[string]func(){
	"a panic in another goroutine": func() {
		go func() { panic(errors.New("a fault")) }()
		select {}
	},
	"out of memory": func() {
		for {
			bytes = append(bytes, make([]byte, enormous))
		}
	},
	"a stack without an end": func() { depth = deeper(1) },
}

// enormous is what no machine has several times, in bytes.
const enormous = int(min(int64(1)<<46, math.MaxInt/2))

var (
	bytes [][]byte
	depth int
)

// deeper returns, but no stack is that deep.
func deeper(n int) int {
	if n < 0 {
		return n
	}
	return deeper(n+1) + 1
}

func TestMain(m *testing.M) {
	if fault, ok := faults[os.Getenv("DMCOW_FAULT")]; ok {
		fault()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestFaults: a fault ends the program with SIGABRT, which a shell tells as 134, and not with the
// exit status 2.
func TestFaults(t *testing.T) {
	for name := range faults {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "DMCOW_FAULT="+name)
		c.Dir = t.TempDir() // for the core
		_ = c.Run()
		if s, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGABRT {
			t.Errorf("%s: %v", name, c.ProcessState)
		}
	}
}
