package cmd

import (
	"fmt"
	"strings"

	"dmcow/check"
	"dmcow/store"
)

// mention tells of what is worth knowing of a store before a command begins with it.
func (a *app) mention(path string, r check.Report) { a.mentionBut(nil, path, r) }

// mentionBut is mention without one of the rules.
func (a *app) mentionBut(but *check.Rule, path string, r check.Report) {
	for _, t := range r.Tallies {
		if t.Meaning.Mention && t.Rule != but {
			a.say(path, "%s: %s", t.Name, told(t.Findings[0]))
		}
	}
}

// mentionStore is mention of the store that is merged. An undo log has labels in chunks that no
// exception names.
func (j *job) mentionStore() {
	if j.isUndo {
		j.mentionBut(check.LeakedChunks, j.path, j.report)
		return
	}
	j.mention(j.path, j.report)
}

// announce says in words what will be written to what, and what that means for others.
func (j *job) announce(what string) {
	j.mentionStore()
	j.announceRest()
	if j.bears != "" && j.flags.Yes { // else the question says it
		j.say(string(j.Into), "%s", strings.TrimSuffix(j.bears, ": "))
	}
	if j.isUndo {
		j.say(string(j.Into), "%s will be again what it was before the change that %s was kept of", what, printable(j.path))
		j.announceOthers()
		return
	}
	if j.seesOthers() {
		j.say(string(j.Into), "%s will be replaced by what the snapshot %s holds; the file system gets back the UUID that it had",
			what, printable(j.path))
		j.announceOthers()
		return
	}
	others := "Other snapshots of this origin, which cannot be seen from here, would lose what they kept"
	if t, ok := j.origin.Target(); ok && t.Type == "snapshot-origin" {
		others = "Of its other snapshots, those that are active keep what they show, as with any write to this device; others would lose it"
	}
	j.say(string(j.Into), "%s will be replaced by what the snapshot on %s holds. %s; the file system gets back the UUID that it had",
		what, printable(j.path), others)
}

// empty reports whether there is nothing to merge, and nothing to clear.
func (j *job) empty() bool {
	p := j.plan
	return p.Chunks == 0 && p.Beyond == 0 && (p.Hidden == 0 || j.keep)
}

// nothing tells that there is nothing to merge, where that is so.
func (j *job) nothing() bool {
	if !j.empty() {
		return false
	}
	j.mentionStore()
	j.say(j.path, "the store is empty: there is nothing to merge")
	return true
}

// announceRest says what stays in the store, and what is cleared without being merged.
func (j *job) announceRest() {
	if n := j.plan.Hidden; n > 0 && !j.keep {
		j.say(j.path, "%s behind the list's end, which a torn commit has left and which change nothing, will be cleared", entries(n))
	}
	if n := j.plan.Beyond; n > 0 {
		j.say(j.path, "%s past the end of the snapshot will be left in the store", count(n, "exception"))
	}
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// confirm asks whether to merge, and says whether that can be taken back.
func (j *job) confirm() error {
	back := "this cannot be taken back, without --undo FILE, which keeps what is overwritten: "
	if j.Undo != "" {
		back = fmt.Sprintf("this can be taken back, for %s keeps what is overwritten: ", printable(string(j.Undo)))
	}
	return j.ask(string(j.Into), "%s%smerge %s into it?", j.bears, back, printable(j.path))
}

// begin opens the undo log, and does to others what has to be done before anything is overwritten.
func (j *job) begin() error {
	if err := j.undoing.open(j.into); err != nil {
		return err
	}
	if err := j.keepOthers(); err != nil {
		return err
	}
	if !j.isUndo || j.keep {
		return nil
	}
	return j.done(j.path, store.BeginTakingBack(j.out))
}

// foretell says what a merge would do.
func (j *job) foretell(what string) error {
	j.mentionStore()
	j.announceRest()
	if j.bears != "" {
		j.say(string(j.Into), "%s", strings.TrimSuffix(j.bears, ": "))
	}
	w := &lines{w: j.stdout}
	w.line("%s: would replace %s by what %s holds", printable(string(j.Into)), what, printable(j.path))
	for _, o := range j.others {
		if o.lost {
			w.line("%s: would be given up", printable(o.path))
		} else {
			w.line("%s: would get %s first", printable(o.path), count(o.saving.Chunks, "exception"))
		}
	}
	return w.err
}

// takingBack says how a merge with an undo log is taken back.
func (j *job) takingBack() string {
	text := fmt.Sprintf("dmcow merge %s --into %s%s takes this back", asPath(string(j.Undo)), j.volumes.again(string(j.Into)), j.givenUp())
	switch {
	case j.undoing.undo.Kept():
		return text + ", and nothing is lost"
	case j.seesOthers():
		return text + "; the snapshot gets back what it held"
	}
	return text + "; what the snapshot held is gone then, unless that has an --undo of its own"
}
