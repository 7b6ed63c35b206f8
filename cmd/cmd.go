// Package cmd is dmcow's command line: flags in, a call, and what to print.
package cmd

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"dmcow/cmd/manual"
	"dmcow/dump"
	"dmcow/internal/early"
	"dmcow/internal/process"
	"dmcow/internal/show"
	"dmcow/internal/stdio"
	"dmcow/internal/version"
)

const description = `Reads, checks, repairs and merges the copy-on-write (COW) stores of device-mapper persistent
snapshots, such as LVM classic snapshots, on the COW device or an image of it, without the
kernel.

Exit status, a sum of:

`

type cli struct {
	globals
	Version kong.VersionFlag `help:"Print the version and exit."`
}

// commands are all that there are, in the order of the help.
func commands() []command {
	return []command{
		{"list", toLook, new(listCmd), "List all COW stores: LVM snapshots, active or not, and other active snapshots."},
		{"usage", toLook, new(usageCmd), "Show how full a store is, and the kernel's status of it."},
		{"watch", toLook, new(watchCmd), "Watch how snapshots fill, how fast, and how long they will last."},
		{"check", toLook, new(checkCmd), "Find all damage of a store."},
		{"dump", toLook, new(dumpCmd), "Print the header and the exceptions."},
		{"diff", toLook, new(diffCmd), "Show where a snapshot and its origin differ."},
		{"files", toLook, new(filesCmd), "Show which files differ between a snapshot and its origin."},
		{"ls", toGet, new(lsCmd), "List files of a snapshot."},
		{"get", toGet, new(getCmd), "Copy files out of a snapshot."},
		{"export", toGet, new(exportCmd), "Write a snapshot to a raw image."},
		{"send", toGet, new(sendCmd), "Write a delta: what brings a copy of the volume up to date."},
		{"mount", toGet, new(mountCmd), "Show a snapshot as a file, through FUSE."},
		{"merge", toPut, new(mergeCmd), "Merge a snapshot back into its origin."},
		{"merge-step", toPut, new(mergeStepCmd), "Merge step by step, exactly as the kernel does."},
		{"receive", toPut, new(receiveCmd), "Apply a delta to a copy of its base."},
		{"repair", toMend, new(repairCmd), "Repair what check finds."},
		{"revalidate", toMend, new(revalidateCmd), "Mark an invalid snapshot valid again (\"flip the fifth byte\"), if you say that its origin was not written since."},
		{"invalidate", toMend, new(invalidateCmd), "Mark a snapshot invalid."},
		{"create", toMake, new(createCmd), "Write the difference between two images as a store."},
		{"initialize", toMake, new(initializeCmd), "Write an empty store."},
	}
}

type command struct {
	name  string
	group string // what a person wants of it
	flags any    // what kong fills in and runs
	help  string
}

// exited carries an exit status out of kong, which ends the program itself after --help and --version.
type exited int

// Main runs dmcow with the given arguments, and returns its exit status.
func Main(args []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := process.Signals()
	defer stop()
	a := &app{ctx: ctx, tick: early.Signals, stdout: stdio.NewOutput(stdout, stdout == os.Stdout && early.OutputClosed()), stderr: stdio.NewErrors(stderr)}
	defer a.end()
	a.evidence.Command, a.evidence.Start = append([]string{"dmcow"}, args...), moment()
	defer func() { code = a.writeLog(code) }()
	defer func() {
		switch x := recover().(type) {
		case nil:
		case exited:
			code = a.printed(int(x) | int(a.status))
		default: // what Go would exit with means something else
			fmt.Fprintf(a.stderr, "dmcow: a bug in dmcow: %v\n%s", x, debug.Stack())
			code = int(statusFailed)
		}
	}()
	err := a.run(args)
	a.tell()
	if rules.IsMonitored(args) {
		return int(a.monitored(err))
	}
	a.fail(err)
	return a.printed(int(a.status))
}

// printed is the exit status of a run, and tells if not all could be printed.
func (a *app) printed(code int) int {
	if a.stdout.Err() == nil {
		return code
	}
	a.fail(a.stdout.Err())
	return code | int(statusFailed)
}

// run parses the command line and runs the command. The error is of wrong use, a refusal, or of a write.
func (a *app) run(args []string) error {
	var c cli
	help := io.Writer(a.stdout)
	if len(args) == 0 { // all that dmcow can do is not what was asked for
		args, help, a.status = []string{"--help"}, a.stderr, statusWrongUse
	}
	line, err := rules.Read(args)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", args[rules.Command(args)], err)}
	}
	parser := newParser(&c, line, help, a.stderr)
	k, err := parser.Parse(rules.Gather(line, takesValue(parser)))
	if err != nil {
		return misuse(err)
	}
	if err := checkPV(k); err != nil {
		return err
	}
	a.flags = c.globals
	a.pieces = piecesOf(k)
	if err := a.openLog(k); err != nil {
		return err
	}
	o, known := exits[k.Selected().Name]
	if !known {
		panic(k.Selected().Name + " has no exit statuses")
	}
	a.outcomes = o
	return k.Run(a)
}

// monitored ends a run as a monitoring plugin, which has something to say whatever happens.
func (a *app) monitored(err error) dump.Alarm {
	switch {
	case a.stdout.Err() != nil: // nobody has got the line
		a.fail(a.stdout.Err())
	case err == nil && a.alarm != nil:
		return *a.alarm
	default:
		a.fail(a.print("%s\n", dump.PluginLine(dump.Unknown, err.Error())))
	}
	return dump.Unknown
}

func newParser(c *cli, args []string, stdout, stderr io.Writer) *kong.Kong {
	options := []kong.Option{
		kong.Name("dmcow"),
		kong.Description(description + statusTable()),
		kong.Vars{"version": version.String()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.PostBuild(addManual),
		kong.PostBuild(group),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.Help(printHelp),
	}
	for _, command := range named(args) {
		options = append(options, kong.DynamicCommand(command.name, command.help, "", command.flags))
	}
	return kong.Must(c, options...)
}

func addManual(k *kong.Kong) error {
	k.Model.HelpFlag.Help = "Show this help."
	for _, command := range k.Model.Children {
		command.Detail = manual.Help(command.Name)
		if strings.Contains(command.Detail, "{rules}") {
			command.Detail = strings.ReplaceAll(command.Detail, "{rules}", show.RuleNames())
		}
	}
	return nil
}
