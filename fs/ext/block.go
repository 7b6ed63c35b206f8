package ext

import (
	"fmt"
	"io"
	"sync"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// blocks reads a volume, with the blocks of a replayed journal in place. It keeps some blocks of metadata.
type blocks struct {
	v       fs.Volume
	size    int64 // of a block
	count   uint64
	overlay map[uint64]logged

	mu    sync.Mutex
	kept  map[uint64][]byte
	order []uint64 // as they came
}

// logged is where a block's newest content lies.
type logged struct {
	at      int64 // on the volume
	escaped bool  // its first four bytes are the journal's magic number, which is not written there
}

// keptBytes is how much metadata is kept in memory.
const keptBytes = 4 << 20

// ReadAt reads the volume as it is after recovery.
func (b *blocks) ReadAt(p []byte, offset int64) (int, error) {
	if len(b.overlay) == 0 || offset < 0 {
		return b.v.ReadAt(p, offset)
	}
	done := 0
	for done < len(p) {
		at := offset + int64(done)
		block := uint64(at / b.size)
		n := min(len(p)-done, int((int64(block)+1)*b.size-at))
		l, ok := b.overlay[block]
		if !ok {
			for done+n < len(p) { // as much at once as the volume has itself
				if _, ok := b.overlay[uint64((at+int64(n))/b.size)]; ok {
					break
				}
				n = min(n+int(b.size), len(p)-done)
			}
			read, err := b.v.ReadAt(p[done:done+n], at)
			if done += read; read < n {
				return done, err
			}
			continue
		}
		part := p[done : done+n]
		if read, err := b.v.ReadAt(part, l.at+at%b.size); read < n {
			return done + read, err
		}
		if l.escaped && at%b.size < 4 {
			copy(part, escapedMagic[at%b.size:])
		}
		done += n
	}
	if offset+int64(done) == b.v.Size() {
		return done, io.EOF // as others may do there
	}
	return done, nil
}

// block is a block of metadata: not to be changed.
func (b *blocks) block(n uint64, what string) (record, error) {
	at := int64(n) * b.size
	if n >= b.count {
		return nil, &fs.DamageError{What: what, At: -1, Why: fmt.Sprintf("it is said to be in block %d, of %d", n, b.count)}
	}
	b.mu.Lock()
	p, ok := b.kept[n]
	b.mu.Unlock()
	if ok {
		return p, nil
	}
	p = make([]byte, b.size)
	if err := raw.ReadFull(b, p, at); err != nil {
		return nil, &fs.ReadError{What: what, At: at, Err: err}
	}
	b.keep(n, p)
	return p, nil
}

func (b *blocks) keep(n uint64, p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.kept[n]; ok {
		return
	}
	if b.kept == nil {
		b.kept = map[uint64][]byte{}
	}
	if len(b.order) >= max(keptBytes/int(b.size), 16) {
		delete(b.kept, b.order[0])
		b.order = b.order[1:]
	}
	b.kept[n] = p
	b.order = append(b.order, n)
}

// forget is for what was read before the journal was.
func (b *blocks) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept, b.order = nil, nil
}
