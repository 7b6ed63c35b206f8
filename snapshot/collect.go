package snapshot

import (
	"errors"
	"io"

	"dmcow/internal/memory"
	"dmcow/internal/words"
	"dmcow/store/apply"
)

// CollectRequest says which delta is read alone, and to which file it is collected.
type CollectRequest struct {
	IncomingRequest
	Output OutputRequest // its Name is empty where the delta is only checked
}

// Collect is a delta that is to be read alone: verified, and kept in a file where that was asked for.
type Collect struct {
	In     *Incoming
	Output *Output // nil where it is only checked

	session *Session
	copy    *copying // nil then, too
}

// PlanCollect opens a delta, and looks at the file. The error is a [*Refusal].
func (s *Session) PlanCollect(r CollectRequest) (*Collect, error) {
	c := &Collect{session: s}
	var tee io.Writer
	var err error
	if r.Output.Name != "" {
		if isSameFile(r.Output.Name, r.Name) {
			return nil, refusef(r.Output.Name, Unable, "overlaps %s, which the command reads", words.Printable(r.Name))
		}
		if c.Output, err = s.lookAt(r.Output); err != nil {
			return nil, err
		}
		c.copy = &copying{to: c.Output}
		tee = c.copy
	}
	if c.In, err = s.incoming(r.IncomingRequest, tee, c.Output == nil); err == nil {
		err = c.check()
	}
	return orClose(c, err)
}

func (c *Collect) check() error {
	if c.In.Lvmsync {
		return refuse(c.In.Name, Unable, errors.New("a stream of lvmsync has nothing to verify it by, and is no store"))
	}
	if c.Output == nil {
		return nil
	}
	return c.Output.check(int64(c.In.Head.Layout().Size()))
}

// Do reads all of it, and gives the file its name when it is whole. The error is a [*Refusal].
func (c *Collect) Do() error {
	size := c.In.Head.Layout().Size()
	then := nothingWritten
	if c.Output != nil {
		if err := c.Output.Open(int64(size)); err != nil {
			return err
		}
		if err := c.copy.begin(); err != nil {
			return err
		}
		then = c.Output.cutOff()
	}
	w := c.session.watch(c.In.Name, Bytes, uint64(c.In.Head.Bytes))
	defer w.End()
	o := apply.Options{Blind: true}
	o.Done, o.Pause = w.between()
	_, err := apply.Look(c.In.source(0), zeros(0), o)
	if err == nil && c.Output != nil {
		err = inTurn(c.copy.end, c.Output.Finish)
	}
	return c.In.failed(err, then)
}

// Close closes all of it. What is not whole is gone.
func (c *Collect) Close() {
	if c.In != nil {
		c.In.Close()
	}
	if c.Output != nil {
		c.Output.Close()
	}
}

// copying copies a stream to an output in large writes. What comes before begin waits.
type copying struct {
	to     *Output
	buffer []byte
	used   int
	at     int64
	early  []byte // what came before begin
	begun  bool
}

// copyBytes is how much is written at a time, in bytes.
const copyBytes = 1 << 20

// begin has what came before be written, and what comes.
func (c *copying) begin() error {
	c.begun, c.buffer = true, memory.Aligned(copyBytes)
	_, err := c.Write(c.early)
	c.early = nil
	return err
}

// Write is an io.Writer's.
func (c *copying) Write(p []byte) (int, error) {
	if !c.begun {
		c.early = append(c.early, p...)
		return len(p), nil
	}
	n := len(p)
	for len(p) > 0 {
		some := copy(c.buffer[c.used:], p)
		c.used, p = c.used+some, p[some:]
		if c.used == len(c.buffer) {
			if err := c.end(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// end writes what waits.
func (c *copying) end() error {
	if c.used == 0 {
		return nil
	}
	err := c.to.Write(c.buffer[:c.used], c.at)
	c.at, c.used = c.at+int64(c.used), 0
	return err
}
