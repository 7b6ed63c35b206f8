package show

import (
	"fmt"
	"time"

	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/delta"
)

// Sent says what was sent, and how fast.
func Sent(p *snapshot.Send, took time.Duration) string {
	text := "sent " + Delta(p.Head)
	if p.Equal > 0 && p.Head.Kind != delta.Full {
		text += fmt.Sprintf(" (%s equal after all)", words.Count(p.Equal, "chunk"))
	}
	text += fmt.Sprintf("; %s %s", words.Size(p.Size), speed(p.Size, took))
	switch {
	case p.Output.Had > 0:
		text += fmt.Sprintf(", of which the file had %s", words.Size(p.Output.Had))
	case p.Output.Skipped() > 0:
		text += fmt.Sprintf(", of which %s were skipped", words.Size(p.Output.Skipped()))
	}
	return text
}

// largestRuns is how many runs are shown of what would be sent.
const largestRuns = 5

// WouldSend writes what would be sent.
func WouldSend(p *snapshot.Send, t *Text) error {
	t.Line("%s: would send %s, at most: chunks that are equal after all are left out", words.Printable(p.Output.Name), Delta(p.Head))
	t.Line("%s, in chunks of %s", words.Bytes(p.Size), words.Size(p.Head.Geometry.ChunkBytes()))
	runs := p.LargestRuns(largestRuns)
	if len(runs) == 0 {
		return t.err
	}
	t.Line("\nlargest runs:")
	digits := len(fmt.Sprint(uint64(p.Head.Size)))
	for _, r := range runs {
		t.Line("  byte %*d  %s", digits, uint64(r.Offset), words.Size(format.Bytes(r.Length)))
	}
	return t.err
}
