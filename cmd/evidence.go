package cmd

import (
	"os"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"dmcow/check"
	"dmcow/dump"
	"dmcow/internal/record"
	"dmcow/internal/runlog"
	"dmcow/internal/version"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

// moment is now, as the log has it.
func moment() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// given are the names of devices and files that the command line has, with the name of the flag, empty for an argument.
func given(k *kong.Context) (all []struct{ flag, name string }) {
	for _, p := range k.Path {
		v, flag := p.Positional, ""
		if p.Flag != nil {
			v, flag = p.Flag.Value, p.Flag.Name
		}
		if v == nil {
			continue
		}
		var names []path
		switch x := v.Target.Interface().(type) {
		case path:
			names = []path{x}
		case []path:
			names = x
		}
		for _, name := range names {
			all = append(all, struct{ flag, name string }{flag, string(name)})
		}
	}
	return all
}

// checkPV refuses to be told where to look for VG/LV, where nothing is one.
func checkPV(k *kong.Context) error {
	pv, volume := false, slices.Contains([]string{"list", "watch"}, k.Selected().Name)
	if c, ok := k.Selected().Target.Addr().Interface().(*usageCmd); ok {
		volume = c.All
	}
	for _, x := range given(k) {
		pv = pv || x.flag == "pv"
		volume = volume || slices.Contains([]string{"", "origin", "into", "from", "against"}, x.flag) && snapshot.IsVolume(x.name)
	}
	if !pv || volume {
		return nil
	}
	return usageError{words.Hinted(k.Selected().Name+": --pv is for VG/LV, but no VG/LV is named", "dmcow list --pv PATH lists the snapshots there")}
}

// openLog opens the run log, where one was asked for, before anything is done.
func (a *app) openLog(k *kong.Context) (err error) {
	for _, x := range a.pieces {
		a.named = append(a.named, string(x.file))
	}
	for _, x := range given(k) {
		if x.flag != "log" && x.name != "-" && x.name != pieces(a.pieces).Name && !slices.Contains(a.named, x.name) {
			a.named = append(a.named, x.name)
		}
	}
	if a.flags.Log == "" {
		return nil
	}
	if a.log, err = runlog.Open(string(a.flags.Log), a.named); err != nil {
		return unable(string(a.flags.Log), err)
	}
	return nil
}

// writeLog writes the line of a run that ends with a code. What it returns also says if the line could not be written.
func (a *app) writeLog(code int) int {
	if a.log == nil {
		return code
	}
	r := a.evidence
	r.Version, r.User, r.End, r.Status = version.String(), os.Geteuid(), moment(), code
	r.Directory, _ = os.Getwd()
	r.Host, _ = os.Hostname()
	if a.session == nil {
		a.begin(volumes{}, "")
	}
	r.Devices = record.Devices(a.session, a.named)
	err := a.log.Append(r.Line())
	switch {
	case err == nil:
		return code
	case rules.IsMonitored(a.evidence.Command[1:]):
		code = int(dump.Unknown)
	default:
		code |= int(statusFailed)
	}
	a.fail(unable(string(a.flags.Log), err))
	return code
}

// found notes what was found on a store, for the log.
func (a *app) found(name string, r *check.Report) {
	counts := map[string]uint64{}
	for _, t := range r.Tallies {
		counts[t.Name] = t.Count
	}
	a.evidence.Findings = append(a.evidence.Findings, dump.RunFindings{Device: name, Result: string(r.Outcome()), Counts: counts})
}
