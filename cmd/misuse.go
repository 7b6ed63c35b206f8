package cmd

import (
	"errors"
	"strings"

	"github.com/alecthomas/kong"

	"dmcow/internal/argline"
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

// misuse is the error of a command line that cannot be parsed. Other errors come from
// writing the help.
func misuse(err error) error {
	var p *kong.ParseError
	if errors.As(err, new(*stdio.OutputError)) || !errors.As(err, &p) {
		return err
	}
	command, text := "", words.Printable(argline.Plain(err.Error()))
	if p.Context != nil && p.Context.Selected() != nil {
		command = p.Context.Selected().Name
	}
	if command == "" {
		text = strings.Replace(text, "unexpected argument", "unknown command", 1)
	}
	return misused(command, text)
}
