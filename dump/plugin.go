package dump

import (
	"fmt"
	"strings"
	"time"

	"dmcow/internal/pace"
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
	Name   string // empty for what keeps stores from being seen
	Survey look.Survey
	Err    error          // why it could not be read, nil where it could
	Ahead  *pace.Forecast // what becomes of it; nil where that was not asked for
	Blind  string         // why that is not known, beside too few readings
}

// Limits are what a monitoring plugin warns at, nil where it does not.
type Limits struct {
	Warn, Crit         *units.Percent  // how full
	WarnLeft, CritLeft *units.Duration // how long it will last
}

// Plugin is the line of a monitoring plugin, and the alarm that it tells of. What the guidelines for
// plugins forbid in a label is replaced.
func Plugin(all []Monitored, at Limits) (line string, level Alarm) {
	texts := map[Alarm][]string{}
	var data []string
	for _, m := range all {
		l, text := at.judge(m)
		texts[l] = append(texts[l], text)
		if m.Err == nil && m.Survey.Complete() && m.Survey.State() != look.Damaged {
			label := strings.NewReplacer("'", "''", "=", "_", "|", "_").Replace(words.Printable(m.Name))
			data = append(data, fmt.Sprintf("'%s'=%.2f%%;%v;%v;0;100", label, m.Survey.Percent(), at.Warn, at.Crit))
			if m.Ahead != nil && m.Ahead.Ever {
				data = append(data, fmt.Sprintf("'%s_left'=%.0fs;%s;%s;0", label, m.Ahead.Left.Seconds(), below(at.WarnLeft), below(at.CritLeft)))
			}
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

// below is the range of a figure that is right from so many seconds on.
func below(least *units.Duration) string {
	if least == nil {
		return ""
	}
	return fmt.Sprintf("%.0f:", time.Duration(*least).Seconds())
}

// judge is the alarm for one store, and why.
func (at Limits) judge(m Monitored) (Alarm, string) {
	switch {
	case m.Err != nil && m.Name == "":
		return Unknown, m.Err.Error()
	case m.Err != nil:
		return Unknown, fmt.Sprintf("%s: %v", m.Name, m.Err)
	}
	l, text := at.judgeStore(m)
	return l, m.Name + " " + text
}

// judgeStore is the alarm for a store that could be read. One without room for one more exception is critical at any
// per cent.
func (at Limits) judgeStore(m Monitored) (Alarm, string) {
	switch m.Survey.State() {
	case look.Valid, look.Uninitialized:
	case look.Invalid:
		return Critical, "is invalid"
	default:
		return Critical, "is damaged: " + strings.Join(m.Survey.Faults(), ", ")
	}
	full, free := m.Survey.Usage.Percent(), m.Survey.Usage.Free()
	text := fmt.Sprintf("%.2f%% full, %d chunks left", full, free)
	if m.Ahead != nil {
		text += ", " + ahead(*m.Ahead, m.Blind)
	}
	switch {
	case free == 0, at.Crit.Reached(full), isSoon(m.Ahead, at.CritLeft):
		return Critical, text
	case at.Warn.Reached(full), isSoon(m.Ahead, at.WarnLeft):
		return Warning, text
	}
	return Okay, text
}

// isSoon reports whether a store will be full within a time.
func isSoon(f *pace.Forecast, within *units.Duration) bool {
	return f != nil && within != nil && f.Ever && f.Left <= time.Duration(*within)
}

// ahead says what becomes of a store.
func ahead(f pace.Forecast, blind string) string {
	switch {
	case !f.Known && blind != "":
		return "time left not known: " + blind
	case !f.Known:
		return "time left not known yet: too few readings"
	case !f.Ever:
		return "does not fill"
	}
	return "full in " + words.Span(f.Left)
}
