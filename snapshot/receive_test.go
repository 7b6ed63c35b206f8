package snapshot

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/store/apply"
	"dmcow/store/delta"
	"dmcow/store/delta/deltatest"
)

// images are two images of so many sectors: in the second one, so many sectors in a thousand are others.
func images(t *testing.T, sectors, differ int) (base, source []byte) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 1))
	base = devicetest.Numbered(int64(sectors) * 512)
	source = bytes.Clone(base)
	for n := range sectors {
		if n == sectors/2 || rng.IntN(1000) < differ {
			source[n*512+100] ^= 0xff
		}
	}
	return base, source
}

// piped is the reading end of a pipe through which a delta comes.
func (r rig) piped(d []byte) IncomingRequest {
	r.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		r.Fatal(err)
	}
	go func() {
		_, _ = in.Write(d) // who reads it may end before
		in.Close()
	}()
	r.Cleanup(func() { out.Close() })
	return IncomingRequest{Name: "-", Stdin: out}
}

// received applies a delta.
func (r rig) received(request ReceiveRequest) (apply.Result, error) {
	p, err := r.PlanReceive(request)
	if err != nil {
		return apply.Result{}, err
	}
	defer p.Close()
	return p.Do()
}

// shows is what a snapshot of LVM, or a volume, shows, in a session of its own.
func (r rig) shows(name, where string) []byte {
	r.Helper()
	s := Open(Options{Where: []string{where}})
	defer s.Close()
	var b bytes.Buffer
	x, err := s.PlanExport(ExportRequest{ViewRequest: ViewRequest{Request: Request{COW: name}}, Output: OutputRequest{Stream: &Stream{Writer: &b}}})
	if err == nil {
		defer x.Close()
		err = x.Do()
	}
	if err != nil {
		r.Fatal(err)
	}
	return b.Bytes()
}

// TestReceive: by a file, a redirected one, and a pipe, a named one, too.
func TestReceive(t *testing.T) {
	base, source := images(t, 501, 200)
	d := deltatest.Make(t, delta.Forward, 2, base, source)
	for name, from := range map[string]func(r rig) IncomingRequest{
		"a file": func(r rig) IncomingRequest { return IncomingRequest{Name: "delta"} },
		"a pipe": func(r rig) IncomingRequest { return r.piped(d) },
		"redirected": func(r rig) IncomingRequest {
			f, err := os.Open("delta")
			if err != nil {
				r.Fatal(err)
			}
			r.Cleanup(func() { f.Close() })
			return IncomingRequest{Name: "-", Stdin: f}
		},
		"a named pipe": func(r rig) IncomingRequest {
			if err := unix.Mkfifo("pipe", 0o600); err != nil {
				r.Skip(err)
			}
			go os.WriteFile("pipe", d, 0)
			return IncomingRequest{Name: "pipe"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.file("delta", d)
			r.file("target", base)
			p, err := r.PlanReceive(ReceiveRequest{IncomingRequest: from(r), Into: "target", Undo: "log"})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if file := !strings.Contains(name, "pipe"); p.Compared != file || p.In.Head.Size != 501*512 || p.In.IsStream() == file {
				t.Errorf("compared %v, %+v", p.Compared, p.In.Head)
			}
			if result, err := p.Do(); err != nil || result.Written != p.In.Head.Count || !bytes.Equal(r.read("target"), source) {
				t.Fatalf("%+v, %v", result, err)
			}
			p.Close()
			m, err := r.PlanMerge(MergeRequest{Request: Request{COW: "log"}, Into: "target"})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if _, err := m.Do(); err != nil || !bytes.Equal(r.read("target"), base) {
				t.Errorf("the log does not undo it: %v", err)
			}
		})
	}
}

// TestReceiveServes: snapshots of the target keep what they show, whether it is known before what is overwritten
// or not; one without room is told of before anything is written, or where it has none any more.
func TestReceiveServes(t *testing.T) {
	disk := lvmDisk(t)
	for name, c := range map[string]struct {
		pipe bool
		few  bool // the snapshot has room for what the delta overwrites
	}{
		"a file": {false, true}, "a pipe": {true, true}, "a file, no room": {false, false}, "a pipe, no room": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.file("disk", disk)
			base, shown := r.shows("vg0/origin", "disk"), r.shows("vg0/snap", "disk")
			source := bytes.Clone(base)
			for at := 0; at < len(source); at += 4096 {
				if !c.few || at%(64<<10) == 0 {
					source[at+9] ^= 1
				}
			}
			d := deltatest.Make(t, delta.Forward, 8, base, source)
			r.file("delta", d)
			in := IncomingRequest{Name: "delta"}
			if c.pipe {
				in = r.piped(d)
			}
			s := rig{t, Open(Options{Where: []string{"disk"}})}
			defer s.Close()
			p, err := s.PlanReceive(ReceiveRequest{IncomingRequest: in, Into: "vg0/origin"})
			var result apply.Result
			if err == nil {
				defer p.Close()
				result, err = p.Do()
			}
			s.Close()
			if after := r.shows("vg0/snap", "disk"); !bytes.Equal(after, shown) {
				t.Error("the snapshot shows something else")
			}
			after := r.shows("vg0/origin", "disk")
			if c.few {
				if err != nil || !bytes.Equal(after, source) || len(p.Siblings) != 1 {
					t.Errorf("%+v, %v", result, err)
				}
				return
			}
			refusal := asRefusal(err)
			if refusal == nil || refusal.Device != "vg0/snap" || refusal.Code != Unable {
				t.Fatal(err)
			}
			if !bytes.Equal(after, base) || result.Changed() { // the first window wants more than there is
				t.Errorf("%v: and the origin was written", err)
			}
		})
	}
}

// TestReceiveGivesUp: a snapshot that is given up is invalid then.
func TestReceiveGivesUp(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t, "disk")
	r.file("disk", disk)
	base := r.shows("vg0/origin", "disk")
	source := bytes.Clone(base)
	source[5000]++
	r.file("delta", deltatest.Make(t, delta.Forward, 8, base, source))
	if _, err := r.received(ReceiveRequest{IncomingRequest: IncomingRequest{Name: "delta"}, Into: "vg0/origin", Lost: []string{"snap"}}); err != nil {
		t.Fatal(err)
	}
	r.Session.Close()
	if !bytes.Equal(r.shows("vg0/origin", "disk"), source) {
		t.Error("the origin is not what it should be")
	}
	_, err := Open(Options{Where: []string{"disk"}}).PlanMerge(MergeRequest{Request: Request{COW: "vg0/snap"}, DryRun: true})
	if x := asRefusal(err); x == nil || x.Code != Invalid {
		t.Errorf("the snapshot that was given up: %v", err)
	}
}

// TestReceiveRefuses: what is refused has written nothing.
func TestReceiveRefuses(t *testing.T) {
	base, source := images(t, 400, 200)
	d := deltatest.Make(t, delta.Forward, 2, base, source)
	damaged, foreign := bytes.Clone(d), bytes.Clone(base)
	damaged[len(d)/2] ^= 1
	foreign[200*512+300] ^= 1
	for name, c := range map[string]struct {
		delta, target []byte
		change        func(*ReceiveRequest)
		wanted
	}{
		"damaged":         {damaged, base, nil, wanted{Unable, "delta", "is damaged", nil}},
		"cut":             {d[:len(d)-1], base, nil, wanted{Unable, "delta", "ends at byte", nil}},
		"trailing":        {append(bytes.Clone(d), 0), base, nil, wanted{Unable, "delta", "behind the end", nil}},
		"no delta":        {base, base, nil, wanted{Unable, "delta", "not a delta", nil}},
		"foreign":         {d, foreign, nil, wanted{Damaged, "target", "the 1024 bytes at byte 102400 are neither", []Deed{ForceBase}}},
		"small":           {d, base[:399*512], nil, wanted{Unable, "target", "too small", nil}},
		"small, forced":   {d, base[:399*512], func(r *ReceiveRequest) { r.ForceBase = true }, wanted{Unable, "target", "too small", nil}},
		"large":           {d, append(bytes.Clone(base), make([]byte, 512)...), nil, wanted{Unable, "target", "has 205312 bytes", []Deed{ForceBase}}},
		"itself":          {d, base, func(r *ReceiveRequest) { r.Into = "delta" }, wanted{Unable, "delta", "starts with a COW header", []Deed{ForceBase}}},
		"itself, forced":  {d, base, func(r *ReceiveRequest) { r.Into, r.ForceBase = "delta", true }, wanted{Unable, "delta", "overlaps", nil}},
		"log is target":   {d, base, func(r *ReceiveRequest) { r.Undo = "target" }, wanted{Unable, "target", "overlaps", nil}},
		"log is delta":    {d, base, func(r *ReceiveRequest) { r.Undo = "delta" }, wanted{Unable, "delta", "overlaps", nil}},
		"a foreign log":   {d, base, func(r *ReceiveRequest) { r.Undo = "cow" }, wanted{Unable, "cow", "not an undo log", nil}},
		"missing":         {d, base, func(r *ReceiveRequest) { r.Into = "nothing" }, wanted{Unable, "nothing", "no such file", nil}},
		"of lvmsync":      {append([]byte("lvmsync PROTO[3]\n"), make([]byte, 600)...), base, nil, wanted{Unable, "delta", "lvmsync", []Deed{ForceBase}}},
		"of old lvmsync":  {[]byte("lvmsync PROTO[2]\nxxxx"), base, nil, wanted{Unable, "delta", "version", nil}},
		"no such sibling": {d, base, func(r *ReceiveRequest) { r.Lost = []string{"vg0/x"} }, wanted{WrongUse, "vg0/x", "not another snapshot", nil}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dry := range []bool{false, true} {
				r := newRig(t)
				r.file("delta", c.delta)
				r.file("target", c.target)
				request := ReceiveRequest{IncomingRequest: IncomingRequest{Name: "delta"}, Into: "target", DryRun: dry}
				if c.change != nil {
					c.change(&request)
				}
				_, err := r.received(request)
				if dry && name == "missing" {
					c.code = Unreadable // it would only be read
				}
				r.refused(err, c.wanted)
				if !bytes.Equal(r.read("target"), c.target) || !bytes.Equal(r.read("delta"), c.delta) {
					t.Error("something was written")
				}
			}
		})
	}
}

// TestReceiveOverWhat: with ForceBase a larger or foreign target is written all the same.
func TestReceiveOverWhat(t *testing.T) {
	base, source := images(t, 400, 200)
	d := deltatest.Make(t, delta.Forward, 2, base, source)
	foreign := append(bytes.Clone(base), 1, 2, 3)
	foreign[200*512+300] ^= 1
	r := newRig(t)
	r.file("delta", d)
	r.file("target", foreign)
	p, err := r.PlanReceive(ReceiveRequest{IncomingRequest: IncomingRequest{Name: "delta"}, Into: "target", ForceBase: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	result, err := p.Do()
	if want := append(bytes.Clone(source), 1, 2, 3); err != nil || result != p.Foreseen || result.Foreign != 1 || !bytes.Equal(r.read("target"), want) {
		t.Errorf("%+v, foreseen %+v, %v", result, p.Foreseen, err)
	}
}

// TestReceiveFull makes the target, sparse; an empty file is as good as none. What a full delta does not name must be
// zero.
func TestReceiveFull(t *testing.T) {
	_, source := images(t, 400, 0)
	clear(source[100*512 : 300*512])
	r := newRig(t)
	d := deltatest.Make(t, delta.Full, 8, nil, source)
	r.file("delta", d)
	r.file("empty", nil)
	r.file("zeros", make([]byte, len(source)))
	for _, into := range []string{"new", "empty", "zeros"} {
		for _, in := range []IncomingRequest{{Name: "delta"}, r.piped(d)} {
			result, err := r.received(ReceiveRequest{IncomingRequest: in, Into: into})
			if err != nil || !bytes.Equal(r.read(into), source) || result.Cleared > 0 {
				t.Errorf("%s: %+v, %v", into, result, err)
			}
		}
	}
	stained := make([]byte, len(source))
	stained[200*512+7] = 1
	r.file("stained", stained)
	_, err := r.received(ReceiveRequest{IncomingRequest: IncomingRequest{Name: "delta"}, Into: "stained"})
	r.refused(err, wanted{Damaged, "stained", "byte 102407 is not zero", []Deed{ForceBase}})
	if !bytes.Equal(r.read("stained"), stained) {
		t.Error("something was written")
	}
	result, err := r.received(ReceiveRequest{IncomingRequest: IncomingRequest{Name: "delta"}, Into: "stained", ForceBase: true, Undo: "log"})
	if err != nil || result.Cleared == 0 || !bytes.Equal(r.read("stained"), source) {
		t.Errorf("forced: %+v, %v", result, err)
	}
	_, err = r.received(ReceiveRequest{IncomingRequest: IncomingRequest{Name: "delta"}, Into: "another", Undo: "log"})
	r.refused(err, wanted{WrongUse, "log", "nothing to save", nil})
	r.file("cut", d[:len(d)-1])
	if _, err = r.received(ReceiveRequest{IncomingRequest: IncomingRequest{Name: "cut"}, Into: "another"}); err == nil || exists("another") {
		t.Errorf("a delta that is cut: %v, and a target is there: %v", err, exists("another"))
	}
}

// TestReceiveCutOff: a pipe that ends early has its target written as far as it came; the whole delta goes on.
func TestReceiveCutOff(t *testing.T) {
	base, source := images(t, 20_000, 900)
	d := deltatest.Make(t, delta.Forward, 1, base, source)
	r := newRig(t)
	r.file("target", base)
	_, err := r.received(ReceiveRequest{IncomingRequest: r.piped(d[:len(d)*3/4]), Into: "target"})
	if x := asRefusal(err); x == nil || x.Code != Interrupted || x.Device != "-" || !strings.Contains(x.Error(), "goes on") {
		t.Fatal(err)
	}
	if now := r.read("target"); bytes.Equal(now, base) || bytes.Equal(now, source) {
		t.Error("all or nothing was written")
	}
	result, err := r.received(ReceiveRequest{IncomingRequest: r.piped(d), Into: "target"})
	if err != nil || result.Held == 0 || result.Written == 0 || !bytes.Equal(r.read("target"), source) {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestReceiveTorn: a chunk that a power cut has torn, alone in its window, is refused without the undo log, and explained
// by it, of a file and of a pipe.
func TestReceiveTorn(t *testing.T) {
	base, source := images(t, 400, 200)
	source[203*512]++
	d := deltatest.Make(t, delta.Forward, 8, base, source)
	for _, pipe := range []bool{false, true} {
		r := newRig(t)
		r.file("delta", d)
		from := func() IncomingRequest {
			if pipe {
				return r.piped(d)
			}
			return IncomingRequest{Name: "delta"}
		}
		r.file("target", base)
		if _, err := r.received(ReceiveRequest{IncomingRequest: from(), Into: "target", Undo: "log"}); err != nil {
			t.Fatal(err)
		}
		torn := bytes.Clone(base)
		copy(torn[200*512:], source[200*512:201*512]) // and sector 203 of the same chunk differs, too
		r.file("target", torn)
		if bytes.Equal(torn[200*512:208*512], source[200*512:208*512]) {
			t.Fatal("the chunk is not torn")
		}
		_, err := r.received(ReceiveRequest{IncomingRequest: from(), Into: "target"})
		if x := asRefusal(err); x == nil || x.Code != Damaged || !bytes.Equal(r.read("target"), torn) {
			t.Fatalf("without the log: %v", err)
		}
		result, err := r.received(ReceiveRequest{IncomingRequest: from(), Into: "target", Undo: "log"})
		if err != nil || result.Torn != 1 || !bytes.Equal(r.read("target"), source) {
			t.Errorf("with the log: %+v, %v", result, err)
		}
	}
}

// TestReceiveLogFull: where the undo log has no room, what it cannot keep is not overwritten.
func TestReceiveLogFull(t *testing.T) {
	base, source := images(t, 20_000, 900)
	r := newRig(t)
	r.file("delta", deltatest.Make(t, delta.Forward, 1, base, source))
	r.file("target", base)
	if err := os.Mkdir("small", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", "small", "tmpfs", 0, "size=4m"); err != nil {
		t.Skip(err)
	}
	dir, _ := filepath.Abs("small")
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	_, err := r.received(ReceiveRequest{IncomingRequest: IncomingRequest{Name: "delta"}, Into: "target", Undo: "small/log"})
	if x := asRefusal(err); x == nil || x.Code != Unable || x.Device != "small/log" || !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	written := 0
	for at, now := 0, r.read("target"); at < len(now); at += 512 {
		if sector := now[at : at+512]; !bytes.Equal(sector, base[at:at+512]) {
			written++
			if !bytes.Equal(sector, source[at:at+512]) {
				t.Fatal("a sector is neither content")
			}
		}
	}
	m, err := r.PlanMerge(MergeRequest{Request: Request{COW: "small/log"}, Into: "target"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Do(); err != nil || !bytes.Equal(r.read("target"), base) || written == 0 {
		t.Errorf("%d sectors were written, and the log does not undo them: %v", written, err)
	}
}

// TestCollect: a delta alone is verified, and kept in a file that has its name when it is whole.
func TestCollect(t *testing.T) {
	base, source := images(t, 400, 200)
	d := deltatest.Make(t, delta.Forward, 2, base, source)
	damaged := bytes.Clone(d)
	damaged[len(d)/2] ^= 1
	r := newRig(t)
	r.file("delta", d)
	r.file("damaged", damaged)
	collect := func(in IncomingRequest, out string) error {
		c, err := r.PlanCollect(CollectRequest{IncomingRequest: in, Output: OutputRequest{Name: out, Mode: Private}})
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Do()
	}
	for i, in := range []IncomingRequest{{Name: "delta"}, r.piped(d)} {
		out := []string{"one", "two"}[i]
		if err := collect(in, out); err != nil || !bytes.Equal(r.read(out), d) {
			t.Errorf("%s: %v", out, err)
		}
	}
	if err := collect(IncomingRequest{Name: "delta"}, ""); err != nil {
		t.Error(err)
	}
	r.refused(collect(IncomingRequest{Name: "delta"}, "one"), wanted{Unable, "one", "the file exists", []Deed{ForceReplace}})
	r.refused(collect(IncomingRequest{Name: "damaged"}, ""), wanted{Damaged, "damaged", "is damaged", nil})
	r.refused(collect(IncomingRequest{Name: "damaged"}, "three"), wanted{Unable, "damaged", "is damaged", nil})
	r.refused(collect(r.piped(d[:5000]), "three"), wanted{Unable, "-", "ends at byte 5000", nil})
	if exists("three") {
		t.Error("what is not whole has its name")
	}
}
