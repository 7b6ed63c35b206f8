package cmd

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"dmcow/dump"
	"dmcow/internal/words"
)

// mapWidth is how wide a map is where that is not the terminal's width.
const mapWidth = 80

// width is how many columns there are for a map.
func (d *difference) width() int {
	if f := d.app.stdout.File(); f != nil {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return mapWidth
}

// shades are how a cell of a map looks, by how much of it differs: nothing, some, more, most,
// all.
var shades = struct{ blocks, ascii []string }{
	blocks: []string{"·", "░", "▒", "▓", "█"},
	ascii:  []string{".", "-", "+", "*", "#"},
}

// signs are the shades that the terminal can show.
func signs() []string {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if v = strings.ToLower(v); strings.Contains(v, "utf-8") || strings.Contains(v, "utf8") {
				return shades.blocks
			}
			break
		}
	}
	return shades.ascii
}

// picture is the map as a picture.
func (d *difference) picture() string {
	ranges, bytes := d.total()
	text := fmt.Sprintf("%s in %s: %s, %.2f%% of %s",
		words.Count(d.changes.Chunks(), "chunk"), words.Count(ranges, "range"), words.Size(bytes), d.share(bytes), words.Size(d.changes.Size))
	return dump.SVG(d.changes, "Where "+d.title()+" differ", text)
}
