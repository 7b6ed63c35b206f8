package cmd

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"dmcow/internal/show"
	"dmcow/internal/words"
)

// unwrapped is more than any line of the help has.
const unwrapped = 1 << 16

// printHelp prints the help as wide as the terminal, and into a pipe without breaking a line.
func printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	columns := show.Columns(ctx.Stdout)
	width := unwrapped
	if columns > 0 {
		width = columns
	}
	if err := os.Setenv("COLUMNS", strconv.Itoa(width)); err != nil { // which kong goes by
		return err
	}
	to := ctx.Stdout
	var b strings.Builder
	ctx.Stdout = &b
	defer func() { ctx.Stdout = to }()
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return err
	}
	_, err := io.WriteString(to, words.Examples(b.String(), columns))
	return err
}
