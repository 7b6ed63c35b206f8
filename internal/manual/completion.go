package main

import (
	_ "embed"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"dmcow/cmd"
)

// What is the same for any command line stands in a file for each shell. What hangs on the command line replaces
// the words in braces.
var (
	//go:embed shells/dmcow.bash
	bash string
	//go:embed shells/_dmcow
	zsh string
	//go:embed shells/dmcow.fish
	fish string
)

func writeCompletions(dir string) error {
	c := completed(cmd.Model())
	for name, text := range map[string]string{"dmcow.bash": c.bash(), "_dmcow": c.zsh(), "dmcow.fish": c.fish()} {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return nil
}

// takes is what a flag or an argument is completed with.
type takes int

const (
	nothing    takes = iota // it takes no value
	anything                // nobody can know
	oneOf                   // a word of several
	aFile                   // a path
	aDirectory              // a directory
	aStore                  // a path, or VG/LV
	aVolume                 // VG/LV
)

// word is a flag or an argument of a command.
type word struct {
	name, help string
	takes      takes
	values     []string
}

type command struct {
	name, help string
	flags      []word
	arguments  []word
	many       bool // the last argument may be given again
}

// completion is a command line, as shells want to know it.
type completion struct {
	flags    []word // of all commands
	commands []command
}

func completed(model *kong.Application) (c completion) {
	for _, f := range model.Flags {
		c.flags = append(c.flags, flagWord(f))
	}
	for _, node := range model.Children {
		if node.Hidden || node.Name == "help" {
			continue
		}
		one := command{name: node.Name, help: lead(node.Help)}
		for _, f := range own(node) {
			one.flags = append(one.flags, flagWord(f))
		}
		for _, a := range node.Positional {
			one.arguments = append(one.arguments, word{a.Name, lead(a.Help), takesOf(a), nil})
			one.many = a.IsCumulative()
		}
		c.commands = append(c.commands, one)
	}
	return c
}

func flagWord(f *kong.Flag) word {
	w := word{name: f.Name, help: lead(f.Help), values: values(f), takes: takesOf(f.Value)}
	switch {
	case f.IsBool():
		w.takes = nothing
	case len(w.values) > 0:
		w.takes = oneOf
	}
	return w
}

// values are the words that a flag takes, if these are all.
func values(f *kong.Flag) []string {
	all := strings.Split(f.Enum, ",")
	if f.Enum == "" && strings.Contains(f.PlaceHolder, "|") {
		all = strings.Split(f.PlaceHolder, "|")
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// takesOf goes by a value's type and name.
func takesOf(v *kong.Value) takes {
	t := v.Target.Type()
	for t.Kind().String() == "slice" || t.Kind().String() == "ptr" {
		t = t.Elem()
	}
	switch v.Name {
	case "dir":
		return aDirectory
	case "cow", "origin", "into", "from", "against":
		return aStore
	case "lose-snapshot":
		return aVolume
	}
	if t.Name() == "path" {
		return aFile
	}
	return anything
}

// lead is the beginning of a help text, which says what it is about.
func lead(help string) string {
	help, _, _ = strings.Cut(help, ". ")
	help, _, _ = strings.Cut(help, ": ")
	return strings.TrimSuffix(help, ".")
}

func (c completion) names() (all []string) {
	for _, one := range c.commands {
		all = append(all, one.name)
	}
	return append(all, "help")
}

func names(words []word) (all []string) {
	for _, w := range words {
		all = append(all, "--"+w.name)
	}
	return all
}

// bash is a table of cases: what a flag of a command takes, what flags a command has, and what its arguments are.
func (c completion) bash() string {
	var values, flags, arguments strings.Builder
	var valued []string
	for _, one := range c.commands {
		for _, f := range append(slices.Clone(one.flags), c.flags...) {
			if f.takes != nothing {
				valued = append(valued, one.name+":--"+f.name)
				values.WriteString("\t" + one.name + ":--" + f.name + ") " + bashAction(f) + " ;;\n")
			}
		}
		flags.WriteString("\t" + one.name + ") _dmcow_words " + strings.Join(names(append(slices.Clone(one.flags), c.flags...)), " ") + " ;;\n")
		for i, a := range one.arguments {
			arguments.WriteString("\t" + one.name + ":" + position(one, i) + ") " + bashAction(a) + " ;;\n")
		}
	}
	return strings.NewReplacer("{values}\n", values.String(), "{flags}\n", flags.String(), "{arguments}\n", arguments.String(),
		"{commands}", strings.Join(c.names(), " "), "{patterns}", strings.Join(c.names(), "|"),
		"{valued}", strings.Join(valued, "|"),
		"{global}", strings.Join(names(c.flags), " ")).Replace(bash)
}

// position is a pattern for how many arguments stand before this one.
func position(c command, i int) string {
	if c.many && i == len(c.arguments)-1 {
		return "*"
	}
	return string(rune('0' + i))
}

func bashAction(w word) string {
	return map[takes]string{anything: "return", oneOf: "_dmcow_words " + strings.Join(w.values, " "), aFile: "_dmcow_files -f",
		aDirectory: "_dmcow_files -d", aStore: "_dmcow_stores", aVolume: "_dmcow_names"}[w.takes]
}

// zsh is what _arguments takes.
func (c completion) zsh() string {
	var commands, arguments, global strings.Builder
	for _, f := range c.flags {
		global.WriteString(" \\\n\t\t" + zshFlag(f))
	}
	for _, one := range c.commands {
		commands.WriteString("\t\t\t" + quoted(one.name+":"+one.help) + "\n")
		arguments.WriteString("\t\t" + one.name + ")\n\t\t\t_arguments -S")
		for _, f := range append(slices.Clone(one.flags), c.flags...) {
			arguments.WriteString(" \\\n\t\t\t\t" + zshFlag(f))
		}
		for i, a := range one.arguments {
			where := "1"
			if p := position(one, i); p == "*" {
				where = "*"
			} else if p == "1" {
				where = "2"
			}
			arguments.WriteString(" \\\n\t\t\t\t" + quoted(where+":"+a.name+zshAction(a)))
		}
		arguments.WriteString("\n\t\t\t;;\n")
	}
	return strings.NewReplacer("{commands}\n", commands.String(), "{arguments}\n", arguments.String(), "{global}", global.String(),
		"{names}", strings.Join(c.names(), " ")).Replace(zsh)
}

func zshFlag(f word) string {
	help := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(f.help)
	repeated := ""
	if f.name == "pv" || f.name == "lose-snapshot" || f.name == "hash" {
		repeated = "*"
	}
	if f.takes == nothing {
		return quoted("--" + f.name + "[" + help + "]")
	}
	return quoted(repeated + "--" + f.name + "=[" + help + "]:" + f.name + zshAction(f))
}

func zshAction(w word) string {
	return map[takes]string{anything: ": ", oneOf: ":(" + strings.Join(w.values, " ") + ")", aFile: ":_files",
		aDirectory: ":_files -/", aStore: ":_dmcow_stores", aVolume: ":_dmcow_names"}[w.takes]
}

// fish is a line for each command and each of its flags.
func (c completion) fish() string {
	var b strings.Builder
	line := func(parts ...string) { b.WriteString("complete -c dmcow " + strings.Join(parts, " ") + "\n") }
	for _, f := range c.flags {
		line("-l", f.name, strings.TrimSpace(fishAction(f)+" -d"), quoted(f.help))
	}
	for _, one := range c.commands {
		line("-n __dmcow_no_command -a", one.name, "-d", quoted(one.help))
		when := quoted("__fish_seen_subcommand_from " + one.name)
		for _, f := range one.flags {
			line("-n", when, "-l", f.name, strings.TrimSpace(fishAction(f)+" -d"), quoted(f.help))
		}
		if len(one.arguments) > 0 {
			line("-n", when, "-F -a '(__dmcow_names)'")
		}
	}
	return strings.NewReplacer("{lines}\n", b.String(), "{commands}", strings.Join(c.names(), " ")).Replace(fish)
}

func fishAction(w word) string {
	return map[takes]string{anything: "-x", oneOf: "-x -a " + quoted(strings.Join(w.values, " ")), aFile: "-r -F",
		aDirectory: "-r -F", aStore: "-r -F -a '(__dmcow_names)'", aVolume: "-x -a '(__dmcow_names)'"}[w.takes]
}

// quoted is a word in single quotes, for a shell. A quote in it becomes an apostrophe that needs none.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "’") + "'" }
