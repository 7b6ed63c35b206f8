package cmd

import (
	"errors"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"dmcow/internal/stdio"
	"dmcow/internal/words"
)

// usageError is wrong use of the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// misused is wrong use of a command, with where to read on; the command is empty where none was found.
func misused(command, text string) error {
	see := "see dmcow " + command + " --help"
	if command == "" {
		return usageError{words.Hinted(text, "see dmcow --help")}
	}
	return usageError{words.Hinted(command+": "+strings.TrimPrefix(text, command+": "), see)}
}

// misuse is the error of a command line that cannot be parsed. What is no such
// error comes from writing the help.
func misuse(err error) error {
	var p *kong.ParseError
	if errors.As(err, new(*stdio.OutputError)) || !errors.As(err, &p) {
		return err
	}
	command := ""
	if p.Context != nil && p.Context.Selected() != nil {
		command = p.Context.Selected().Name
	}
	return misused(command, words.Printable(plain(err.Error())))
}

// phrases are what kong says, and how it is said here.
var phrases = []struct {
	kong  *regexp.Regexp
	plain string
}{
	{regexp.MustCompile(`^(--\S+?)(=\S+)? must be one of (.*) but got "(.*)"$`), `$1: invalid value "$4": expected one of $3`},
	{regexp.MustCompile(`^(--\S+): expected .* but got "EOL" .*$`), `$1: missing value`},
	{regexp.MustCompile(`^(--\S+): bool value must be .* but got "?(.*?)"?$`), `$1 takes no value, got "$2"`},
	{regexp.MustCompile(`^expected one of .*$`), `missing command`},
}

// plain is an error of kong's in the program's own words.
func plain(text string) string {
	for _, x := range phrases {
		if x.kong.MatchString(text) {
			return strings.ReplaceAll(x.kong.ReplaceAllString(text, x.plain), `"",`, "")
		}
	}
	if flags, ok := strings.CutPrefix(text, "missing flags: "); ok {
		return "missing " + flagValues.ReplaceAllString(flags, "")
	}
	if names, ok := strings.CutPrefix(text, `expected "<`); ok {
		return "missing " + strings.ToUpper(strings.NewReplacer("<", "", ">", "", `"`, "", " ...", "").Replace(names))
	}
	return text
}

// flagValues are the values of flags, as kong names them.
var flagValues = regexp.MustCompile(`=\S+?\b`)
