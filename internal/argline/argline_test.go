package argline

import (
	"slices"
	"strings"
	"testing"
)

var rules = Rules{
	Valued:     []string{"--log"},
	Readers:    []string{"check", "diff"},
	Ends:       []string{"export"},
	Mistaken:   []Mistaken{{"--origin", []string{"merge"}, "behind --pv"}},
	IsVolume:   func(word string) bool { return strings.Count(word, "/") == 1 && word[0] != '/' && word[0] != '.' },
	IsPhysical: func(word string) bool { return strings.HasSuffix(word, ".pv") },
}

func TestRead(t *testing.T) {
	for line, want := range map[string]string{
		"":                                "",
		"--version":                       "--version",
		"help":                            "--help",
		"help check":                      "check --help",
		"-v help merge":                   "-v merge --help",
		"help help":                       "--help",
		"check help":                      "check help",
		"check --into x s":                "check --origin x s",
		"check s --into=x":                "check s --origin=x",
		"check s -- --into x":             "check s -- --into x",
		"check s --intox y":               "check s --intox y",
		"merge s --into x":                "merge s --into x",
		"--log check diff --into x y":     "--log check diff --origin x y",
		"check --pv a.pv b.pv vg/s":       "check --pv a.pv --pv b.pv vg/s",
		"check vg/s --pv a.pv b.pv c.pv":  "check vg/s --pv a.pv --pv b.pv --pv c.pv",
		"check --pv a.pv b.pv -q vg/s":    "check --pv a.pv --pv b.pv -q vg/s",
		"check --pv a.pv b.pv -- vg/s":    "check --pv a.pv --pv b.pv -- vg/s",
		"check --pv a.pv b.img vg/s":      "check --pv a.pv b.img vg/s",
		"check --pv a.pv b.pv s":          "check --pv a.pv b.pv s",
		"check --pv d/a.pv d/b.pv":        "check --pv d/a.pv d/b.pv",
		"check --pv d/a.pv d/b.pv vg/s":   "check --pv d/a.pv --pv d/b.pv vg/s",
		"merge s --into=vg/o --pv a b.pv": "merge s --into=vg/o --pv a --pv b.pv",
		"check vg/s --pv":                 "check vg/s --pv",
		"check vg/s --pv=a.pv b.pv":       "check vg/s --pv=a.pv b.pv",
		"export --pv a.pv b.pv vg/s out":  "export --pv a.pv --pv b.pv vg/s out",
		"export vg/s out.pv --pv a.pv":    "export vg/s out.pv --pv a.pv",
		"merge s --origin x":              "!",
		"merge s --origin=x":              "!",
		"merge s --originx":               "merge s --originx",
		"export vg/s --pv a.pv b.pv":      "!b.pv",
		"export vg/s --pv a.pv b.pv out":  "!b.pv",
	} {
		args := strings.Fields(line)
		got, err := rules.Read(slices.Clone(args))
		word, refused := strings.CutPrefix(want, "!")
		switch {
		case refused && (err == nil || !strings.HasPrefix(err.Error(), strings.TrimLeft(word+" behind --pv", " "))):
			t.Errorf("%s: %v, %v", line, got, err)
		case !refused && (err != nil || strings.Join(got, " ") != want):
			t.Errorf("%s: %v, %v; want %s", line, got, err, want)
		}
	}
}

func TestCommand(t *testing.T) {
	for line, want := range map[string]int{"": -1, "-v": -1, "-v check": 1, "--log check merge": 2, "--log=x check": 1, "--log": -1} {
		if got := rules.Command(strings.Fields(line)); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
}
