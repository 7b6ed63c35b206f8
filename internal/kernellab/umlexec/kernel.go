package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// A kernel is a User-Mode Linux and what belongs to it.
type kernel struct {
	program  string
	modules  string // the directory of its modules, one for each version
	programs string // what comes first in PATH, with a colon behind it, or ""
}

// findKernel finds the kernel that DMCOW_LAB_KERNEL names, or the installed one.
func findKernel() (k kernel, err error) {
	named := os.Getenv("DMCOW_LAB_KERNEL")
	if named == "" {
		if k.program, err = exec.LookPath("linux.uml"); err != nil {
			return k, errors.New("linux.uml not found: install user-mode-linux (apt-get install user-mode-linux dmsetup kmod)")
		}
		k.modules = "/usr/lib/uml/modules"
		return k, nil
	}
	dir, err := filepath.EvalSymlinks(named)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return k, fmt.Errorf("DMCOW_LAB_KERNEL: %w", err)
	}
	k = kernel{filepath.Join(dir, "linux.uml"), filepath.Join(dir, "modules"), filepath.Join(dir, "bin") + ":"}
	for _, path := range []string{k.program, k.modules} {
		if _, err := os.Stat(path); err != nil {
			return k, fmt.Errorf("DMCOW_LAB_KERNEL: %w", err)
		}
	}
	return k, nil
}
