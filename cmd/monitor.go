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
	"dmcow/internal/pace"
	"dmcow/internal/pacefile"
	"dmcow/internal/record"
	"dmcow/internal/units"
	"dmcow/internal/version"
	"dmcow/snapshot"
	"dmcow/store/look"
)

// monitoring is the flags of what monitors stores.
type monitoring struct {
	Warn       *units.Percent  `placeholder:"PCT" help:"As a monitoring plugin: WARNING if a store is this full."`
	Crit       *units.Percent  `placeholder:"PCT" help:"As a monitoring plugin: CRITICAL if a store is this full, or lost."`
	WarnLeft   *units.Duration `placeholder:"TIME" help:"As a monitoring plugin: WARNING if a store will be full within this time (30m, 4h, 2d). Needs --state."`
	CritLeft   *units.Duration `placeholder:"TIME" help:"As a monitoring plugin: CRITICAL if a store will be full within this time. Needs --state."`
	State      path            `placeholder:"FILE" help:"As a monitoring plugin: keep readings in FILE from run to run, to know how fast stores fill."`
	OutputFile path            `placeholder:"FILE" help:"With --output prometheus: write to FILE, which is replaced when the new one is whole, and which anyone may read."`
}

func (m monitoring) isPlugin() bool {
	return m.Warn != nil || m.Crit != nil || m.WarnLeft != nil || m.CritLeft != nil
}

// check tells wrong use, beside a format of output.
func (m monitoring) check(output string) error {
	switch {
	case m.isPlugin() && output != "human":
		return errors.New("--warn and --crit cannot be combined with --output")
	case m.Warn != nil && m.Crit != nil && *m.Warn > *m.Crit:
		return fmt.Errorf("--warn %v is above --crit %v", m.Warn, m.Crit)
	case m.WarnLeft != nil && m.CritLeft != nil && *m.WarnLeft < *m.CritLeft:
		return fmt.Errorf("--warn-left %v is below --crit-left %v", m.WarnLeft, m.CritLeft)
	case (m.WarnLeft != nil || m.CritLeft != nil) && m.State == "":
		return errors.New("--warn-left and --crit-left need --state FILE, where readings are kept from run to run")
	case m.State != "" && !m.isPlugin():
		return errors.New("--state needs --warn, --crit, --warn-left or --crit-left")
	case m.OutputFile != "" && output != "prometheus":
		return errors.New("--output-file needs --output prometheus")
	}
	return nil
}

// monitored is what is known of the stores that are monitored.
type monitored struct {
	all    []*snapshot.Used
	unread []dump.Monitored           // also those that could be read in part, and what keeps stores from being seen
	labels map[string]snapshot.Labels // of those, by name
}

// add adds a store that was looked at.
func (m *monitored) add(u *snapshot.Used) {
	m.all = append(m.all, u)
	if err := u.Unread(); err != nil {
		m.miss(u.COW.Text, err, u.Labels())
	}
}

// miss adds a store that could not be read, or not all of it.
func (m *monitored) miss(name string, err error, l snapshot.Labels) {
	if m.labels == nil {
		m.labels = map[string]snapshot.Labels{}
	}
	m.labels[name] = l
	m.unread = append(m.unread, dump.Monitored{Name: name, Err: cause(err)})
}

// ofInventory are the stores in sight. What could not be seen may have more of them.
func ofInventory(i *snapshot.Inventory) (m monitored) {
	for _, l := range i.All {
		if u := l.Used(); u != nil {
			m.add(u)
		}
		if l.Err != nil {
			m.miss(l.Name, l.Err, l.Labels())
		}
	}
	for _, err := range unseenBy(i) {
		m.unread = append(m.unread, dump.Monitored{Err: err})
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
	stores = append(stores, of.unread...)
	if err := m.forecast(a, of.all, stores); err != nil { // which hides no store that is full, as the disk of the readings may be
		a.fail(unable(string(m.State), err))
		stores = append(stores, dump.Monitored{Name: string(m.State), Err: err})
	}
	line, level := dump.Plugin(stores, dump.Limits{Warn: m.Warn, Crit: m.Crit, WarnLeft: m.WarnLeft, CritLeft: m.CritLeft})
	a.alarm = &level
	return a.print("%s\n", line)
}

// statePatience is how long another run that writes the readings is waited for.
const statePatience = 2 * time.Second

// forecast adds what becomes of each store, by the readings of earlier runs and of this one. While another run is at
// them that is not known, and thresholds of time do not hold. The error says what is wrong with the file.
func (m monitoring) forecast(a *app, all []*snapshot.Used, stores []dump.Monitored) error {
	if m.State == "" {
		return nil
	}
	f, err := pacefile.Open(string(m.State), statePatience)
	if errors.Is(err, pacefile.ErrBusy) {
		a.say(string(m.State), "%v; how long stores will last is not known", err)
		for i := range stores {
			stores[i].Ahead, stores[i].Blind = new(pace.Forecast), "another dmcow has the readings"
		}
		return nil
	}
	if err != nil {
		return err
	}
	if f.Anew != "" {
		a.say(string(m.State), "the readings are begun anew: %s", f.Anew)
	}
	for _, u := range all {
		i := slices.IndexFunc(stores, func(s dump.Monitored) bool { return s.Name == u.COW.Text && s.Err == nil })
		if i < 0 || !u.Survey.Complete() || u.Survey.State() != look.Valid {
			continue
		}
		usage := u.Survey.Usage
		h := f.Add(readingsOf(u), usage.End.Exceptions, usage.Free(), u.Merging)
		stores[i].Ahead = new(h.Forecast())
		if u.Merging {
			stores[i].Ahead = nil // it empties
		}
	}
	if err := f.Keep(); err != nil {
		return fmt.Errorf("the readings cannot be kept: %w", err)
	}
	return nil
}

// readingsOf is a name that a store keeps: its logical volume's UUID, or where it is, from whichever directory that was
// named.
func readingsOf(u *snapshot.Used) string {
	if id := u.Labels().UUID; id != "" {
		return id
	}
	if path, err := filepath.Abs(u.COW.Text); err == nil && u.COW.Volume == nil {
		return path
	}
	return u.COW.Text
}

// outputFile is the file for Prometheus. The error is the refusal of one that holds something else.
func (m monitoring) outputFile(a *app, others ...path) (snapshot.ListFile, error) {
	l := a.list(m.OutputFile, dump.PrometheusHead)
	l.Public, l.Regular = true, true
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
	read := map[string]bool{}
	for i, x := range a.usageRecords(of.all) {
		if u := of.all[i]; u.Survey.Unreadable() == nil {
			s := record.Sample(x.Device, u.Labels())
			s.Usage, s.Partly = &x, u.Unread() != nil
			samples, read[x.Device] = append(samples, s), true
		}
	}
	for _, u := range of.unread {
		if u.Name != "" && !read[u.Name] {
			samples = append(samples, record.Sample(u.Name, of.labels[u.Name]))
		}
	}
	var by dump.Build
	by.Version, by.Go = version.Release()
	return to.Write(func(w io.Writer) error { return dump.UsagePrometheus(w, samples, by, time.Now()) })
}

// expand puts the files that they match in place of patterns that no file is called by. A pattern of which that is not
// known is a store that could not be read.
func (c *usageCmd) expand(a *app, m *monitored) {
	var all []path
	for _, p := range c.COW {
		if !snapshot.IsPattern(string(p)) || exists(p) {
			all = append(all, p)
			continue
		}
		files, err := snapshot.FilesLike(string(p))
		if err != nil {
			a.fail(err)
			m.miss(string(p), err, snapshot.Labels{})
		} else if len(files) == 0 {
			a.say(string(p), "no snapshot matches this")
		}
		for _, f := range files {
			all = append(all, path(f))
		}
	}
	c.COW = all
}

func exists(p path) bool {
	_, err := os.Lstat(string(p))
	return err == nil
}
