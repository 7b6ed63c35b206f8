package argline

import (
	"slices"
	"strings"
	"testing"
)

var rules = Rules{
	Valued:     []string{"--log"},
	Monitors:   []string{"usage"},
	Readers:    []string{"check", "diff"},
	Ends:       []string{"export"},
	Piece:      "--piece",
	All:        []string{"usage"},
	Mistaken:   []Mistaken{{"--origin", []string{"merge"}, "after --pv", ""}},
	IsVolume:   func(word string) bool { return strings.Count(word, "/") == 1 && word[0] != '/' && word[0] != '.' },
	IsPhysical: func(word string) bool { return strings.HasSuffix(word, ".pv") },
}

func TestRead(t *testing.T) {
	for line, want := range map[string]string{
		"":                                      "",
		"--version":                             "--version",
		"dump --piece a:0:8 -v --piece=b:0:8 x": "dump a:0:8+b:0:8 --piece a:0:8 -v --piece=b:0:8 x",
		"--log l dump --piece":                  "--log l dump --piece",
		"dump -- --piece a:0:8":                 "dump -- --piece a:0:8",
		"help":                                  "--help",
		"help check":                            "check --help",
		"-v help merge":                         "-v merge --help",
		"help help":                             "--help",
		"check help":                            "check help",
		"check --into x s":                      "check --origin x s",
		"check s --into=x":                      "check s --origin=x",
		"check s -- --into x":                   "check s -- --into x",
		"check s --intox y":                     "check s --intox y",
		"merge s --into x":                      "merge s --into x",
		"--log check diff --into x y":           "--log check diff --origin x y",
		"check --pv a.pv b.pv vg/s":             "check --pv a.pv --pv b.pv vg/s",
		"check vg/s --pv a.pv b.pv c.pv":        "check vg/s --pv a.pv --pv b.pv --pv c.pv",
		"check --pv a.pv b.pv -q vg/s":          "check --pv a.pv --pv b.pv -q vg/s",
		"check --pv a.pv b.pv -- vg/s":          "check --pv a.pv --pv b.pv -- vg/s",
		"check --pv a.pv b.img vg/s":            "check --pv a.pv b.img vg/s",
		"check --pv a.pv b.pv s":                "check --pv a.pv b.pv s",
		"check --pv d/a.pv d/b.pv":              "check --pv d/a.pv d/b.pv",
		"check --pv d/a.pv d/b.pv vg/s":         "check --pv d/a.pv --pv d/b.pv vg/s",
		"merge s --into=vg/o --pv a b.pv":       "merge s --into=vg/o --pv a --pv b.pv",
		"check vg/s --pv":                       "check vg/s --pv",
		"check vg/s --pv=a.pv b.pv":             "check vg/s --pv=a.pv b.pv",
		"export --pv a.pv b.pv vg/s out":        "export --pv a.pv --pv b.pv vg/s out",
		"export vg/s out.pv --pv a.pv":          "export vg/s out.pv --pv a.pv",
		"usage --all --pv a.pv b.pv":            "usage --all --pv a.pv --pv b.pv",
		"usage --pv a.pv b.pv --all -v":         "usage --pv a.pv --pv b.pv --all -v",
		"usage --pv a.pv b.pv -- --all":         "usage --pv a.pv b.pv -- --all",
		"check --all --pv a.pv b.pv":            "check --all --pv a.pv b.pv",
		"merge s --origin x":                    "!",
		"merge s --origin=x":                    "!",
		"merge s --originx":                     "merge s --originx",
		"export vg/s --pv a.pv b.pv":            "!b.pv",
		"export vg/s --pv a.pv b.pv out":        "!b.pv",
	} {
		args := strings.Fields(line)
		got, err := rules.Read(slices.Clone(args))
		word, refused := strings.CutPrefix(want, "!")
		switch {
		case refused && (err == nil || !strings.HasPrefix(err.Error(), strings.TrimLeft(word+" after --pv", " "))):
			t.Errorf("%s: %v, %v", line, got, err)
		case !refused && (err != nil || strings.Join(got, " ") != want):
			t.Errorf("%s: %v, %v; want %s", line, got, err, want)
		}
	}
}

func TestGather(t *testing.T) {
	takesValue := func(flag string) bool { return flag == "--pv" || flag == "-o" || flag == "--log" }
	for line, want := range map[string]string{
		"":                              "",
		"-v":                            "-v",
		"check a -q b":                  "check -q a b",
		"-v check a --pv p b -o json c": "-v check --pv p -o json a b c",
		"--log l check a -qo json b":    "--log l check -qo json a b",
		"check a --pv=p b -- -c":        "check --pv=p -- a b -c",
		"export a - --pv p":             "export --pv p a -",
		"check a -o":                    "check -o a",
	} {
		if got := strings.Join(rules.Gather(strings.Fields(line), takesValue), " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestMonitors(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "usage x": false, "usage x --warn 80": true, "-v usage --crit=9 x": true, "check usage --warn 1": false,
		"usage -- --warn": false, "usage --warning": false, "--warn 3 usage x": false, "--log f usage --warn x": true,
	} {
		if got := rules.IsMonitored(strings.Fields(line)); got != want {
			t.Errorf("%s: %v", line, got)
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
