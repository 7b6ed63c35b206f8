package merge

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unique"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/store"
	"dmcow/store/undo"
)

// scopes are the worlds that histories run in.
var scopes = map[string]scope{
	// Three chunks; snapshot B has room for two of them.
	"small": {
		chunk: 512, chunks: 3, written: 3, devices: [stores]int64{5, 4, 10}, room: [stores]int{3, 2, 1000},
		labels: 1, window: 1024, cuts: 1 << 10, share: 0.7, steps: 2,
		beginnings: []string{"", "write A 2\norigin 0\nsecond\nwrite A 1"},
	},
	// The list of snapshot A is about to go on in a second area; that of B has no room for one.
	"long": {
		chunk: 512, chunks: 34, written: 3, filled: 31, devices: [stores]int64{37, 34, 90}, room: [stores]int{34, 31, 1000},
		labels: 1, window: 64 << 10, cuts: 8, thin: 11, share: 0.15, steps: 1,
		beginnings: []string{"", "second as A", "origin all\nmerge A all undo\nmerge log step"},
	},
	// The list of snapshot A is about to go on in the second sector of its area: a commit that is torn may leave what
	// stands there.
	"torn": {
		chunk: 1024, chunks: 33, written: 3, filled: 30, devices: [stores]int64{36, 33, 60}, room: [stores]int{34, 31, 1000},
		labels: 2, window: 64 << 10, cuts: 8, thin: 11, share: 0.15, steps: 1,
		beginnings: []string{"", "write A 2\norigin all | torn", "write A 2\norigin all | torn\nsecond\nwrite B 0"},
	},
}

// begin is the world that histories begin in: snapshot A, which has some of the chunks that are not written to.
func (c scope) begin() (*node, error) {
	w := c.on(devicetest.New(c.size()))
	m := model{origin: strings.Repeat("\000", c.chunks)}
	for s := range m.stores {
		m.stores[s].room = c.room[s]
	}
	for i := range c.chunks {
		w.all.Put(int64(i)*c.chunk, c.content(byte(i), 0))
	}
	if err := store.Initialize(w.stores[first], c.geometry(), nil); err != nil {
		return nil, err
	}
	m.stores[first].made = true
	if c.devices[first] > int64(c.perArea())+1 { // an earlier life
		var p [sector]byte
		naive.Exception{Old: uint64(c.written), New: 2}.Encode(p[:])
		w.all.Put(w.starts[first]+int64(c.perArea()+2)*c.chunk, p[:])
		m.stores[first].stale = true
	}
	for i := range c.filled {
		chunk := byte(c.written + i)
		if err := w.write(first, chunk, m.fresh(chunk)); err != nil {
			return nil, err
		}
		m.write(first, chunk)
	}
	return &node{image: imageOf(w.all), model: m}, w.sound(&m)
}

// prepare gives a merge a new undo log where the one that is there does not belong to the origin any more, and is
// refused.
func (w *world) prepare(d deed, m *model) error {
	log := &m.stores[undoLog]
	if _, may := m.belongs(); !d.way.undo || !log.made || may {
		return nil
	}
	_, err := undo.Open(w.stores[undoLog], w.origin, undo.Options{})
	if !errors.As(err, new(*undo.ForeignError)) {
		return fmt.Errorf("an undo log that belongs to another origin is opened: %v", err)
	}
	_, err = w.stores[undoLog].WriteAt(make([]byte, w.stores[undoLog].Size()), 0)
	*log, m.sums, m.kept = shadow{room: log.room}, "", false
	return err
}

// try does a step, and calls visit with what a power cut at any moment leaves, and with what there is when the step
// has returned: by a number that tells these apart.
func (c scope) try(n *node, s step, visit func(cut int, w *world, m *model) error) error {
	w, phases, deeds := c.on(n.memory()), []model{n.model}, s.deeds(c)
	if err := w.prepare(deeds[0], &phases[0]); err != nil {
		return err
	}
	out := idle
	for i, d := range deeds {
		after := phases[i]
		if out = after.do(d); out == idle || out == refused && len(deeds) > 1 {
			return nil
		}
		phases = append(phases, after)
	}
	record := w.all.Record()
	for i, d := range deeds {
		if err := w.do(d, &phases[i]); (err != nil) != (out == refused) {
			return fmt.Errorf("%w: want it refused: %v", orDone(err), out == refused)
		}
		record.Mark(i)
	}
	cut := -1
	for crash := range record.Crashes(c.cuts, rand.New(rand.NewPCG(0, 0))) {
		done := len(crash.Marks)
		if cut++; c.thin > 0 && cut%c.thin != 0 && done < len(deeds) && !crash.AmidDurable() {
			continue
		}
		now := c.on(crash.Device())
		found, err := now.outcome(phases[done:min(done+2, len(phases))])
		if err == nil {
			err = visit(cut, now, &found)
		}
		if err != nil {
			return fmt.Errorf("cut %d, %v: %w", cut, crash, err)
		}
	}
	return nil
}

func orDone(err error) error {
	if err == nil {
		return errors.New("it is done")
	}
	return err
}

// outcome is what a step has led to: amid it, between the two models, or after it, as the only one. The error says why
// that must not be.
func (w *world) outcome(phases []model) (model, error) {
	before, after := phases[0], phases[len(phases)-1]
	found, err := w.read(after)
	if err != nil {
		return found, err
	}
	if len(phases) == 1 {
		return found, after.equals(found)
	}
	if err := between(&before, &after, &found); err != nil {
		return found, err
	}
	found.sums = ""
	for _, chunk := range found.stores[undoLog].list.chunks() {
		found.setPairs(chunk, append(before.pairs(chunk), after.pairs(chunk)...))
	}
	if before.kept != after.kept {
		found.kept, err = w.isKept(&found)
	}
	return found, err
}

// equals wants what is found to be what the model has, but for what it leaves open: the order in which the log
// captured, what hides behind a list, and stale areas.
func (m model) equals(found model) error {
	for s, o := range found.stores {
		now := &m.stores[s]
		if s == undoLog && o.list.sorted() == now.list.sorted() {
			now.list = o.list
		}
		if now.stale = o.stale; o.hidden == "" || o.hidden == now.hidden {
			now.hidden, now.doubtful = o.hidden, o.doubtful
		}
	}
	if found != m {
		return fmt.Errorf("there is %v: want %v", found, m)
	}
	return nil
}

// isKept asks dmcow what an undo log is of, where a power cut leaves either.
func (w *world) isKept(now *model) (bool, error) {
	if !now.stores[undoLog].made {
		return false, nil
	}
	copied := w.all.Clone()
	log, origin := copied.Part(w.starts[undoLog], w.stores[undoLog].Size()), copied.Part(0, w.origin.Size())
	u, err := undo.Open(log, origin, undo.Options{Kept: true})
	if err != nil {
		return false, err
	}
	return u.Kept(), nil
}

// node is a world that some history leads to.
type node struct {
	image  []unique.Handle[[sector]byte]
	model  model
	parent *node
	step   step
	cut    int
}

func imageOf(all *devicetest.Memory) (image []unique.Handle[[sector]byte]) {
	for p := range slices.Chunk(all.Image(), int(sector)) {
		image = append(image, unique.Make([sector]byte(p)))
	}
	return image
}

func (n *node) memory() *devicetest.Memory {
	var all []byte
	for _, p := range n.image {
		p := p.Value()
		all = append(all, p[:]...)
	}
	return devicetest.Of(all)
}

// history is how a world came to be, a step a line.
func (n *node) history() string {
	if n.parent == nil {
		return ""
	}
	return n.parent.history() + fmt.Sprintf("%s | cut %d\n", n.step, n.cut)
}

// ancestry is the nodes of a history, in order.
func (n *node) ancestry() []*node {
	if n == nil {
		return nil
	}
	return append(n.parent.ancestry(), n)
}

// search visits all worlds that histories lead to, the shorter ones first.
type search struct {
	scope
	until time.Time

	mu     sync.Mutex
	seen   map[[sha256.Size]byte]bool
	next   []*node
	failed error
	tried  int // states after steps, whether seen before or not
}

// expand does each step in a world.
func (s *search) expand(n *node) error {
	for _, step := range s.allSteps() {
		err := s.try(n, step, func(cut int, w *world, m *model) error {
			if !s.isNew(w, m) {
				return nil
			}
			if err := w.sound(m); err != nil {
				return err
			}
			s.add(&node{imageOf(w.all), *m, n, step, cut})
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s%s\n%w", n.history(), step, err)
		}
	}
	return nil
}

func (s *search) isNew(w *world, m *model) bool {
	key := w.key(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried++
	found := s.seen[key]
	s.seen[key] = true
	return !found
}

func (s *search) add(n *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, n)
}

// level expands all worlds, and returns how many it came to before time was over, or one of them failed.
func (s *search) level(all []*node) (expanded int) {
	s.next = nil
	work := make(chan *node)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for n := range work {
				if err := s.expand(n); err != nil {
					s.mu.Lock()
					s.failed = err
					s.mu.Unlock()
				}
				n.image = nil // only its history is asked for from now on
			}
		})
	}
	for _, n := range all {
		if s.isOver() {
			break
		}
		work <- n
		expanded++
	}
	close(work)
	wait.Wait()
	return expanded
}

func (s *search) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed != nil || !s.until.IsZero() && time.Now().After(s.until)
}

// TestSmallScope visits every world that a history of some steps leads to, power cuts and all, and wants dmcow to
// say and do in it what a model does. DMCOW_SCOPE is a number of steps, or how long to go on with more of them.
func TestSmallScope(t *testing.T) {
	if testing.Short() {
		t.Skip("a short run does not visit all that a power cut leaves")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // little stays, and much is made
	for _, name := range slices.Sorted(maps.Keys(scopes)) {
		t.Run(name, func(t *testing.T) {
			c := scopes[name]
			s, steps, how := search{scope: c, seen: map[[sha256.Size]byte]bool{}}, c.steps, os.Getenv("DMCOW_SCOPE")
			if long, err := time.ParseDuration(how); err == nil {
				steps, s.until = math.MaxInt, time.Now().Add(time.Duration(c.share*float64(long)))
			} else if n, err := strconv.Atoi(how); err == nil {
				steps = n
			} else if how != "" {
				t.Fatal(err)
			}
			if err := s.run(t, steps); err != nil {
				t.Errorf("world %s\n%v", name, err)
			}
		})
	}
}

func (s *search) run(t *testing.T, steps int) error {
	start := time.Now()
	for _, beginning := range s.beginnings {
		n, err := s.replay(strings.Split(beginning, "\n"))
		if err != nil {
			return err
		}
		s.next = append(s.next, n)
	}
	for depth := 1; depth <= steps && !s.isOver(); depth++ {
		all := s.next
		n := s.level(all)
		t.Logf("%d steps: from %d of %d worlds to %d new ones, %d outcomes in all, %.1fs",
			depth, n, len(all), len(s.next), s.tried, time.Since(start).Seconds())
	}
	return s.failed
}

// replay does a history's steps from the beginning.
func (c scope) replay(history []string) (*node, error) {
	n, err := c.begin()
	for _, line := range history {
		if err != nil || line == "" {
			return n, err
		}
		n, err = c.follow(n, line)
	}
	return n, err
}

// follow does a step, with all the power cuts that it may have, and goes on from what there is when it has returned, or
// from what the line says: "| cut 3", or "| torn", the first that leaves something behind a list.
func (c scope) follow(n *node, line string) (next *node, err error) {
	text, from, _ := strings.Cut(line, " | ")
	err = c.try(n, step(text), func(cut int, w *world, m *model) error {
		if from == "" || from == fmt.Sprint("cut ", cut) || from == "torn" && m.stores[first].hidden != "" && next == nil {
			next = &node{imageOf(w.all), *m, n, step(text), cut}
		}
		return w.sound(m)
	})
	if err == nil && next == nil {
		err = errors.New("there is nothing to do")
	}
	if err != nil {
		err = fmt.Errorf("%s%s\n%w", n.history(), text, err)
	}
	return next, err
}

// TestSmallScopeHistory does one history again, such as TestSmallScope tells where it fails: the lines from
// DMCOW_HISTORY, the first of which names the world.
func TestSmallScopeHistory(t *testing.T) {
	history := strings.Split(strings.TrimSpace(os.Getenv("DMCOW_HISTORY")), "\n")
	name, ok := strings.CutPrefix(history[0], "world ")
	if !ok {
		t.Skip("DMCOW_HISTORY has no history")
	}
	n, err := scopes[name].replay(history[1:])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range n.ancestry() {
		t.Logf("%s: %v", m.step, m.model)
	}
}
