package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// lines are the lines of a file that a change made, from one up to but not including another.
type lines struct{ from, to int }

// changedSince asks git which lines of which files are others than at a commit.
func changedSince(m module, commit string) (map[string][]lines, error) {
	command := exec.Command("git", "-C", m.dir, "diff", "-U0", "--no-color", "--no-ext-diff", "--relative", "--src-prefix=a/", "--dst-prefix=b/", commit, "--", "*.go")
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("git diff %s: %w", commit, err)
	}
	return parseDiff(string(out)), nil
}

var hunk = regexp.MustCompile(`^@@ -\S+ \+(\d+)(?:,(\d+))? @@`)

func parseDiff(diff string) map[string][]lines {
	changed := map[string][]lines{}
	file := ""
	for line := range strings.Lines(diff) {
		if name, ok := strings.CutPrefix(line, "+++ "); ok {
			file = strings.TrimPrefix(strings.TrimSpace(name), "b/")
		}
		if m := hunk.FindStringSubmatch(line); m != nil {
			from, _ := strconv.Atoi(m[1])
			count := 1
			if m[2] != "" {
				count, _ = strconv.Atoi(m[2])
			}
			changed[file] = append(changed[file], lines{from, from + count})
		}
	}
	return changed
}
