package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"dmcow/dump"
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

// monitoring tells whether a command line asks for the monitoring plugin,
// also where it cannot be parsed: the plugin's exit statuses hold then too.
func monitoring(args []string) bool {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if name == "--warn" || name == "--crit" {
			return true
		}
	}
	return false
}

// plugin is the monitoring plugin's line and status for stores of which some
// could not be read.
func (c *usageCmd) plugin(all []dump.Usage, unreadable []string) (line string, level alarm) {
	var texts, data []string
	for i := range all {
		l, text := c.judge(&all[i])
		level = worse(level, l)
		texts = append(texts, all[i].Device+" "+text)
		if p := all[i].Percent; p != nil {
			label := strings.ReplaceAll(all[i].Device, "'", "''")
			data = append(data, fmt.Sprintf("'%s'=%.2f%%;%v;%v;0;100", label, *p, c.Warn, c.Crit))
		}
	}
	for _, device := range unreadable {
		level = worse(level, unknown)
		texts = append(texts, device+" cannot be read")
	}
	line = fmt.Sprintf("%s %s - %s", service, level, strings.Join(texts, "; "))
	// A bar ends the text, and a line break the line.
	line = strings.NewReplacer("|", "/", "\n", " ").Replace(line)
	if len(data) > 0 {
		line += " | " + strings.Join(data, " ")
	}
	return line, level
}

// judge is the alarm for one store, and why. A store without room for one more
// exception is critical at any per cent.
func (c *usageCmd) judge(u *dump.Usage) (alarm, string) {
	switch {
	case u.State == "damaged":
		return critical, "is damaged"
	case u.State == "invalid":
		return critical, "is invalid"
	}
	text := fmt.Sprintf("%.2f%% full, %d chunks left", *u.Percent, *u.FreeChunks)
	switch {
	case *u.FreeChunks == 0, c.Crit.reached(*u.Percent):
		return critical, text
	case c.Warn.reached(*u.Percent):
		return warning, text
	}
	return okay, text
}
