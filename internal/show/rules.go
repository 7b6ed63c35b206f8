package show

import (
	"fmt"
	"strings"

	"dmcow/check"
)

// Names are how a command line that the user is told names a store, and with which flag its origin; that is empty
// where the command knows the origin.
type Names struct{ Store, Origin string }

// Command is the command line that repairs a finding; it is empty where none does.
func (n Names) Command(f check.Finding) string {
	if f.Fix() == "" {
		return ""
	}
	return "dmcow " + strings.Replace(f.Fix(), AnyOrigin, n.Origin, 1) + " " + n.Store
}

// Remedy is what repairs a finding, with the command that does.
func (n Names) Remedy(f check.Finding) string {
	if command := n.Command(f); command != "" {
		return f.Remedy() + " (" + command + ")"
	}
	return f.Remedy()
}

// AnyOrigin is the flag that names an origin which is not known.
const AnyOrigin = " --origin ORIGIN"

// Rules are the rules, and what each means.
func Rules(t *Text) error {
	for _, r := range check.Rules() {
		t.Line("%s (%s)\n  when:   %s\n  kernel: %s", r.Name, r.Severity, r.When, r.Kernel)
		if r.Repair != "" {
			t.Line("  repair: %s", Names{"COW", AnyOrigin}.Remedy(check.Finding{Rule: r}))
		}
	}
	return t.err
}

// RuleNames are the rules' names by severity, for a help.
func RuleNames() string {
	names := map[check.Severity][]string{}
	for _, r := range check.Rules() {
		names[r.Severity] = append(names[r.Severity], r.Name)
	}
	var b strings.Builder
	for _, s := range []check.Severity{check.Error, check.Warning, check.Info} {
		const width = 64
		line := fmt.Sprintf("  %-8s", s)
		for _, name := range names[s] {
			if len(line)+len(name) > width {
				b.WriteString(line + "\n")
				line = fmt.Sprintf("  %-8s", "")
			}
			line += " " + name
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
