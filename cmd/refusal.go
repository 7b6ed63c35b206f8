package cmd

import (
	"fmt"
	"strings"

	"dmcow/internal/words"
	"dmcow/snapshot"
)

// ended is the exit status of what ended with a code.
func (a *app) ended(c snapshot.Code) status {
	switch o := a.outcomes; c {
	case snapshot.Fine:
		return statusOK
	case snapshot.Invalid:
		return o.invalid
	case snapshot.Damaged:
		return o.damaged
	case snapshot.Blank:
		return o.blank
	case snapshot.Foreign:
		return o.foreign
	case snapshot.Unreadable:
		return o.unreadable
	case snapshot.WrongUse:
		return statusWrongUse
	case snapshot.Interrupted:
		return statusInterrupted
	}
	return statusFailed
}

// refusal is a refusal in words, with what can be done about it.
func (a *app) refusal(r *snapshot.Refusal) string {
	return a.advised(words.Printable(r.Device)+": "+inputs[r.Input]+r.Err.Error(), r.Device, r.Remedies)
}

// fault is what is wrong with the beginning of a COW device, with what can be done about it; it is empty for
// nothing.
func (a *app) fault(c *snapshot.COW) string { return a.advised(c.Identity.Fault, c.Text, c.Remedies) }

// advised is a text about a device with what can be done about it.
func (a *app) advised(text, device string, remedies []snapshot.Remedy) string {
	for _, x := range remedies {
		advice := a.advice(device, x)
		separator, special := separators[x.Do]
		switch {
		case special:
		case strings.HasPrefix(advice, "(") || strings.HasSuffix(text, "?"):
			separator = " "
		default:
			separator = "; "
		}
		text += separator + advice
	}
	return text
}

// separators stand before remedies that are part of the sentence.
var separators = map[snapshot.Deed]string{snapshot.WriteHeader: ", ", snapshot.ListVolumes: ": "}

// inputs are the flags that a refusal is about.
var inputs = map[snapshot.Input]string{
	snapshot.ThePart: "--offset and --size: ", snapshot.TheChunkSize: "--chunk-size: ", snapshot.TheHeader: "--header: ",
	snapshot.TheLost: "--lose-snapshot: ", snapshot.TheSparse: "--sparse: ", snapshot.TheRescue: "--rescue: ",
}

// advices say what remedies are on the command line.
var advices = map[snapshot.Deed]string{
	snapshot.AllowLive:     "--live reads it all the same",
	snapshot.AllowInvalid:  "--invalid-ok shows it all the same, old and new mixed",
	snapshot.AllowDamaged:  "--damaged-ok shows it all the same",
	snapshot.Keep:          "expected --keep, too",
	snapshot.Assume:        "if you know that it was not, say so with --assume-origin-unchanged",
	snapshot.NameOrigin:    "--origin, or --into, names it",
	snapshot.Force:         "--force merges it all the same",
	snapshot.ForceOver:     "--force writes over it",
	snapshot.ForceReplace:  "--force replaces it",
	snapshot.ForceBeyond:   "--force merges all that lies on the snapshot, and leaves the rest in the store",
	snapshot.Rescue:        "if an interrupted merge --rescue has left it so, --rescue goes on with that",
	snapshot.RescueRest:    "merge --rescue merges the others",
	snapshot.EndMerge:      "(if a merge of it was cut off, end that first)",
	snapshot.LookElsewhere: "(--pv says where else to look)",
	snapshot.NoUndo:        "expected --undo FILE, in a directory that can be written, or --no-undo",
	snapshot.MountRest:     "dmcow mount shows the rest",
	snapshot.RepairCopy:    "dmcow repair --copy-to COPY mends a copy",
	snapshot.RunRevalidate: "dmcow revalidate tells more",
	snapshot.StartAnew: "or, which is rarer, this is a new LVM snapshot that was never active, over the blocks of an old one " +
		"(dmcow initialize --force makes it that)",
}

// advice says what a remedy is on the command line.
func (a *app) advice(device string, x snapshot.Remedy) string {
	name := a.again(device)
	switch x.Do {
	case snapshot.Mend:
		return "to be done: " + a.remedy(*x.Finding, name)
	case snapshot.Extend:
		return fmt.Sprintf("extend it to %d sectors (lvextend -L%[1]ds %s)", x.Sectors, x.Name)
	case snapshot.GiveUp:
		return "mend that first, or give it up: --lose-snapshot " + x.Name
	case snapshot.RunCheck:
		if x.Origin != "" {
			name = "--origin " + words.Printable(x.Origin) + " " + name
		}
		return "dmcow check " + name + " tells more"
	case snapshot.RunRepair:
		return "dmcow repair " + name + " first"
	case snapshot.WriteHeader:
		return fmt.Sprintf("dmcow repair --header %ds --valid 0|1 writes the header anew", x.Sectors)
	case snapshot.ListVolumes:
		return "dmcow list --pv " + words.Shell(device) + " shows its snapshots"
	}
	return advices[x.Do]
}

// again is a name as a shell takes it on a command line that the user is told, with where it was looked for.
func (a *app) again(name string) string {
	text := words.Shell(name)
	for _, p := range a.where {
		text += " --pv " + words.Shell(p)
	}
	return text
}

// asPath is the path of a file as a shell takes it; one that would be taken for VG/LV gets another form.
func asPath(name string) string {
	if snapshot.IsVolume(name) {
		name = "./" + name
	}
	return words.Shell(name)
}
