package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	copyStore := func(through string) (sample, error) {
		defer os.Remove(copied)
		return b.shell("cat %s"+through+" | dd of=%s bs=1M conv=fsync", m.store, copied)
	}
	sums := fmt.Sprintf(" | %s sums - 0 - -", b.self)
	pairs, err := compare(b.runs+1, func() (sample, error) {
		progress("send and receive")
		if _, err := b.run("cp", "--sparse=never", base, m.copy); err != nil {
			return sample{}, err
		}
		if _, err := b.run("sync", m.copy); err != nil {
			return sample{}, err
		}
		return copyStore("")
	}, func() (sample, error) {
		return b.shell("%s send %s --origin %s | %s receive %s --yes", b.dmcow, m.store, m.origin, b.dmcow, m.copy)
	}, func() (sample, error) {
		return copyStore(sums + sums)
	})
	if err != nil {
		return err
	}
	if _, err = b.run("cmp", m.copy, m.origin); err != nil {
		return err
	}
	f := figuresOf(pairs[0][1:])
	f.bound = figuresOf(pairs[1][1:]).elapsed
	err = f.viewed(nil, fmt.Sprintf("Send and receive %d MiB", m.storeSize()>>20), "cat and dd of the store", deltaLimit)
	fmt.Printf("cat and dd, and between them two programs that each take two SHA-256 of each chunk: %.0f ms\n", f.bound)
	return err
}

// passSums copies from a reader to a writer, and takes two sums of each chunk, as who sends or receives a delta must: of
// what is there before, and after. All processors may be used.
func passSums(from io.Reader, to io.Writer) error {
	const pieces, chunk = 32, 4 << 10
	var turns sync.WaitGroup
	defer turns.Wait()
	for {
		p := make([]byte, pieces*chunk)
		n, err := io.ReadFull(from, p)
		turns.Go(func() {
			for c := range slices.Chunk(p[:n], chunk) {
				before, after := sha256.Sum256(c), sha256.Sum256(c)
				if before != after {
					panic("a sum that changes")
				}
			}
		})
		if _, failed := to.Write(p[:n]); failed != nil {
			return failed
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
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
