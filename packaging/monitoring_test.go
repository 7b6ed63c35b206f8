package packaging

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dmcow/dump"
)

// TestMonitoring runs what the examples run, on a store.
func TestMonitoring(t *testing.T) {
	dir := t.TempDir()
	run(t, "..", "go", "build", "-o", filepath.Join(dir, "dmcow"), ".")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	store := filepath.Join(dir, "snap.cow")
	run(t, dir, "sh", "-c", `gunzip -c "$0" >"$1"`, absolute(t, "../testdata/kernel/lvm-ext4.cow.gz"), store)
	state := filepath.Join(dir, "readings")

	command := find(t, "dmcow-prometheus.service", `(?m)^ExecStart=/usr/sbin/(.*)$`)
	file := filepath.Join(dir, "dmcow.prom")
	run(t, dir, "sh", "-c", strings.NewReplacer("--all", store, "${FILE}", file).Replace(command))
	content, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(content), "\ndmcow_snapshot_free_bytes{") {
		t.Errorf("the file for Prometheus: %v\n%s", err, content)
	}
	if promtool := promtool(t); promtool != "" {
		run(t, dir, "sh", "-c", promtool+" check metrics <"+file)
	}

	own := strings.NewReplacer("--all", store, "$ARG5$", store, "/var/lib/dmcow-readings", state)
	command = find(t, "nagios.cfg", `(?m)^  command_line sudo /usr/sbin/(.*)$`)
	for i, argument := range strings.Split(find(t, "nagios.cfg", `(?m)^  check_command +check_dmcow!(.*)$`), "!")[:4] {
		command = strings.Replace(command, fmt.Sprintf("$ARG%d$", i+1), argument, 1)
	}
	plugin(t, dir, own.Replace(command))
	plugin(t, dir, own.Replace(find(t, "checkmk.mrpe", `(?m)^LVM_snapshots \(interval=60\) /usr/sbin/(.*)$`)))

	command = strings.Trim(strings.ReplaceAll(find(t, "icinga2.conf", `command = \[ "/usr/sbin/(dmcow.*)" \]`), `", "`, " "), `"`)
	for _, flag := range []string{"warn", "crit", "warn-left", "crit-left", "state"} {
		variable := "dmcow_" + strings.ReplaceAll(flag, "-", "_")
		find(t, "icinga2.conf", `"(--`+flag+`)" = \{ value = "\$`+variable+`\$"`)
		command += " --" + flag + " " + strings.Trim(find(t, "icinga2.conf", `vars\.`+variable+` = (\S+)`), `"`)
	}
	plugin(t, dir, own.Replace(command+" "+store))
}

// promtool is Prometheus's tool; empty where it cannot be had, which CI does not allow.
func promtool(t *testing.T) string {
	t.Helper()
	if own := absolute(t, "../build/promtool/usr/bin/promtool"); exists(own) {
		return own
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is missing (Debian: prometheus)")
		}
		t.Log("SKIPPED in part: no promtool (Debian: prometheus)")
		return ""
	}
	return "promtool"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestAlertRules has Prometheus's own tool check the rules, and run their tests.
func TestAlertRules(t *testing.T) {
	promtool := promtool(t)
	if promtool == "" {
		t.Skip("no promtool (Debian: prometheus)")
	}
	run(t, "monitoring", "sh", "-c", `exec "$0" "$@"`, promtool, "check", "rules", "dmcow.rules.yml")
	run(t, "monitoring", "sh", "-c", `exec "$0" "$@"`, promtool, "test", "rules", "dmcow.rules.test.yml")
	tests, err := os.ReadFile("monitoring/dmcow.rules.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("monitoring/dmcow.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !regexp.MustCompile(`(?s)- alertname: ` + alert[1] + `\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels`).Match(tests) {
			t.Errorf("no test has %s fire", alert[1])
		}
		if !strings.Contains(string(tests), "{alertname: "+alert[1]+", eval_time: ") {
			t.Errorf("no test has %s not fire", alert[1])
		}
	}
	knownMetrics(t, string(rules))
}

// TestDashboard: each query of the dashboard is one that Prometheus can parse, of metrics that dmcow has, and no panel
// lies on another.
func TestDashboard(t *testing.T) {
	content, err := os.ReadFile("monitoring/dmcow-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		SchemaVersion int
		Title, UID    string
		Templating    struct {
			List []struct{ Name, Type, Definition string }
		}
		Panels []struct {
			ID                       int
			Title, Type, Description string
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal(content, &board); err != nil {
		t.Fatal(err)
	}
	if board.SchemaVersion < 36 || board.UID == "" || len(board.Panels) == 0 || len(board.Templating.List) != 3 {
		t.Errorf("%+v", board)
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	var queries strings.Builder
	queries.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.Description == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %s: %+v", p.ID, p.Title, p)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" {
					t.Fatalf("%s lies on %s", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
		for i, q := range p.Targets {
			expr, err := json.Marshal(strings.NewReplacer("$instance", ".*", "$vg", ".*").Replace(q.Expr))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&queries, "  - record: panel:%d:%d\n    expr: %s\n", p.ID, i, expr)
		}
	}
	knownMetrics(t, queries.String())
	if promtool := promtool(t); promtool != "" {
		file := filepath.Join(t.TempDir(), "queries.yml")
		if err := os.WriteFile(file, []byte(queries.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		run(t, ".", "sh", "-c", `exec "$0" "$@"`, promtool, "check", "rules", file)
	}
}

// knownMetrics wants each metric that a text names to be one of dmcow's.
func knownMetrics(t *testing.T, text string) {
	t.Helper()
	for _, name := range regexp.MustCompile(`\bdmcow_\w+`).FindAllString(text, -1) {
		if !slices.ContainsFunc(dump.Metrics(), func(m dump.Metric) bool { return m.Name == name }) {
			t.Errorf("dmcow has no metric %s", name)
		}
	}
}

// TestServiceIsConfined: systemd's own measure of how much the service could do beside its work is at most 2 of 10.
func TestServiceIsConfined(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd-analyze is missing (Debian: systemd)")
		}
		t.Skip("no systemd-analyze (Debian: systemd)")
	}
	run(t, "monitoring", "systemd-analyze", "security", "--offline=true", "--threshold=20", absolute(t, "monitoring/dmcow-prometheus.service"))
}

// TestServiceWritesAnothersDirectory: with no more than the service's capabilities, its command writes its file into a
// directory that belongs to node_exporter's user.
func TestServiceWritesAnothersDirectory(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil || os.Getuid() != 0 {
		t.Skip("takes root and setpriv (Debian: util-linux)")
	}
	dir := t.TempDir()
	run(t, "..", "go", "build", "-o", filepath.Join(dir, "dmcow"), ".")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	store, theirs := filepath.Join(dir, "snap.cow"), filepath.Join(dir, "theirs")
	run(t, dir, "sh", "-c", `gunzip -c "$0" >"$1"`, absolute(t, "../testdata/kernel/lvm-ext4.cow.gz"), store)
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(theirs, nobody, nobody); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(theirs, "dmcow.prom")
	command := find(t, "dmcow-prometheus.service", `(?m)^ExecStart=/usr/sbin/(.*)$`)
	capabilities := "-all"
	for _, c := range strings.Fields(find(t, "dmcow-prometheus.service", `(?m)^CapabilityBoundingSet=(.*)$`)) {
		capabilities += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	run(t, dir, "sh", "-c", "umask 077; exec setpriv --no-new-privs --bounding-set="+capabilities+" "+
		strings.NewReplacer("--all", store, "${FILE}", file).Replace(command))
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o644 {
		t.Errorf("the file for Prometheus: %v, %v", info, err)
	}
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
