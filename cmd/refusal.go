package cmd

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"dmcow/internal/show"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
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

// refusal is a refusal in words, and what can be done about it.
func (a *app) refusal(r *snapshot.Refusal) (text string, hints []string) {
	return words.Printable(r.Device) + ": " + inputs[r.Input] + r.Err.Error(), a.hints(r.Device, r.Remedies)
}

// hints are what can be done about a device.
func (a *app) hints(device string, remedies []snapshot.Remedy) (all []string) {
	for _, x := range remedies {
		all = append(all, a.hint(device, x))
	}
	return all
}

// tellHints writes what can be done: a line for all, under the message that it belongs to.
func (a *app) tellHints(hints ...string) {
	if len(hints) > 0 {
		a.tellLine("hint: " + strings.Join(hints, ", or "))
	}
}

// tellLine writes a line on standard error, which on a terminal is wrapped.
func (a *app) tellLine(text string) {
	fmt.Fprintln(a.stderr, words.Wrap("dmcow: "+text, a.stderr.Width(), "  "))
}

// inputs are the flags that a refusal is about.
var inputs = map[snapshot.Input]string{
	snapshot.ThePart: "--offset and --size: ", snapshot.TheChunkSize: "--chunk-size: ", snapshot.TheHeader: "--header: ",
	snapshot.TheLost: "--lose-snapshot: ", snapshot.TheSparse: "--sparse: ", snapshot.TheRescue: "--rescue: ",
}

// fixedHints say what remedies are on the command line.
var fixedHints = map[snapshot.Deed]string{
	snapshot.AllowLive:       "--live to read it anyway",
	snapshot.AllowInvalid:    "--invalid-ok to read it anyway, old and new data mixed",
	snapshot.AllowDamaged:    "--damaged-ok to read it anyway",
	snapshot.Keep:            "add --keep",
	snapshot.Assume:          "--assume-origin-unchanged, if you know that it was not",
	snapshot.NameOrigin:      "name it with --origin, or with --into if the command writes to it",
	snapshot.Force:           "--force to merge anyway",
	snapshot.ForceOver:       "--force to write over it",
	snapshot.ForceReplace:    "--force to replace it",
	snapshot.ForceBase:       "--force-base to write anyway",
	snapshot.ForceBeyond:     "--force to merge all that lies on the snapshot and leave the rest in the store",
	snapshot.Rescue:          "--rescue, if an interrupted merge --rescue left it so",
	snapshot.RescueRest:      "merge --rescue to merge all other chunks",
	snapshot.EndMerge:        "if a merge of it was interrupted, finish that first",
	snapshot.NoUndo:          "--undo FILE in a writable directory, or --no-undo",
	snapshot.MountRest:       "dmcow mount to read the rest",
	snapshot.RepairCopy:      "dmcow repair --copy-to COPY to repair a copy",
	snapshot.ChoosePartition: "--partition N",
	snapshot.MountOpen:       "dmcow mount shows the snapshot as a file, which it can open",
	snapshot.MountGroup:      "dmcow mount shows the snapshot as a file: name a volume in it as VG/LV, with --pv FILE",
	snapshot.MountKernel:     "dmcow mount shows the snapshot as a file, which the kernel may know how to mount",
}

// hint says what a remedy is on the command line.
func (a *app) hint(device string, x snapshot.Remedy) string {
	name := a.again(device)
	switch x.Do {
	case snapshot.Mend:
		return show.Names{Store: name, Origin: originFlag(x.Origin)}.Remedy(*x.Finding)
	case snapshot.Extend:
		return fmt.Sprintf("extend it: lvextend -L%ds %s", x.Sectors, x.Name)
	case snapshot.GiveUp:
		return "--lose-snapshot " + words.Shell(x.Name) + " to give it up, or repair it first"
	case snapshot.LookElsewhere:
		return lookHint()
	case snapshot.CheckOrigin:
		return "check that " + words.Printable(x.Origin) + " is the right origin"
	case snapshot.RunCheck:
		return "dmcow check" + originFlag(x.Origin) + " " + name + " to see more"
	case snapshot.RunRepair:
		return "dmcow repair " + name + " first"
	case snapshot.RunRevalidate:
		return "dmcow revalidate --dry-run --assume-origin-unchanged " + name + " to see what it costs to mark it valid again"
	case snapshot.WriteHeader:
		return fmt.Sprintf("dmcow repair --header %ds --valid 0 %s to write the header again (--valid 1 if the snapshot was valid)", x.Sectors, name)
	case snapshot.StartAnew:
		return "if this is a new LVM snapshot that was never active, dmcow initialize --force " + name
	case snapshot.MakeDirectory:
		return "mkdir " + words.Shell(device)
	case snapshot.FinishMerge:
		text := "dmcow merge " + name + " to finish it"
		if x.Origin != "" {
			text += ", then lvchange -ay " + words.Shell(x.Origin) + ", by which LVM removes that snapshot"
		}
		return text
	case snapshot.ListVolumes:
		return "dmcow list --pv " + words.Shell(device) + " to list its snapshots"
	}
	return fixedHints[x.Do]
}

// originFlag is the flag that names an origin; it is empty for none, which then is known.
func originFlag(origin string) string {
	if origin == "" {
		return ""
	}
	return " --origin " + words.Shell(origin)
}

// lookHint says what to do where devices cannot be looked at.
func lookHint() string {
	if os.Geteuid() != 0 {
		return "run as root, or name the disks with --pv"
	}
	return "name the disks with --pv"
}

// again is a name as a shell takes it on a command line that the user is told, with where it was looked for.
func (a *app) again(name string) string {
	text := words.Shell(name)
	if p := pieces(a.pieces); len(p.All) > 0 && name == p.Name {
		text = pieceFlags(a.pieces)
	}
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

// conclude tells what is wrong with a store, and adds the status for what it is.
func (a *app) conclude(name string, c *snapshot.COW, s look.Survey) {
	a.tell()
	for i, fault := range s.Faults() {
		a.say(name, "%s", fault)
		if i == 0 {
			a.tellHints(a.hints(c.Text, c.Remedies)...)
		}
	}
	if err := s.Unreadable(); err != nil {
		a.fail(&snapshot.Refusal{Device: name, Code: snapshot.Unreadable, Err: err})
	}
	// A store can be both damaged and marked invalid.
	a.status |= a.ended(snapshot.CodeOf(s.Identity.State)) | a.ended(snapshot.CodeOf(s.State()))
}

// interruptedBy makes a refusal of an interruption, and passes other errors on.
func interruptedBy(name string, err error) error {
	if errors.Is(err, snapshot.ErrInterrupted) {
		return &snapshot.Refusal{Device: name, Code: snapshot.Interrupted, Err: err}
	}
	return err
}
