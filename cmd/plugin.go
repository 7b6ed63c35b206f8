package cmd

import (
	"strings"

	"dmcow/dump"
	"dmcow/snapshot"
)

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

// plugin writes the monitoring plugin's line and raises the alarm that it tells of.
func (c *usageCmd) plugin(a *app, all []*snapshot.Used, unread []unreadCOW) error {
	var stores []dump.Monitored
	for _, u := range all {
		if u.Survey.Unreadable() == nil { // else it is among unread
			stores = append(stores, dump.Monitored{Name: u.COW.Text, Survey: u.Survey})
		}
	}
	for _, u := range unread {
		stores = append(stores, dump.Monitored{Name: u.path, Err: u.err})
	}
	line, level := dump.Plugin(stores, c.Warn, c.Crit)
	a.alarm = &level
	return a.print("%s\n", line)
}
