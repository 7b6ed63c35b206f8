// Package manual has the text of each command. Its first part is what --help prints; sections follow, each under a
// heading in capitals, that only the command's page has (internal/manual).
package manual

import (
	"embed"
	"strings"
)

//go:embed *.txt
var texts embed.FS

// Help is what --help prints of a command. It is empty for one without a text.
func Help(command string) string {
	help, _ := cut(command)
	return help
}

// Sections are the rest of a command's text.
func Sections(command string) string {
	_, sections := cut(command)
	return sections
}

func cut(command string) (help, sections string) {
	b, err := texts.ReadFile(command + ".txt")
	if err != nil {
		return "", ""
	}
	text, at := string(b), 0
	for line := range strings.Lines(text) {
		if IsHeading(strings.TrimRight(line, "\n")) && strings.HasSuffix(text[:at], "\n\n") {
			return strings.TrimSpace(text[:at]), strings.TrimSpace(text[at:])
		}
		at += len(line)
	}
	return strings.TrimSpace(text), ""
}

// IsHeading reports whether a line begins a section.
func IsHeading(line string) bool {
	return len(line) > 1 && 'A' <= line[0] && line[0] <= 'Z' && strings.Trim(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,/-") == ""
}

// Count is how many commands have a text.
func Count() int {
	all, err := texts.ReadDir(".")
	if err != nil {
		panic(err) // the texts are in the program
	}
	return len(all)
}
