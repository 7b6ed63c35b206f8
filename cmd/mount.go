package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"dmcow/internal/fuse"
	"dmcow/internal/process"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

type mountCmd struct {
	viewing    `embed:""`
	Dir        path `arg:"" help:"Directory to mount on. The snapshot is the file 'snapshot' in it, a volume the file 'volume'."`
	Writable   bool `help:"Allow writing: what is written to the file goes to the store, as part of the snapshot."`
	Daemon     bool `help:"Go to the background once mounted."`
	AllowOther bool `help:"Let other users read it (without root, /etc/fuse.conf must allow that)."`
	writingLVM `embed:""`
	DryRun     bool `help:"Print what would be mounted, and mount nothing."`
}

// Validate tells wrong use that single flags do not show.
func (c *mountCmd) Validate() error { return c.viewing.check() }

func (c *mountCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	var background *os.File
	if c.Daemon && !c.DryRun {
		if background = process.StartedBy(); background == nil {
			end, err := process.StartDaemon(a.ctx, a.stdout.File())
			if err != nil {
				return unable("daemon", err)
			}
			a.status |= status(end)
			a.log = nil // the one in the background writes it
			return nil
		}
	}
	list, err := a.uncertainList(c.viewing)
	if err != nil {
		return err
	}
	s := a.begin(c.volumes, c.ForeignHost)
	n, err := c.open(s)
	if err != nil {
		return err
	}
	name := n.About()
	if c.DryRun {
		defer n.Close()
		return a.print("%s: would show %s as the file %s, %s, %s\n", words.Printable(string(c.Dir)), words.Printable(name), n.What(), words.Bytes(n.Size()), c.mode())
	}
	if err = writeUncertain(list, n); err == nil {
		err = n.Unlock()
	}
	if err == nil {
		err = c.serve(a, n, background)
	}
	if e := n.Close(); e != nil {
		a.fail(err)
		err = unable(name, fmt.Errorf("some writes may be lost: %w", e))
	}
	return err
}

// open opens what is to be mounted.
func (c *mountCmd) open(s *snapshot.Session) (snapshot.Source, error) {
	write := s.Write
	switch {
	case !c.Writable:
		return s.See(c.view())
	case c.DryRun:
		write = s.TryWrite
	}
	n, err := write(c.view())
	if err != nil {
		return nil, err
	}
	return n, nil
}

// check refuses a directory on which there can be no mount.
func (c *mountCmd) check() error {
	info, err := os.Stat(string(c.Dir))
	if errors.Is(err, syscall.ENOTCONN) {
		err = errors.New("a process that has died left it mounted: unmount it first")
	}
	switch {
	case err != nil:
	case !info.IsDir():
		err = errors.New("not a directory")
	case fuse.IsMounted(string(c.Dir)):
		err = errors.New("a FUSE file system is mounted on it already: unmount that first")
	}
	if err == nil && !c.DryRun {
		err = fuse.Check()
	}
	if err != nil {
		return unable(string(c.Dir), words.Pathless(err))
	}
	return nil
}

// commitEvery is how long what was written may wait to be durable, if nobody asks for it.
const commitEvery = 5 * time.Second

// serve mounts a snapshot, or a volume, and serves it until it is unmounted. In the background, it tells
// who has started it when it is mounted.
func (c *mountCmd) serve(a *app, n snapshot.Source, background *os.File) error {
	dir, err := filepath.Abs(string(c.Dir))
	if err != nil {
		return unable(string(c.Dir), err)
	}
	var worst atomic.Int32
	v := snapshot.Serve(n, c.Live, func(x snapshot.Note) {
		worst.Or(int32(a.ended(x.Code)))
		a.say(x.Device, "%s", x.Text)
	})
	m, err := fuse.Mount(dir, v, fuse.Options{
		Name: n.About(), File: string(n.What()), Writable: c.Writable, AllowOther: c.AllowOther, Log: detailLog{a, n.About()},
	})
	if err != nil {
		return unable(string(c.Dir), fmt.Errorf("cannot mount: %w", err))
	}
	a.tell()
	file := words.Printable(filepath.Join(dir, string(n.What())))
	if background != nil {
		a.say(n.About(), "mounted on %s; the file is %s; umount ends it", words.Printable(dir), file)
		a.stderr.Become(process.Detach(background, int(a.status)))
	}
	ended := make(chan struct{})
	go func() {
		m.Wait()
		close(ended)
	}()
	if a.flags.Verbose || isTerminal(a.stderr.File()) {
		a.say(n.About(), "mounted on %s; the file is %s; umount or Ctrl-C ends it", words.Printable(dir), file)
	}
	commit := time.NewTicker(commitEvery)
	defer commit.Stop()
	stop := a.ctx.Done()
	for {
		select {
		case <-ended:
			v.Watch() // a last time: what was read so far may have been changed
			a.status |= status(worst.Load())
			return nil
		case <-commit.C:
			v.Commit()
			v.Watch()
		case <-a.tick:
			a.say(n.About(), "mounted on %s%s", words.Printable(dir), c.room(v))
		case <-stop:
			stop = nil
			v.Commit()
			go c.unmount(a, n.About(), m, dir)
		}
	}
}

// mode says whether the file can be written, and where that goes.
func (c *mountCmd) mode() string {
	if c.Writable {
		return "writable: writes go to the store"
	}
	return "read-only"
}

// room says how much can still be written.
func (c *mountCmd) room(v *snapshot.Served) string {
	if !c.Writable {
		return ""
	}
	return fmt.Sprintf(", room for %s more", words.Count(v.Free(), "chunk"))
}

// unmount ends the mount. Where somebody uses it, it goes on for those alone.
func (c *mountCmd) unmount(a *app, name string, m fuse.Server, dir string) {
	if m.Unmount() == nil {
		return
	}
	if err := fuse.Detach(dir); err != nil {
		a.say(name, "cannot unmount %s: %v; Ctrl-C again stops now", words.Printable(dir), err)
		return
	}
	a.say(name, "%s is unmounted; programs that have the file open can go on until they close it (Ctrl-C again stops now)", words.Printable(dir))
}

// detailLog takes what only -v asks for.
type detailLog struct {
	app  *app
	name string
}

func (l detailLog) Write(line []byte) (int, error) {
	if l.app.flags.Verbose {
		l.app.say(l.name, "%s", strings.TrimSpace(string(line)))
	}
	return len(line), nil
}
