package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"dmcow/format"
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

// piece is one of the pieces of a COW device on the command line: FILE:OFFSET:SIZE.
type piece struct {
	file         path
	offset, size units.Size
	text         string
}

// Decode takes the next word of the command line. A file's name may have colons.
func (p *piece) Decode(ctx *kong.DecodeContext) error {
	word, ok := ctx.Scan.Pop().Value.(string)
	if !ok {
		return errors.New("missing a piece: write it like FILE:OFFSET:SIZE")
	}
	return p.parse(word)
}

func (p *piece) parse(word string) error {
	behind := strings.LastIndexByte(word, ':')
	before := strings.LastIndexByte(word[:max(behind, 0)], ':')
	if before <= 0 {
		return fmt.Errorf("invalid piece %q: write it like FILE:OFFSET:SIZE", word)
	}
	p.file, p.text = path(word[:before]), word
	if err := p.offset.UnmarshalText([]byte(word[before+1 : behind])); err != nil {
		return err
	}
	if err := p.size.UnmarshalText([]byte(word[behind+1:])); err != nil {
		return err
	}
	if p.size == 0 {
		return fmt.Errorf("piece %q has size 0", word)
	}
	return nil
}

// piecesOf are the pieces that the command line names in place of a COW device.
func piecesOf(k *kong.Context) (all []piece) {
	for _, p := range k.Path {
		if p.Flag != nil && p.Flag.Name == "piece" {
			all, _ = p.Flag.Target.Interface().([]piece)
		}
	}
	return all
}

// pieces are a COW device of such pieces, by the name that stands for it on the command line.
func pieces(all []piece) (p snapshot.Pieces) {
	var texts []string
	for _, x := range all {
		texts = append(texts, x.text)
		p.All = append(p.All, snapshot.Piece{File: string(x.file), Offset: format.Bytes(x.offset), Size: format.Bytes(x.size)})
	}
	p.Name = strings.Join(texts, "+")
	return p
}

// pieceFlags are flags that name the pieces again.
func pieceFlags(all []piece) string {
	var flags []string
	for _, x := range all {
		flags = append(flags, "--piece "+words.Shell(x.text))
	}
	return strings.Join(flags, " ")
}
