package dump

import (
	"fmt"
	"strings"

	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/store/look"
)

const service = "COW"

// Alarm is the exit status of a monitoring plugin.
type Alarm int

// The alarms.
const (
	Okay Alarm = iota
	Warning
	Critical
	Unknown
)

func (l Alarm) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[l] }

// Monitored is a store that is monitored.
type Monitored struct {
	Name   string
	Survey look.Survey
	Err    error // why it could not be read, nil where it could
}

// Plugin is the line of a monitoring plugin, and the alarm that it tells of. What the guidelines for
// plugins forbid in a label is replaced.
func Plugin(all []Monitored, warn, crit *units.Percent) (line string, level Alarm) {
	texts := map[Alarm][]string{}
	var data []string
	for _, m := range all {
		l, text := Unknown, fmt.Sprintf("%s: %v", m.Name, m.Err)
		if m.Err == nil {
			l, text = judge(m.Survey, warn, crit)
			text = m.Name + " " + text
		}
		texts[l] = append(texts[l], text)
		if m.Err == nil && m.Survey.Complete() && m.Survey.State() != look.Damaged {
			label := strings.NewReplacer("'", "''", "=", "_", "|", "_").Replace(words.Printable(m.Name))
			data = append(data, fmt.Sprintf("'%s'=%.2f%%;%v;%v;0;100", label, m.Survey.Percent(), warn, crit))
		}
	}
	var worstFirst []string
	for _, l := range []Alarm{Critical, Warning, Unknown, Okay} { // what is known to be wrong goes before what is not known
		if len(worstFirst) == 0 && len(texts[l]) > 0 {
			level = l
		}
		worstFirst = append(worstFirst, texts[l]...)
	}
	if len(all) == 0 {
		worstFirst = []string{"no snapshots"}
	}
	return PluginLine(level, strings.Join(worstFirst, "; "), data...), level
}

// PluginLine is the line that a monitor shows: text, then the figures.
func PluginLine(level Alarm, text string, data ...string) string {
	line := fmt.Sprintf("%s %s - %s", service, level, strings.ReplaceAll(words.Printable(text), "|", "/"))
	if len(data) > 0 {
		line += " | " + strings.Join(data, " ")
	}
	return line
}

// judge is the alarm for one store, and why. A store without room for one more
// exception is critical at any per cent.
func judge(s look.Survey, warn, crit *units.Percent) (Alarm, string) {
	switch s.State() {
	case look.Valid, look.Uninitialized:
	case look.Invalid:
		return Critical, "is invalid"
	default:
		return Critical, "is damaged: " + strings.Join(s.Faults(), ", ")
	}
	full, free := s.Usage.Percent(), s.Usage.Free()
	text := fmt.Sprintf("%.2f%% full, %d chunks left", full, free)
	switch {
	case free == 0, crit.Reached(full):
		return Critical, text
	case warn.Reached(full):
		return Warning, text
	}
	return Okay, text
}
