package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// deltaLimit is how long a delta may take to be sent and received, times what cat and dd take for the store.
const deltaLimit = 2.0

// delta prints how long it takes to send a snapshot's changes through a pipe, and to receive them: the copy is what the
// snapshot shows, and is what the origin is then. What it is compared with copies the store, which has as many bytes, through a
// pipe to a file, and syncs that.
func (b *bench) delta(m mergeFiles) error {
	base, copied := filepath.Join(b.dir, "base"), filepath.Join(b.dir, "copied")
	defer os.Remove(base)
	defer os.Remove(m.copy)
	if _, err := b.run(b.dmcow, "export", m.store, "--origin", m.origin, base); err != nil {
		return err
	}
	f, err := b.warmed("send and receive", func() (sample, error) {
		defer os.Remove(copied)
		if _, err := b.run("cp", "--sparse=never", base, m.copy); err != nil {
			return sample{}, err
		}
		if _, err := b.run("sync", m.copy); err != nil {
			return sample{}, err
		}
		return b.shell("cat %s | dd of=%s bs=1M conv=fsync", m.store, copied)
	}, func() (sample, error) {
		return b.shell("%s send %s --origin %s | %s receive %s --yes", b.dmcow, m.store, m.origin, b.dmcow, m.copy)
	})
	if err == nil {
		_, err = b.run("cmp", m.copy, m.origin)
	}
	what := fmt.Sprintf("Send and receive %d MiB", m.storeSize()>>20)
	return f.viewed(err, what, "cat and dd of the store", deltaLimit)
}

// shell runs a line of shell, of which each part has to end well.
func (b *bench) shell(line string, words ...any) (sample, error) {
	for _, w := range words {
		if strings.ContainsAny(w.(string), " '\"\\$`") {
			return sample{}, errors.New("-dir needs a name that a shell takes as it is")
		}
	}
	return b.run("bash", "-c", "set -o pipefail; "+fmt.Sprintf(line, words...))
}
