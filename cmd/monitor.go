package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"dmcow/dump"
	"dmcow/internal/record"
	"dmcow/internal/units"
	"dmcow/internal/version"
	"dmcow/snapshot"
)

// monitoring is the flags of what monitors stores.
type monitoring struct {
	Warn       *units.Percent `placeholder:"PCT" help:"As a monitoring plugin: WARNING if a store is this full."`
	Crit       *units.Percent `placeholder:"PCT" help:"As a monitoring plugin: CRITICAL if a store is this full, or lost."`
	OutputFile path           `placeholder:"FILE" help:"With --output prometheus: write to FILE, which is replaced when the new one is whole, and which anyone may read."`
}

func (m monitoring) isPlugin() bool { return m.Warn != nil || m.Crit != nil }

// check tells wrong use, beside a format of output.
func (m monitoring) check(output string) error {
	switch {
	case m.isPlugin() && output != "human":
		return errors.New("--warn and --crit cannot be combined with --output")
	case m.Warn != nil && m.Crit != nil && *m.Warn > *m.Crit:
		return fmt.Errorf("--warn %v is above --crit %v", m.Warn, m.Crit)
	case m.OutputFile != "" && output != "prometheus":
		return errors.New("--output-file needs --output prometheus")
	}
	return nil
}

// monitored is what is known of the stores that are monitored.
type monitored struct {
	all    []*snapshot.Used
	unread []dump.Monitored
}

// ofInventory are the stores in sight.
func ofInventory(all []*snapshot.Listed) (m monitored) {
	for _, l := range all {
		if u := l.Used(); u != nil {
			m.all = append(m.all, u)
		}
		if l.Err != nil {
			m.unread = append(m.unread, dump.Monitored{Name: l.Name, Err: cause(l.Err)})
		} else if u := l.Used(); u.Unread() != nil {
			m.unread = append(m.unread, dump.Monitored{Name: l.Name, Err: u.Unread()})
		}
	}
	return m
}

// cause is an error without the name of the device, which is told beside it.
func cause(err error) error {
	if r := (*snapshot.Refusal)(nil); errors.As(err, &r) {
		return r.Err
	}
	return err
}

// plugin writes the monitoring plugin's line and raises the alarm that it tells of.
func (m monitoring) plugin(a *app, of monitored) error {
	var stores []dump.Monitored
	for _, u := range of.all {
		if u.Survey.Unreadable() == nil { // else it is among those that could not be read
			stores = append(stores, dump.Monitored{Name: u.COW.Text, Survey: u.Survey})
		}
	}
	line, level := dump.Plugin(append(stores, of.unread...), m.Warn, m.Crit)
	a.alarm = &level
	return a.print("%s\n", line)
}

// outputFile is the file for Prometheus. The error is the refusal of one that holds something else.
func (m monitoring) outputFile(a *app, others ...path) (snapshot.ListFile, error) {
	l := a.list(m.OutputFile, dump.PrometheusHead)
	l.Public = true
	if m.OutputFile == "" {
		l.Name = "-"
	}
	var names []string
	for _, o := range others {
		names = append(names, string(o))
	}
	return l, l.Check(names...)
}

// prometheus writes the text for Prometheus.
func (m monitoring) prometheus(a *app, to snapshot.ListFile, of monitored) error {
	var samples []dump.Sample
	for i, x := range a.usageRecords(of.all) {
		u := of.all[i]
		s := record.Sample(x.Device, u.Labels())
		if u.Survey.Unreadable() == nil {
			s.Usage = &x
			samples = append(samples, s)
		}
	}
	for _, u := range of.unread {
		samples = append(samples, dump.Sample{Device: u.Name})
	}
	var by dump.Build
	by.Version, by.Go = version.Release()
	return to.Write(func(w io.Writer) error { return dump.UsagePrometheus(w, samples, by, time.Now()) })
}

// expanded are the names, and in place of patterns that no file is called by, the files that they match.
func (a *app) expanded(names []path) (all []path) {
	for _, p := range names {
		if !snapshot.IsPattern(string(p)) || exists(p) {
			all = append(all, p)
			continue
		}
		files, _ := filepath.Glob(string(p))
		if len(files) == 0 {
			a.say(string(p), "no snapshot matches this")
		}
		for _, f := range files {
			all = append(all, path(f))
		}
	}
	return slices.Compact(all)
}

func exists(p path) bool {
	_, err := os.Lstat(string(p))
	return err == nil
}
