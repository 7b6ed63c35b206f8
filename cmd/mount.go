package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/view"
)

type mountCmd struct {
	viewing    `embed:""`
	Dir        path `arg:"" help:"Directory to mount on. The snapshot is the file 'snapshot' in it."`
	Writable   bool `help:"Open the store for writing, too: what is written to the file becomes part of the snapshot."`
	Daemon     bool `help:"Go to the background when it is mounted."`
	AllowOther bool `help:"Other users may use it, too (without root, /etc/fuse.conf has to allow that)."`
	writingLVM `embed:""`
	DryRun     bool `help:"Print what would be mounted, and do not."`
}

func (mountCmd) Help() string {
	return `
Shows the snapshot as a file, DIR/snapshot, which reads as the volume did: mount it through
a loop device, run fsck -n, debugfs, fls or sha256sum on it. Neither COW nor ORIGIN is
written to. It lasts until DIR is unmounted, or until Ctrl-C or SIGTERM.

  dmcow mount snap.cow --origin origin.img /mnt/snap &
  mount -o loop,ro,noload /mnt/snap/snapshot /mnt/files    (XFS: norecovery,nouuid)
  dmcow mount vg0/snap /mnt/snap --daemon; ...; umount /mnt/snap

With --writable, writes go to the store, as with the kernel's snapshot: each chunk that is
written for the first time takes a chunk of the COW device. What was written is durable
after fsync, and when the file is closed; a crash loses nothing else. When the store is full,
a write gets "no space left on device", and nothing is lost. ORIGIN is never written to.

Where it is not certain what the snapshot holds, since the store is damaged, or a device
cannot be read, the file gives an I/O error there, and the reason is told on standard error.
The exit status is 4 or 8 then, also that of --daemon, which has mounted it: mountpoint -q DIR
tells. --damaged-ok shows it all the same, and --uncertain FILE gets a list of it.

What is mounted cannot be activated or mounted elsewhere meanwhile. Should somebody be able to
write to it all the same, the file gives I/O errors from then on.

Root needs nothing else; others need fusermount3 (Debian: fuse3).
`
}

func (c *mountCmd) Run(a *app) error {
	if err := c.look(); err != nil {
		return err
	}
	var background *os.File
	if c.Daemon && !c.DryRun {
		if background = startedBy(); background == nil {
			return a.startDaemon()
		}
	}
	to := toRead
	switch {
	case c.Writable && c.DryRun:
		to = toForetell
	case c.Writable:
		to = toWrite
	}
	c.dryRun = c.DryRun
	s, err := a.openSnapshot(c.viewing, to)
	if err != nil {
		return err
	}
	if c.DryRun {
		defer s.close()
		_, err := fmt.Fprintf(a.stdout, "%s: would show %s in the file snapshot, %s\n", printable(string(c.Dir)), printable(s.path), sizeInBytes(format.Bytes(s.view.Size())))
		return err
	}
	if err = s.unlock(); err == nil {
		err = c.serve(s, background)
	}
	if e := s.close(); e != nil {
		err = a.both(err, &failure{s.path, statusFailed, fmt.Errorf("some of what was written may be lost: %w", e)})
	}
	return err
}

// unlock gives back LVM's lock of the group, for which its commands would wait as long as the mount
// lasts. The error is a failure.
func (s *snapshot) unlock() error {
	v := s.cow.volume
	if v == nil || v.Group == nil {
		return nil
	}
	seen, err := s.sight(s.where.PV)
	if err == nil {
		seen.Unlock(v.Group)
	}
	return s.volumeFailure(s.path, err)
}

// look makes sure that there can be a mount.
func (c *mountCmd) look() error {
	info, err := os.Stat(string(c.Dir))
	if errors.Is(err, syscall.ENOTCONN) {
		err = errors.New("is still mounted by a process that is gone; umount it first")
	}
	if err == nil && !info.IsDir() {
		err = errors.New("is no directory")
	}
	if err == nil && !c.DryRun {
		if err := device.CanMount(); err != nil {
			return &failure{string(c.Dir), statusFailed, err}
		}
	}
	if err != nil {
		return &failure{string(c.Dir), statusFailed, pathless(err)}
	}
	return nil
}

// commitEvery is how long what was written may wait to be durable, if nobody asks for it.
const commitEvery = 5 * time.Second

// serve mounts the snapshot, and serves it until it is unmounted. In the background, it tells
// who has started it when it is mounted.
func (c *mountCmd) serve(s *snapshot, background *os.File) error {
	dir, err := filepath.Abs(string(c.Dir))
	if err != nil {
		return &failure{string(c.Dir), statusFailed, err}
	}
	m, f, err := c.mount(s, dir)
	if err != nil {
		return &failure{string(c.Dir), statusFailed, fmt.Errorf("cannot be mounted on: %w", err)}
	}
	if background != nil {
		s.detach(background)
	}
	ended := make(chan struct{})
	go func() {
		m.Wait()
		close(ended)
	}()
	if s.flags.Verbose || isTerminal(s.stderr.file()) {
		s.say(s.path, "mounted on %s; umount, or Ctrl-C, ends it", printable(dir))
	}
	commit := time.NewTicker(commitEvery)
	defer commit.Stop()
	stop := s.ctx.Done()
	for {
		select {
		case <-ended:
			if !c.Live {
				f.watch() // a last time: what was read so far may have been changed
			}
			s.status |= f.worst()
			return nil
		case <-commit.C:
			s.commit()
			if !c.Live {
				f.watch()
			}
		case <-s.tick:
			s.say(s.path, "mounted on %s%s", printable(dir), c.room(s.view))
		case <-stop:
			stop = nil
			s.commit()
			go c.unmount(s, m, dir)
		}
	}
}

// commit makes durable what was written, and tells if that fails: once, for it fails for ever
// then.
func (s *snapshot) commit() {
	if err := s.view.Sync(); err != nil && s.unsynced == nil {
		s.unsynced = err
		s.status |= statusFailed
		s.say(s.path, "cannot be written any more: %v", err)
	}
}

// room says how much can still be written.
func (c *mountCmd) room(v *view.View) string {
	if !c.Writable {
		return ""
	}
	return fmt.Sprintf(", room for %s more", count(v.Usage().Free(), "chunk"))
}

// unmount ends the mount. Where somebody uses it, it goes on for those alone.
func (c *mountCmd) unmount(s *snapshot, m mounted, dir string) {
	if m.Unmount() == nil {
		return
	}
	if err := device.Detach(dir); err != nil {
		s.say(s.path, "%s cannot be unmounted: %v; a second signal ends it at once", printable(dir), err)
		return
	}
	s.say(s.path, "%s is unmounted; who has the snapshot open can go on until it is closed, and a second signal ends that at once", printable(dir))
}
