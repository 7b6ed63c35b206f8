// Manual makes the pages of the manual and the completions of the shells, from the command line's own model, check's
// rules and the types of what is written for programs.
//
//	manual man DIR          DIR/man8/dmcow.8, dmcow-check.8, ...
//	manual completions DIR  DIR/dmcow.bash, _dmcow, dmcow.fish
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dmcow/cmd"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: manual man|completions DIR")
	}
	switch args[0] {
	case "man":
		return writePages(args[1])
	case "completions":
		return writeCompletions(args[1])
	}
	return fmt.Errorf("unknown: %s", args[0])
}

func writePages(dir string) error {
	date, err := pageDate()
	if err != nil {
		return err
	}
	for _, p := range pages(date) {
		name := filepath.Join(dir, fmt.Sprintf("man%d", p.section), fmt.Sprintf("%s.%d", p.name, p.section))
		if err := writeFile(name, p.String()); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o666)
}

// pages are all pages of the manual.
func pages(date string) (all []*page) {
	model := cmd.Model()
	var names []string
	for _, node := range model.Children {
		if !node.Hidden {
			names = append(names, node.Name)
		}
	}
	all = append(all, programPage(model, names, date), rulesPage(date), formatsPage(date))
	for _, node := range model.Children {
		if !node.Hidden {
			all = append(all, commandPage(node, names, date))
		}
	}
	return append(all, textPages(date)...)
}

// pageDate is the day that pages bear: of SOURCE_DATE_EPOCH, or of the last commit.
func pageDate() (string, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return "", fmt.Errorf("git log: %w: set SOURCE_DATE_EPOCH", err)
		}
		epoch = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC().Format("2006-01-02"), nil
}
