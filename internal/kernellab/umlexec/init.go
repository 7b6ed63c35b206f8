package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// modules are loaded before the program runs: what tests of snapshots need, and
// what no udev is there to load on demand.
var modules = []string{
	"dm-mod", "dm-snapshot", "dm-log-writes", "dm-zero", "dm-delay", "dm-flakey",
	"loop", "brd", "fuse",
}

// runInit is process 1 inside. Whatever happens, it ends in a power off; what
// goes wrong is written to the console, which the other side shows.
func runInit() {
	if err := initialize(); err != nil {
		fmt.Fprintln(os.Stderr, "umlexec, inside:", err)
	}
	syscall.Sync()
	err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintln(os.Stderr, "umlexec, inside: power off:", err)
	select {} // process 1 must not end
}

func initialize() error {
	j, err := loadJob(os.Getenv(jobVariable))
	if err != nil {
		return err
	}
	if err := mountAll(j); err != nil {
		return err
	}
	os.Clearenv()
	for name, value := range map[string]string{
		"PATH": j.Programs + "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME": j.path("tmp"), "TMPDIR": j.path("tmp"),
		"DM_DISABLE_UDEV": "1", "DMCOW_KERNEL": "require",
	} {
		os.Setenv(name, value)
	}
	if err := loadModules(j); err != nil {
		return err
	}
	return runJob(j)
}

// loadModules loads modules, and tells the kernel and whoever calls modprobe
// later where the rest are. They are kept outside /lib/modules, a
// directory that a container may not even have to mount them on.
func loadModules(j *job) error {
	root := j.path("root")
	if err := os.MkdirAll(root+"/lib", 0o755); err != nil {
		return err
	}
	if err := os.Symlink(j.Modules, root+"/lib/modules"); err != nil {
		return err
	}
	helper := "#!/bin/sh\nexec /sbin/modprobe -d " + root + " \"$@\"\n"
	if err := os.WriteFile(root+"/modprobe", []byte(helper), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/kernel/modprobe", []byte(root+"/modprobe"), 0o644); err != nil {
		return err
	}
	os.Setenv("MODPROBE_OPTIONS", "-d "+root)
	if out, err := exec.Command("modprobe", append([]string{"-a"}, modules...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe: %w\n%s", err, out)
	}
	return nil
}

func runJob(j *job) error {
	stdout, err := os.OpenFile(j.path("stdout"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	stderr := stdout
	if !j.Merged {
		if stderr, err = os.OpenFile(j.path("stderr"), os.O_WRONLY|os.O_APPEND, 0); err != nil {
			return err
		}
	}
	if err := os.Chdir(j.Dir); err != nil {
		return err
	}
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Env = append(j.Env, os.Environ()...) // the lab's own come last, and win
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return err
	}
	return os.WriteFile(j.path("status"), []byte(strconv.Itoa(exitStatus(cmd))), 0o600)
}

// exitStatus is what a shell would call it: 128 and the signal's number for a
// program that a signal ended.
func exitStatus(cmd *exec.Cmd) int {
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func mountAll(j *job) error {
	type entry struct{ source, target, fstype, data string }
	mounts := []entry{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"devtmpfs", "/dev", "devtmpfs", ""},
		{"devpts", "/dev/pts", "devpts", ""},
		{"shm", "/dev/shm", "tmpfs", ""},
		{"run", "/run", "tmpfs", ""},
		{"none", j.Home, "hostfs", j.Home},
		{"tmp", j.path("tmp"), "tmpfs", "size=75%"},
	}
	for _, dir := range j.Writable {
		mounts = append(mounts, entry{"none", dir, "hostfs", dir})
	}
	for _, m := range mounts {
		if filepath.Dir(m.target) == "/dev" {
			if err := os.MkdirAll(m.target, 0o755); err != nil {
				return err
			}
		}
		err := syscall.Mount(m.source, m.target, m.fstype, 0, m.data)
		if err != nil && !errors.Is(err, syscall.EBUSY) { // the kernel has mounted /dev itself
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	removeTerminals()
	return linkStreams()
}

// removeTerminals removes the nodes of BSD's pseudo terminals, ptyp0 and ttyp0 and so on: LVM
// looks at each node of /dev each time that it runs, and most are these.
func removeTerminals() {
	for _, pattern := range []string{"/dev/pty[a-z][0-9a-f]", "/dev/tty[a-z][0-9a-f]"} {
		nodes, _ := filepath.Glob(pattern) // the pattern is well formed
		for _, node := range nodes {
			_ = os.Remove(node) // one that stays costs time
		}
	}
}

// linkStreams makes the names under /dev that the kernel leaves to udev.
func linkStreams() error {
	for name, target := range map[string]string{
		"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2",
	} {
		if err := os.Symlink("/proc/self/fd"+target, "/dev/"+name); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}
