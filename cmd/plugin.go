package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dmcow/store"
)

// service is the name by which the monitoring plugin's line goes.
const service = "COW"

// alarm is the exit status of a monitoring plugin.
type alarm int

const (
	okay alarm = iota
	warning
	critical
	unknown
)

func (l alarm) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[l] }

// worse is the one of two alarms to raise: what is known to be wrong goes
// before what is not known.
func worse(a, b alarm) alarm {
	rank := [...]int{okay: 0, unknown: 1, warning: 2, critical: 3}
	if rank[a] > rank[b] {
		return a
	}
	return b
}

// percent is a threshold on the command line: 80 or 80%.
type percent float64

// UnmarshalText parses a threshold.
func (p *percent) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("%q is no per cent from 0 to 100", text)
	}
	*p = percent(v)
	return nil
}

func (p *percent) reached(v float64) bool { return p != nil && v >= float64(*p) }

func (p *percent) String() string {
	if p == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*p), 'f', -1, 64)
}

// monitoring reports whether a command line asks for the monitoring plugin, also
// where it cannot be parsed: the plugin's exit statuses hold then too.
func monitoring(args []string) bool {
	usage := false
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return false
		case name == "--warn" || name == "--crit":
			return usage
		case !strings.HasPrefix(arg, "-") && !usage:
			if arg != "usage" {
				return false
			}
			usage = true
		}
	}
	return false
}

// plugin writes the monitoring plugin's line and raises the alarm that it tells
// of.
func (c *usageCmd) plugin(a *app, all []report, unread []unreadCOW) error {
	level := okay
	texts := map[alarm][]string{}
	var data []string
	for i := range all {
		r := &all[i]
		if r.Unreadable() != nil {
			continue // it is among unread
		}
		l, text := c.judge(r)
		level = worse(level, l)
		texts[l] = append(texts[l], r.path+" "+text)
		if r.Complete() && r.State() != store.Damaged {
			// What the guidelines for plugins forbid in a label, and what would
			// end it or the line.
			label := strings.NewReplacer("'", "''", "=", "_", "|", "_").Replace(printable(r.path))
			data = append(data, fmt.Sprintf("'%s'=%.2f%%;%v;%v;0;100", label, r.percent(), c.Warn, c.Crit))
		}
	}
	for _, u := range unread {
		level = worse(level, unknown)
		texts[unknown] = append(texts[unknown], fmt.Sprintf("%s: %v", u.path, u.err))
	}
	a.alarm = &level
	worstFirst := slices.Concat(texts[critical], texts[warning], texts[unknown], texts[okay])
	return a.pluginLine(level, strings.Join(worstFirst, "; "), data...)
}

// pluginLine writes the line that a monitor shows: text, then the figures.
func (a *app) pluginLine(level alarm, text string, data ...string) error {
	line := fmt.Sprintf("%s %s - %s", service, level, strings.ReplaceAll(printable(text), "|", "/"))
	if len(data) > 0 {
		line += " | " + strings.Join(data, " ")
	}
	_, err := fmt.Fprintln(a.stdout, line)
	return err
}

// judge is the alarm for one store, and why. A store without room for one more
// exception is critical at any per cent.
func (c *usageCmd) judge(r *report) (alarm, string) {
	switch r.State() {
	case store.Valid, store.Uninitialized:
	case store.Invalid:
		return critical, "is invalid"
	default:
		return critical, "is damaged: " + strings.Join(r.Faults(), ", ")
	}
	full, free := r.Usage.Percent(), r.Usage.Free()
	text := fmt.Sprintf("%.2f%% full, %d chunks left", full, free)
	switch {
	case free == 0, c.Crit.reached(full):
		return critical, text
	case c.Warn.reached(full):
		return warning, text
	}
	return okay, text
}
