package xfs_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// TestKernelImages writes small file systems to DMCOW_LAB_OUT, with what the kernel reads of them.
func TestKernelImages(t *testing.T) {
	if os.Getenv("DMCOW_UPDATE") == "" {
		t.Skip("DMCOW_UPDATE is not set")
	}
	kernellab.Require(t)
	for name, spec := range images {
		t.Run(name, func(t *testing.T) {
			v := &kernelFS{T: t, file: kernellab.File(t, "image", spec.size<<11), dir: t.TempDir()}
			kernellab.Run(t, "env", append(append([]string{"TEST_DIR=1", "TEST_DEV=1", "QA_CHECK_FS=1", "mkfs.xfs", "-q", "-f"}, spec.options...), v.file)...)
			v.dev = kernellab.Loop(t, v.file)
			kernellab.Run(t, "mount", "-t", "xfs", "-o", "noatime", v.dev, v.dir)
			t.Cleanup(func() { _ = unix.Unmount(v.dir, unix.MNT_DETACH) })
			v.smallTree(spec.shared)
			orphan, err := os.Create(filepath.Join(v.dir, "orphan"))
			kernellab.Must(t, err)
			kernellab.Must(t, os.Remove(orphan.Name()))
			lines := v.lines()
			if spec.frozen {
				kernellab.Run(t, "fsfreeze", "-f", v.dir)
			} else {
				orphan.Close()
				kernellab.Run(t, "umount", v.dir)
			}
			out := filepath.Join(os.Getenv("DMCOW_LAB_OUT"), name)
			devicetest.WriteFile(t, out+".gz", devicetest.Zip(t, readFile(t, v.file)))
			devicetest.WriteFile(t, out+".txt", []byte(strings.Join(lines, "\n")+"\n"))
			if spec.frozen {
				kernellab.Run(t, "fsfreeze", "-u", v.dir)
			}
			orphan.Close()
		})
	}
}

// smallTree makes some of everything, in little space.
func (v *kernelFS) smallTree(shared bool) {
	v.Helper()
	text := func(size int) []byte {
		b := make([]byte, 0, size+32)
		for n := 0; len(b) < size; n++ {
			b = fmt.Appendf(b, "line %d of %d bytes\n", n, size)
		}
		return b[:size]
	}
	path := func(name string) string { return filepath.Join(v.dir, name) }
	write := func(name string, size int) {
		kernellab.Must(v, os.MkdirAll(filepath.Dir(path(name)), 0o755))
		kernellab.Must(v, os.WriteFile(path(name), text(size), 0o640))
	}
	for _, size := range []int{0, 10, 600, 5000, 20000, 300000} {
		write(fmt.Sprintf("sizes/%d", size), size)
	}
	f, err := os.OpenFile(path("sizes/300000"), os.O_RDWR, 0)
	kernellab.Must(v, err)
	for at := int64(0); at < 300000; at += 8192 {
		kernellab.Must(v, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, 4096))
	}
	kernellab.Must(v, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 400000, 50000))
	kernellab.Must(v, f.Close())
	for dir, count := range map[string]int{"short": 3, "one": 25, "many": 300} {
		for n := range count {
			write(fmt.Sprintf("%s/entry number %d", dir, n), n%3)
		}
	}
	kernellab.Must(v, os.Symlink("sizes/10", path("link")))
	kernellab.Must(v, os.Symlink(strings.Repeat("sizes/../", 90)+"link", path("short/long")))
	kernellab.Must(v, os.Link(path("sizes/5000"), path("short/hard")))
	kernellab.Must(v, unix.Mknod(path("short/device"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 70001))))
	for n := range 60 {
		kernellab.Must(v, unix.Lsetxattr(path("sizes"), fmt.Sprintf("user.attribute%d", n), text(n), 0))
	}
	kernellab.Must(v, unix.Lsetxattr(path("link"), "trusted.few", text(5), 0))
	kernellab.Must(v, unix.Lsetxattr(path("sizes/10"), "security.large", text(9000), 0))
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 1, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}
	kernellab.Must(v, unix.Lsetxattr(path("sizes/600"), "system.posix_acl_access", acl, 0))
	if v.reflink = shared; shared {
		kernellab.Must(v, v.share(path("sizes/20000"), path("shared")))
	}
	kernellab.Must(v, syncFS(v.dir))
}

// lines describe all files.
func (v *kernelFS) lines() (lines []string) {
	v.Helper()
	kernellab.Must(v, filepath.WalkDir(v.dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(v.dir, path)
		if err != nil || rel == "." {
			return err
		}
		var s unix.Stat_t
		kernellab.Must(v, unix.Lstat(path, &s))
		what := ""
		switch {
		case d.Type().IsRegular():
			what = digest(readFile(v, path))
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			kernellab.Must(v, err)
			what = digest([]byte(target))
		}
		lines = append(lines, fmt.Sprintf("%q %o %d %d %d %d %d.%d %d:%d %s%s", rel, s.Mode, s.Uid, s.Nlink, s.Size, s.Blocks, s.Mtim.Sec, s.Mtim.Nsec,
			unix.Major(s.Rdev), unix.Minor(s.Rdev), what, v.attributesOf(path)))
		return nil
	}))
	slices.Sort(lines)
	return lines
}

func digest(p []byte) string {
	sum := sha256.Sum256(p)
	return fmt.Sprintf("%x", sum[:6])
}

func (v *kernelFS) attributesOf(path string) string {
	list := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, list)
	kernellab.Must(v, err)
	all := map[string]string{}
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.SGI_ACL_") {
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, name, value)
		kernellab.Must(v, err)
		all[name] = string(value[:n])
	}
	return attributeLine(all)
}

// attributeLine describes attributes.
func attributeLine(all map[string]string) string {
	var names []string
	for name, value := range all {
		names = append(names, fmt.Sprintf(" %s=%s", name, digest([]byte(value))))
	}
	slices.Sort(names)
	if len(names) > 3 {
		return " " + digest([]byte(strings.Join(names, "")))
	}
	return strings.Join(names, "")
}
