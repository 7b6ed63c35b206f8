package cmd

import (
	"embed"
	"strings"

	"github.com/alecthomas/kong"
)

// manual has a text for each command.
//
//go:embed manual/*.txt
var manual embed.FS

// addManual gives the commands their texts.
func addManual(k *kong.Kong) error {
	for _, command := range k.Model.Children {
		text, err := manual.ReadFile("manual/" + command.Name + ".txt")
		if err != nil {
			return err
		}
		command.Detail = strings.TrimSpace(string(text))
		if strings.Contains(command.Detail, "{rules}") {
			command.Detail = strings.ReplaceAll(command.Detail, "{rules}", ruleNames())
		}
	}
	return nil
}
