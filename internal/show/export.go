package show

import (
	"fmt"
	"time"

	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

// Exported says what was exported, and how fast.
func Exported(p *snapshot.Export, took time.Duration) string {
	size := p.Source.Size()
	text := fmt.Sprintf("exported %s: %s %s", words.Printable(p.Source.About()), words.Size(size), speed(format.Bytes(size), took))
	if p.Output.Holes > 0 {
		text += fmt.Sprintf(", %s of it holes", words.Size(p.Output.Holes))
	}
	return text
}
