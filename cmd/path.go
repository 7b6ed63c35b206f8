package cmd

import (
	"errors"
	"fmt"

	"github.com/alecthomas/kong"
)

// path names a device or an image on the command line, byte for byte: names
// that are not UTF-8 would not survive kong's own strings.
type path string

// Decode takes the next word of the command line as it is.
func (p *path) Decode(ctx *kong.DecodeContext) error {
	word, ok := ctx.Scan.Pop().Value.(string)
	if !ok {
		return fmt.Errorf("expected a device or an image")
	}
	if word == "" {
		return errors.New("an empty name, expected a device or an image")
	}
	*p = path(word)
	return nil
}
