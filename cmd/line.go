package cmd

import (
	"slices"

	"github.com/alecthomas/kong"

	"dmcow/internal/argline"
	"dmcow/snapshot"
)

// groups are what a person wants of a command, in the order of the help.
const (
	toLook = "Inspect:"
	toGet  = "Get data out:"
	toPut  = "Merge back:"
	toMend = "Repair:"
	toMake = "Create:"
)

// rules are what words of the command line mean before it is parsed.
var rules = argline.Rules{
	Valued:   []string{"--log"},
	Readers:  []string{"check", "usage", "diff", "files", "ls", "get", "mount"},
	Monitors: []string{"usage", "list"},
	IsVolume: snapshot.IsVolume, IsPhysical: snapshot.IsPhysical,
	Ends:  []string{"export", "send", "get"},
	Piece: "--piece",
	All:   []string{"usage"},
	Mistaken: []argline.Mistaken{
		{Flag: "--origin", Commands: []string{"merge", "merge-step"}, Text: "--origin is for an origin that is only read; this command writes to it", Hint: "use --into ORIGIN"},
		{Flag: "--into", Commands: []string{"create", "export", "repair", "revalidate", "send"}, Text: "--into is for an origin to write to; this command only reads it", Hint: "use --origin ORIGIN"},
	},
}

// named is the command that the arguments name, none for --version alone, and else all of them: to make kong
// know them all takes half the time that the program takes to begin.
func named(args []string) []command {
	all := commands()
	if slices.Equal(args, []string{"--version"}) {
		return nil
	}
	if at := rules.Command(args); at >= 0 {
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == args[at] }); i >= 0 {
			return all[i : i+1]
		}
	}
	return all
}

// group puts the commands of the help under what a person wants of them.
func group(k *kong.Kong) error {
	for _, c := range commands() {
		for _, node := range k.Model.Children {
			if node.Name == c.name {
				node.Group = &kong.Group{Key: c.group, Title: c.group}
			}
		}
	}
	return nil
}

// takesValue says which flags of the commands that a parser knows take a value.
func takesValue(parser *kong.Kong) func(flag string) bool {
	takes := map[string]bool{}
	for _, node := range append(slices.Clone(parser.Model.Children), parser.Model.Node) {
		for _, f := range node.Flags {
			takes["--"+f.Name] = !f.IsBool()
			takes["-"+string(f.Short)] = !f.IsBool()
		}
	}
	return func(flag string) bool { return takes[flag] }
}
