package snapshot

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device"
)

// sending is what is sent in the tests of where it goes to: a snapshot whose delta has a few windows.
func sending(t *testing.T) (*history, []byte) {
	r := newRig(t)
	rng := rand.New(rand.NewPCG(1, 1))
	h := newHistory(r, rng, 300*512)
	h.take(1)
	h.write(rng, 30)
	h.files()
	return h, h.send(toFile())
}

func toFile() SendRequest { return SendRequest{ViewRequest: of("snap0")} }

// to sends to a file, and returns the error.
func (h *history) to(name string, change func(*SendRequest)) error {
	x := toFile()
	x.Output = OutputRequest{Name: name, Mode: Private}
	change(&x)
	p, err := h.PlanSend(x)
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Do()
}

func goOn(x *SendRequest) { x.Continue = true }

// TestSendContinue: a file that was cut off anywhere is gone on with, whether it has its own name or the one of a
// part, and whether its end was lost or became zeros.
func TestSendContinue(t *testing.T) {
	h, d := sending(t)
	for n := 0; n <= len(d); n += 1 + n/7 {
		n = min(n, len(d))
		for name, part := range map[string][]byte{
			"out": d[:n], "out.part": d[:n], "zeros": append(bytes.Clone(d[:n]), make([]byte, len(d)-n)...),
		} {
			if name == "zeros" {
				name = "out.part"
			}
			h.file(name, part)
			if err := h.to("out", goOn); err != nil || !bytes.Equal(h.read("out"), d) || exists("out.part") {
				t.Fatalf("%d bytes in %s: %v; there is a part: %v", n, name, err, exists("out.part"))
			}
			os.Remove("out")
		}
	}
}

// TestSendContinueOther: a part of something else is refused, with the place, and stays as it is.
func TestSendContinueOther(t *testing.T) {
	h, d := sending(t)
	for _, at := range []int{0, 600, len(d) / 2, len(d) - 600} {
		other := bytes.Clone(d[:len(d)-512])
		other[at] ^= 1
		h.file("out.part", other)
		err := h.to("out", goOn)
		h.refused(err, wanted{Unable, "out.part", "refused: byte ", nil})
		if !strings.Contains(err.Error(), "the source is not what it was") || !bytes.Equal(h.read("out.part"), other) || exists("out") {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	h.file("out.part", append(bytes.Clone(d), 1, 2, 3))
	if err := h.to("out", goOn); err != nil || !bytes.Equal(h.read("out"), d) { // of the last chunk, not all may have been written
		t.Error(err)
	}
	os.Remove("out")
	h.file("out.part", append(bytes.Clone(d), make([]byte, 1024)...))
	h.refused(h.to("out", goOn), wanted{Unable, "out.part", "bytes, and the whole delta", nil})
}

// TestSendFiles: which names are refused, and which are written to.
func TestSendFiles(t *testing.T) {
	h, d := sending(t)
	h.file("old", []byte("something"))
	h.refused(h.to("old", func(*SendRequest) {}), wanted{Unable, "old", "refused: the file exists", []Deed{ForceReplace}})
	if err := h.to("none", goOn); err != nil || !bytes.Equal(h.read("none"), d) { // it begins
		t.Error(err)
	}
	h.refused(h.to("origin", func(x *SendRequest) { x.Output.Force = true }), wanted{Unable, "origin", "overlaps origin", nil})
	h.refused(h.to("snap0", func(x *SendRequest) { x.Output.Force = true }), wanted{Unable, "snap0", "overlaps snap0", nil})
	h.refused(h.to("dir/none", func(*SendRequest) {}), wanted{Unable, "dir/none", "no such file or directory", nil})
	h.refused(h.to(os.DevNull, goOn), wanted{WrongUse, os.DevNull, "only a file can be continued", nil})
	h.file("out.part", d[:100])
	h.refused(h.to("out", func(*SendRequest) {}), wanted{Unable, "out.part", "--continue goes on with it", nil})
	if err := h.to("out", func(x *SendRequest) { x.Output.Force = true }); err != nil || !bytes.Equal(h.read("out"), d) {
		t.Error(err)
	}
	if err := h.to("old", func(x *SendRequest) { x.Output.Force = true }); err != nil || !bytes.Equal(h.read("old"), d) || exists("old.part") {
		t.Error(err)
	}
	h.refused(h.to("new", func(x *SendRequest) { x.Output.DryRun = true }), wanted{WrongUse, "new", "dry run", nil})
	if exists("new") || exists("new.part") {
		t.Error("a dry run has made a file")
	}
}

// TestSendBesideAnother: a part to which another program writes is not removed, and a file that has come in its place
// does not get the name of the whole.
func TestSendBesideAnother(t *testing.T) {
	h, d := sending(t)
	anew := func(x *SendRequest) { x.Output.Force = true }
	h.file("out.part", d[:100])
	other, err := device.OpenWritable("out.part")
	if err != nil {
		t.Fatal(err)
	}
	h.refused(h.to("out", anew), wanted{Unable, "out.part", "in use", nil})
	if !bytes.Equal(h.read("out.part"), d[:100]) {
		t.Error("the part was written to")
	}
	other.Close()
	for _, replace := range []func() error{
		func() error { return os.Remove("out.part") },
		func() error { return errors.Join(os.Remove("out.part"), os.WriteFile("out.part", d[:100], 0o600)) },
	} {
		x := toFile()
		x.Output = OutputRequest{Name: "out", Mode: Private, Force: true}
		p, err := h.PlanSend(x)
		if err != nil {
			t.Fatal(err)
		}
		h.Session.options.Watch = func(string, Unit, uint64) Watcher {
			if err := replace(); err != nil {
				t.Error(err)
			}
			return &interrupting{interruptions: &interruptions{end: -1}}
		}
		h.refused(p.Do(), wanted{Unable, "out.part", "another program has replaced or removed it meanwhile", nil})
		h.Session.options.Watch = nil
		p.Close()
		if exists("out") {
			t.Error("it has its name")
		}
	}
}

// TestSendSkip: a stream from any byte on is the rest of the whole.
func TestSendSkip(t *testing.T) {
	h, d := sending(t)
	for n := 0; n <= len(d); n += 997 {
		var b bytes.Buffer
		if err := h.to("", func(x *SendRequest) { x.Output.Stream, x.Skip = &Stream{Writer: &b}, format.Bytes(n) }); err != nil || !bytes.Equal(b.Bytes(), d[n:]) {
			t.Fatalf("from byte %d on: %v, %d bytes", n, err, b.Len())
		}
	}
	err := h.to("", func(x *SendRequest) { x.Output.Stream, x.Skip = &Stream{Writer: io.Discard}, format.Bytes(len(d)+1) })
	h.refused(err, wanted{WrongUse, "snap0", "there are only", nil})
}

// TestSendInterrupted: a run that is interrupted says how to go on, and that is so; before anything was written, no file
// is left.
func TestSendInterrupted(t *testing.T) {
	h, d := sending(t)
	for end := 0; ; end++ {
		i := &interruptions{end: end}
		h.Session.options.Watch = i.watch
		err := h.to("out", func(*SendRequest) {})
		h.Session.options.Watch = nil
		if !i.asked {
			if err != nil || !bytes.Equal(h.read("out"), d) || end < 3 {
				t.Errorf("stretch %d: %v", end, err)
			}
			return
		}
		if r := asRefusal(err); r == nil || r.Code != Interrupted || i.left != 0 || exists("out") {
			t.Errorf("stretch %d: %v", end, err)
		}
		os.Remove("out.part")
	}
}

// TestSendFull: a file system that is full leaves what was written, and says how to go on.
func TestSendFull(t *testing.T) {
	h, d := sending(t)
	full := errors.New("full")
	if err := h.to("", func(x *SendRequest) { x.Output.Stream = &Stream{Writer: failingAfter{len(d) / 2, full}} }); !errors.Is(err, full) {
		t.Error(err)
	}
}

// failingAfter is a stream that takes no write of more than so many bytes.
type failingAfter struct {
	left int
	err  error
}

func (w failingAfter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, w.err
	}
	return len(p), nil
}

// TestSendRefused: what is not sent, and why.
func TestSendRefused(t *testing.T) {
	h, _ := sending(t)
	h.store("invalid", strings.Replace(sound, "chunk=1", "chunk=1 valid=0", 1))
	h.store("double", strings.Replace(sound, "fill 20", "fill 20\nex 5 3 7", 1))
	h.file("longer", make([]byte, len(h.now)+512))
	h.file("blank", make([]byte, 100*512))
	named := func(cow, origin string) func(*SendRequest) {
		return func(x *SendRequest) { x.COW, x.Origin = cow, origin }
	}
	h.refused(h.to("out", named("invalid", "origin")), wanted{Invalid, "invalid", "marked invalid", []Deed{RunRevalidate}})
	h.refused(h.to("out", named("double", "origin")), wanted{Damaged, "double", "is uncertain", []Deed{MountRest, RepairCopy}})
	h.refused(h.to("out", named("blank", "origin")), wanted{Blank, "blank", "no snapshot to read", []Deed{RunCheck}})
	h.refused(h.to("out", func(x *SendRequest) { x.To = "double" }), wanted{Damaged, "double", "is uncertain", []Deed{MountRest, RepairCopy}})
	h.refused(h.to("out", func(x *SendRequest) { x.To = "snap0" }), wanted{Unable, "snap0", "overlaps", nil})
	err := h.to("out", func(x *SendRequest) { x.Chunk = 2048 })
	if r := asRefusal(err); r == nil || r.Input != TheChunkSize {
		t.Error(err)
	}
	if exists("out") || exists("out.part") {
		t.Error("there is a file")
	}
}
