// Package cmd is dmcow's command line: flags in, a call, and what to print.
package cmd

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

const description = `Reads the copy-on-write stores of device-mapper persistent snapshots (the device
behind an LVM classic snapshot), on the COW device or an image of it, without
the kernel.

Exit status, a sum of:

`

type cli struct {
	globals
	Version kong.VersionFlag `help:"Print the version and exit."`

	Dump  dumpCmd  `cmd:"" help:"Print header and exceptions."`
	Usage usageCmd `cmd:"" help:"Print how full a store is, and what the kernel would say of it."`
}

// exited carries an exit status out of kong, which ends the program itself
// after --help and --version.
type exited int

// Main runs dmcow with the given arguments, and returns its exit status.
func Main(args []string, stdout, stderr io.Writer) (code int) {
	a := &app{stdout: stdout, stderr: stderr}
	defer a.signals()()
	defer func() {
		switch x := recover().(type) {
		case nil:
		case exited:
			code = int(x)
		default:
			panic(x)
		}
	}()
	var c cli
	parser := newParser(&c, stdout, stderr)
	k, err := parser.Parse(args)
	if err != nil {
		return int(a.misused(args, err))
	}
	a.flags = c.globals
	a.command, _, _ = strings.Cut(k.Command(), " ")
	if err := k.Run(a); err != nil {
		return int(a.misused(args, err))
	}
	return int(a.status)
}

func newParser(c *cli, stdout, stderr io.Writer) *kong.Kong {
	return kong.Must(c,
		kong.Name("dmcow"),
		kong.Description(description+statusTable()),
		kong.Vars{"version": version()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 90}),
	)
}

// misused tells what is wrong with the command line.
func (a *app) misused(args []string, err error) status {
	if monitoring(args) {
		fmt.Fprintf(a.stdout, "%s %s - %v\n", service, unknown, err)
		return status(unknown)
	}
	command := "dmcow"
	var p *kong.ParseError
	if errors.As(err, &p) && p.Context != nil && p.Context.Selected() != nil {
		command += " " + p.Context.Selected().Name
	}
	fmt.Fprintf(a.stderr, "dmcow: %v (see %s --help)\n", err, command)
	return statusWrongUse
}

// version is what the Go toolchain recorded when it built the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dmcow, version unknown"
	}
	v := "dmcow " + info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value
		}
	}
	return v + " " + info.GoVersion
}
