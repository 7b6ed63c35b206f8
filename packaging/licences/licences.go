// Package licences knows what is linked into the program beside its own code, and under which licences.
package licences

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A module is code of others that is linked into the program.
type module struct{ path, dir string }

// A Licence is one text, and what has it.
type Licence struct {
	Name    string // as SPDX has it
	text    string
	Modules []string // paths; Go itself is "std"
	holders []string
}

// debianNames are the names of a copyright file for what SPDX calls otherwise.
var debianNames = map[string]string{"MIT": "Expat"}

// Collect reads the licences of all modules, those of the same text together.
func Collect(dir string) ([]*Licence, error) {
	byText := map[string]*Licence{}
	modules, err := linked(dir)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		name, text, holders, err := read(m)
		if err != nil {
			return nil, err
		}
		key := name + strings.ToLower(strings.Join(strings.Fields(text), ""))
		l := byText[key]
		if l == nil {
			l = &Licence{Name: name, text: text}
			byText[key] = l
		}
		l.Modules = append(l.Modules, m.path)
		if m.path == "golang.org/x/sys" { // what is linked in of Go itself has this licence, too
			l.Modules = append(l.Modules, "std")
		}
		l.holders = append(l.holders, holders...)
	}
	var all []*Licence
	for _, l := range byText {
		slices.Sort(l.Modules)
		slices.Sort(l.holders)
		l.holders = slices.Compact(l.holders)
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Licence) int { return cmp.Compare(a.Modules[0], b.Modules[0]) })
	return all, nil
}

// linked are the modules in the program, on any of the processors that there are packages for.
func linked(dir string) ([]module, error) {
	found := map[string]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}", ".")
		list.Dir, list.Stderr = dir, os.Stderr
		list.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		for line := range strings.Lines(string(out)) {
			if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				found[path] = dir
			}
		}
	}
	var modules []module
	for path, dir := range found {
		modules = append(modules, module{path, dir})
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return modules, nil
}

var (
	isHolder = regexp.MustCompile(`^Copyright (\([cC]\) )?(.*[^ ])`)
	isTitle  = regexp.MustCompile(`(?i)^((the |new )?(mit|bsd) license.*|all rights reserved\.?)$`)
)

// read takes a module's licence apart.
func read(m module) (name, text string, holders []string, err error) {
	files, err := filepath.Glob(m.dir + "/[LC][IO][CP][EY][NI]*") // LICENSE, LICENCE, COPYING
	if err != nil || len(files) != 1 {
		return "", "", nil, fmt.Errorf("%s: expected one licence, found %q", m.path, files)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		return "", "", nil, err
	}
	var body []string
	for line := range strings.Lines(string(content)) {
		line = strings.TrimRight(line, " \r\n")
		switch f := isHolder.FindStringSubmatch(strings.TrimSpace(line)); {
		case f != nil && !strings.HasPrefix(f[2], "notice"):
			holders = append(holders, strings.TrimPrefix(f[2], "by "))
		case !isTitle.MatchString(strings.TrimSpace(line)):
			body = append(body, line)
		}
	}
	text = strings.TrimSpace(strings.Join(body, "\n"))
	name = spdx(text)
	if name == "" || len(holders) == 0 {
		return "", "", nil, fmt.Errorf("%s: unknown licence, or no holder: %q, %q", files[0], name, holders)
	}
	return name, text, holders, nil
}

func spdx(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case strings.HasPrefix(text, "Permission is hereby granted, free of charge,"):
		return "MIT"
	case strings.HasPrefix(text, "Redistribution and use in source and binary forms") && strings.Contains(text, "Neither the name"):
		return "BSD-3-Clause"
	case strings.HasPrefix(text, "Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	case strings.HasPrefix(text, "Apache License Version 2.0"):
		return "Apache-2.0"
	}
	return ""
}

// Outgoing is the licence of dmcow's own code as it goes out: that of the source, or the later version that
// Apache-2.0 goes with.
func Outgoing(licences []*Licence) string {
	if slices.ContainsFunc(licences, func(l *Licence) bool { return l.Name == "Apache-2.0" }) {
		return "GPL-3.0-or-later"
	}
	return "GPL-2.0-or-later"
}

// Expression is the licence of the package, as SPDX writes it.
func Expression(licences []*Licence) string {
	var names []string
	for _, l := range licences {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	return strings.Join(append([]string{Outgoing(licences)}, slices.Compact(names)...), " AND ")
}

// Copyright is the file, in the form that Debian has for it.
func Copyright(licences []*Licence) string {
	var b strings.Builder
	own := Outgoing(licences)
	fmt.Fprint(&b, "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n",
		"Upstream-Name: dmcow\n",
		"Comment: The program is linked statically. The other files than dmcow's are those of\n",
		" the Go modules, and of Go itself, that are in it.\n\n",
		"Files: *\nCopyright: the authors of dmcow\nLicense: ", own, "\n",
		" This program is free software; you can redistribute it and/or modify it\n",
		" under the terms of the GNU General Public License as published by the Free\n",
		" Software Foundation; either version ", own[4:5], " of the License, or (at your option)\n",
		" any later version.\n .\n",
		" This program is distributed in the hope that it will be useful, but WITHOUT\n",
		" ANY WARRANTY; without even the implied warranty of MERCHANTABILITY or\n",
		" FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for\n",
		" more details.\n .\n",
		" On Debian systems, the full text of the license is in\n",
		" /usr/share/common-licenses/GPL-", own[4:5], ".\n")
	for _, l := range licences {
		fmt.Fprintf(&b, "\nFiles: %s/*\n", strings.Join(l.Modules, "/*\n "))
		fmt.Fprintf(&b, "Copyright: %s\n", strings.Join(l.holders, "\n "))
		fmt.Fprintf(&b, "License: %s\n", cmp.Or(debianNames[l.Name], l.Name))
		for line := range strings.Lines(l.text) {
			if line = strings.TrimRight(line, "\n"); line == "" {
				line = "."
			}
			fmt.Fprintf(&b, " %s\n", line)
		}
	}
	return b.String()
}
