// Package argline meets people half way on the command line, before it is parsed: it changes words that can mean
// one thing only, and says how to write what can mean two.
package argline

import (
	"slices"
	"strings"

	"dmcow/internal/words"
)

// Rules say what the words of a command line mean to the program.
type Rules struct {
	// Valued are the flags of all commands that take a value, as they may stand before the command's name.
	Valued []string
	// Readers are the commands that take --into for --origin: they write nothing, and only one makes sense.
	Readers []string
	// Monitors are the commands that are monitoring plugins when they have a threshold.
	Monitors []string
	// IsVolume reports whether a word has the form VG/LV, and IsPhysical whether it names a file or device that has
	// the label of a physical volume.
	IsVolume, IsPhysical func(word string) bool
	// All are the commands of which --all stands for all VG/LV in sight.
	All []string
	// Ends are the commands of which a file may be named last, that is written to.
	Ends []string
	// Piece is the flag that names a piece of a COW device, which is put together of such ones.
	Piece string
	// Mistaken are flags that commands do not have, where another one is meant.
	Mistaken []Mistaken
}

// Mistaken is a flag that is easily taken for another one.
type Mistaken struct {
	Flag     string
	Commands []string // that do not have it
	Text     string
	Hint     string // names the right one
}

// Command is the place of the command's name among the arguments, -1 where there is none.
func (r Rules) Command(args []string) int {
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains(r.Valued, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return i
		}
	}
	return -1
}

// IsMonitored reports whether the command line of a monitoring plugin is given, also where it cannot be parsed: one of its
// commands with a threshold. The plugin's exit statuses hold then too.
func (r Rules) IsMonitored(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	at := r.Command(args)
	return at >= 0 && slices.Contains(r.Monitors, args[at]) && slices.ContainsFunc(args[at:], func(word string) bool {
		name, _, _ := strings.Cut(word, "=")
		return slices.Contains([]string{"--warn", "--crit", "--warn-left", "--crit-left"}, name)
	})
}

// Read is what the arguments mean, in the words that the parser knows. The error says how to write it.
func (r Rules) Read(args []string) ([]string, error) {
	at := r.Command(args)
	if at < 0 {
		return args, nil
	}
	if args[at] == "help" { // "help COMMAND" is "COMMAND --help"
		line := slices.DeleteFunc(slices.Clone(args[at:]), func(word string) bool { return word == "help" })
		return append(slices.Concat(args[:at], line), "--help"), nil
	}
	before, behind := args, []string(nil)
	if end := slices.Index(args, "--"); end >= 0 {
		before, behind = args[:end], args[end:]
	}
	line := slices.Clone(before)
	if slices.Contains(r.Readers, args[at]) {
		for i, word := range line {
			if rest, ok := strings.CutPrefix(word, "--into"); ok && (rest == "" || rest[0] == '=') {
				line[i] = "--origin" + rest
			}
		}
	}
	for _, m := range r.Mistaken {
		given := func(word string) bool { name, _, _ := strings.Cut(word, "="); return name == m.Flag }
		if slices.Contains(m.Commands, args[at]) && slices.ContainsFunc(line, given) {
			return nil, words.Hinted(m.Text, m.Hint)
		}
	}
	if name := r.pieces(line); name != "" {
		line = slices.Insert(line, at+1, name)
	}
	line, err := r.spread(line, args[at], behind)
	return append(line, behind...), err
}

// pieces is the name that stands for the pieces of a COW device in its place among the names, empty where none is named.
func (r Rules) pieces(line []string) string {
	var all []string
	for i, word := range line {
		flag, value, ok := strings.Cut(word, "=")
		switch {
		case flag != r.Piece || r.Piece == "":
		case ok:
			all = append(all, value)
		case i+1 < len(line):
			all = append(all, line[i+1])
		}
	}
	return strings.Join(all, "+")
}

// spread has each physical volume that follows the one of a --pv have its own, as a shell makes them of
// "--pv disk*.img", where VG/LV is named. behind is what else the line has.
func (r Rules) spread(line []string, command string, behind []string) (all []string, err error) {
	every := slices.Contains(r.All, command) && slices.Contains(line, "--all")
	for i := 0; i < len(line); i++ {
		all = append(all, line[i])
		if line[i] != "--pv" || i+1 == len(line) {
			continue
		}
		i++
		all = append(all, line[i])
		more := r.physical(line[i+1:])
		rest := line[i+1+len(more):]
		switch {
		case len(more) == 0 || !every && !slices.ContainsFunc(slices.Concat(line[:i-1], rest, behind), r.namesVolume):
			continue
		case slices.Contains(r.Ends, command) && (len(rest) == 0 || !r.IsVolume(rest[0])):
			return nil, words.Hinted(words.Printable(more[len(more)-1])+" after --pv may be a physical volume or the file to write", "--pv before each physical volume, or the file before --pv")
		}
		for _, word := range more {
			all = append(all, "--pv", word)
		}
		i += len(more)
	}
	return all, nil
}

// physical are the first words, as far as each names a physical volume.
func (r Rules) physical(line []string) []string {
	n := slices.IndexFunc(line, func(word string) bool { return strings.HasPrefix(word, "-") || !r.IsPhysical(word) })
	if n < 0 {
		n = len(line)
	}
	return line[:n]
}

// namesVolume reports whether a word is VG/LV, or a flag with that as its value.
func (r Rules) namesVolume(word string) bool {
	if strings.HasPrefix(word, "-") {
		_, word, _ = strings.Cut(word, "=")
	}
	return r.IsVolume(word) && !r.IsPhysical(word)
}

// Gather puts flags, with their values, before names: a parser takes several names only where nothing stands between
// them. takesValue reports whether a flag ("--output", "-o") does.
func (r Rules) Gather(args []string, takesValue func(flag string) bool) []string {
	at := r.Command(args)
	if at < 0 {
		return args
	}
	flags, names := slices.Clone(args[:at+1]), []string(nil)
	for i := at + 1; i < len(args); i++ {
		word := args[i]
		switch {
		case word == "--":
			return slices.Concat(flags, []string{word}, names, args[i+1:])
		case len(word) < 2 || word[0] != '-': // "-" is standard output
			names = append(names, word)
			continue
		}
		flags = append(flags, word)
		if word[1] != '-' {
			word = "-" + word[len(word)-1:] // of -vo the last one may take a value
		}
		if i+1 < len(args) && !strings.Contains(word, "=") && takesValue(word) {
			i++
			flags = append(flags, args[i])
		}
	}
	return append(flags, names...)
}
