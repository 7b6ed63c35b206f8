package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// startOnOne starts a command on one of the processors that it may run on, if possible on one that no other umlexec
// uses. The kernel and the processes in it are processes that wait for each other at every system call: on one
// processor that is a switch, and on two that are else idle, each wakes the other up. The function done gives the
// processor back.
func startOnOne(cmd *exec.Cmd) (done func(), err error) {
	if os.Getenv("DMCOW_LAB_PROCESSORS") == "all" {
		return func() {}, cmd.Start()
	}
	runtime.LockOSThread() // the child has the thread's processors
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return func() {}, cmd.Start()
	}
	processor, done := choose(&all)
	one.Set(processor)
	if err := unix.SchedSetaffinity(0, &one); err == nil {
		defer func() { _ = unix.SchedSetaffinity(0, &all) }()
	}
	return done, cmd.Start()
}

// choose takes a processor that no other umlexec has, or any where all are taken. A name of a socket says so, which is
// nobody's any more when the process ends, however that is.
func choose(all *unix.CPUSet) (processor int, done func()) {
	var allowed []int
	for i := 0; len(allowed) < all.Count(); i++ {
		if all.IsSet(i) {
			allowed = append(allowed, i)
		}
	}
	rand.Shuffle(len(allowed), func(i, j int) { allowed[i], allowed[j] = allowed[j], allowed[i] })
	for _, i := range allowed {
		if taken, err := net.Listen("unix", fmt.Sprintf("@dmcow-umlexec-processor-%d", i)); err == nil {
			return i, func() { taken.Close() }
		}
	}
	return allowed[0], func() {}
}
