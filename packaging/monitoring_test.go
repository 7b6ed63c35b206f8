package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMonitoring runs what the examples run, on a store.
func TestMonitoring(t *testing.T) {
	dir := t.TempDir()
	run(t, "..", "go", "build", "-o", filepath.Join(dir, "dmcow"), ".")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	store := filepath.Join(dir, "snap.cow")
	run(t, dir, "sh", "-c", `gunzip -c "$0" >"$1"`, absolute(t, "../testdata/kernel/lvm-ext4.cow.gz"), store)

	command := find(t, "dmcow-prometheus.service", `(?m)^ExecStart=/bin/sh -c '(.*)'$`)
	file := filepath.Join(dir, "dmcow.prom")
	t.Setenv("SNAPSHOTS", store)
	t.Setenv("FILE", file)
	run(t, dir, "sh", "-c", command)
	if content, err := os.ReadFile(file); err != nil || !strings.Contains(string(content), "\ndmcow_") {
		t.Errorf("the file for Prometheus: %v\n%s", err, content)
	}

	command = find(t, "nagios.cfg", `(?m)^  command_line sudo /usr/sbin/(.*)$`)
	arguments := strings.Split(find(t, "nagios.cfg", `(?m)^  check_command +check_dmcow!(.*)$`), "!")
	command = strings.NewReplacer("$ARG1$", arguments[0], "$ARG2$", arguments[1], "$ARG3$", store).Replace(command)
	plugin(t, dir, command)

	command = strings.Trim(strings.ReplaceAll(find(t, "icinga2.conf", `command = \[ "/usr/sbin/(dmcow.*)" \]`), `", "`, " "), `"`)
	for _, flag := range []string{"warn", "crit"} {
		find(t, "icinga2.conf", `"(--`+flag+`)" = \{ value = "\$dmcow_`+flag+`\$"`)
		command += " --" + flag + " " + find(t, "icinga2.conf", `vars\.dmcow_`+flag+` = (\d+)`)
	}
	plugin(t, dir, command+" "+store)
}

// plugin runs a monitoring plugin whose store is well.
func plugin(t *testing.T, dir, command string) {
	t.Helper()
	if out := run(t, dir, "sh", "-c", command); !regexp.MustCompile(`\bOK\b.*\|`).MatchString(out) {
		t.Errorf("%s: %s", command, out)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// find is what stands in an example at a place.
func find(t *testing.T, example, pattern string) string {
	t.Helper()
	content, err := os.ReadFile("monitoring/" + example)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).FindSubmatch(content)
	if found == nil {
		t.Fatalf("%s has no %s", example, pattern)
	}
	return string(found[1])
}
